"""Layers of several inputs: sums, products, concatenation."""

from dataclasses import replace

import numpy as np
from keras import layers

from nestrade_lib.dependency.labels import join, refill_all
from nestrade_lib.dependency.registry import rule


def combine(call, operands, function, absorbing):
    """Axes of an elementwise function of several tensors, broadcast to one shape.

    ``absorbing`` says that a zero in one operand makes the result zero.
    """
    rank = max(len(tensor.shape) for tensor in operands)
    result = []
    for number in range(-rank, 0):
        present = [t for t in operands if len(t.shape) >= -number]
        wide = [t for t in present if t.shape[number] != 1] or present
        axes = [tensor.axes[number] for tensor in wide]
        if not axes or all(axis is None for axis in axes):
            result.append(None)
            continue
        merged = axes[0]
        for axis in axes[1:]:
            merged = call.merge(merged, axis)
        if merged is None or any(axis is None for axis in axes):
            result.append(None)
            continue
        fills = [axis.fill for axis in axes]
        if len(wide) < len(operands):  # the others are not constant along this axis
            zero = absorbing & np.any([fill == 0 for fill in fills], axis=0)
            fill = np.where(zero, 0.0, np.nan)
        else:
            fill = fills[0]
            for other in fills[1:]:
                fill = _at(function, fill, other, absorbing)
        result.append(merged.with_fill(fill))
    return tuple(result)


def _at(function, one, other, absorbing):
    with np.errstate(all="ignore"):
        value = function(one, other)
    return np.where(absorbing & ((one == 0) | (other == 0)), 0.0, value)


_MERGES = {
    layers.Add: (np.add, False),
    layers.Subtract: (np.subtract, False),
    layers.Multiply: (np.multiply, True),
    layers.Maximum: (np.maximum, False),
    layers.Minimum: (np.minimum, False),
}


@rule(*_MERGES)
def merge_layer(call):
    return combine(call, call.inputs, *_MERGES[type(call.layer)])


@rule(layers.Average)
def average(call):
    axes = combine(call, call.inputs, np.add, False)
    count = len(call.inputs)
    return refill_all(axes, lambda fill: fill / count)


@rule(layers.Concatenate)
def concatenate(call):
    number = call.layer.axis % len(call.inputs[0].shape)
    along = [tensor.axes[number] for tensor in call.inputs]
    lengths = [tensor.shape[number] for tensor in call.inputs]
    if None in lengths:
        call.pin_all(along, "joins them to an unknown number of others")
    others = [_without(tensor, number) for tensor in call.inputs]
    axes = list(combine(call, others, _constant_of_both, False))
    axes[number] = join(along, lengths)
    return tuple(axes)


def _without(tensor, number):
    """The tensor with no channels along one axis."""
    axes = [None if n == number else axis for n, axis in enumerate(tensor.axes)]
    return replace(tensor, axes=tuple(axes))


def _constant_of_both(one, other):
    return np.where(one == other, one, np.nan)

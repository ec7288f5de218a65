"""Layers of several inputs: sums, products, concatenation, and their opposites."""

import keras
import numpy as np
from keras import layers, ops

from nestrade_lib.dependency.labels import (
    Channels,
    join,
    refill,
    refill_all,
    unknown,
    zero_or_unknown,
)
from nestrade_lib.dependency.registry import rule
from nestrade_lib.internals import operation_class


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


_OPERATIONS = {
    operation_class(ops.add): (np.add, False),
    operation_class(ops.subtract): (np.subtract, False),
    operation_class(ops.multiply): (np.multiply, True),
    operation_class(ops.maximum): (np.maximum, False),
    operation_class(ops.minimum): (np.minimum, False),
    operation_class(ops.true_divide): (np.true_divide, False),
    operation_class(ops.divide): (np.true_divide, False),
    operation_class(ops.power): (np.power, False),
}


@rule(*_OPERATIONS)
def binary_operation(call):
    """As the layers of that name; an operand may also be a number."""
    function, absorbing = _OPERATIONS[type(call.layer)]
    operands = list(call.args) + list(call.kwargs.values())
    constants = [value for value in operands if not isinstance(value, Channels)]
    if not constants:
        return combine(call, operands, function, absorbing)
    if np.ndim(constants[0]):
        call.refuse("it combines channels with an array of constants")
    first = isinstance(operands[0], Channels)
    number = constants[0]

    def of_constant(fill):
        return function(fill, number) if first else function(number, fill)

    with np.errstate(all="ignore"):
        return refill_all(call.inputs[0].axes, of_constant)


@rule(layers.Concatenate, ops.concatenate)
def concatenate(call):
    tensors = call.inputs
    rank = len(tensors[0].shape)
    number = call.layer.axis % rank
    axes = []
    for place in range(rank):
        along = [tensor.axes[place] for tensor in tensors]
        if place == number:
            lengths = [tensor.shape[place] for tensor in tensors]
            if None in lengths:
                call.pin_all(along, "joins them to an unknown number of others")
            axes.append(join(along, lengths))
            continue
        merged = along[0]
        for axis in along[1:]:
            merged = call.merge(merged, axis)
        if merged is not None and any(
            not np.array_equal(axis.fill, merged.fill) for axis in along
        ):
            merged = refill(merged, unknown)
        axes.append(merged)
    return tuple(axes)


@rule(ops.split)
def split(call):
    tensor, where = call.inputs[0], call.layer.indices_or_sections
    number = call.layer.axis % len(tensor.shape)
    axis = tensor.axes[number]
    if isinstance(where, int):
        if tensor.shape[number] is None:
            return [tensor.axes] * where
        step = tensor.shape[number] // where
        bounds = [step * part for part in range(1, where)]
    else:
        bounds = list(where)
    if axis is None:
        return [tensor.axes] * (len(bounds) + 1)
    parts = [axis.take(part) for part in np.split(np.arange(len(axis)), bounds)]

    def kept_bounds(kept):
        return [sum(kept(part) for part in parts[: n + 1]) for n in range(len(bounds))]

    call.rewrite("indices_or_sections", kept_bounds)
    return [
        tensor.axes[:number] + (part,) + tensor.axes[number + 1 :] for part in parts
    ]


@rule(ops.get_item)
def get_item(call):
    """A slice keeps its labels; its bounds are rewritten to what is kept of them."""
    tensor, key = call.args[0], call.args[1]
    keys = list(key) if isinstance(key, (list, tuple)) else [key]
    if any(
        part is None or not isinstance(part, (int, slice, type(...))) for part in keys
    ):
        call.refuse("it indexes with something other than numbers and slices")
    if Ellipsis in keys:
        at = keys.index(Ellipsis)
        missing = len(tensor.shape) - len(keys) + 1
        keys[at : at + 1] = [slice(None)] * missing
    keys += [slice(None)] * (len(tensor.shape) - len(keys))
    axes, cuts = [], {}
    for number, (part, axis) in enumerate(zip(keys, tensor.axes)):
        if isinstance(part, int):
            call.pin(axis, "picks one of them by number")
        elif axis is None or part == slice(None):
            axes.append(axis)
        elif part.step not in (None, 1):
            call.pin(axis, "takes every n-th of them")
            axes.append(None)
        else:
            start, stop, _ = part.indices(len(axis))
            positions = np.arange(len(axis))
            cuts[number] = (
                axis.take(positions[:start]),
                axis.take(positions[start:stop]),
            )
            axes.append(cuts[number][1])

    def kept_slices(kept, arguments):
        new = list(keys)
        for number, (before, inside) in cuts.items():
            start = kept(before)
            new[number] = slice(start, start + kept(inside))
        return (arguments[0], keras.saving.serialize_keras_object(tuple(new)))

    if cuts:
        call.rewrite_arguments(kept_slices)
    return tuple(axes)


@rule(ops.matmul)
def matrix_product(call):
    one, other = call.inputs
    if len(one.axes) != len(other.axes) or len(one.axes) < 2:
        call.refuse("it multiplies tensors of different ranks")
    call.merge(one.axes[-1], other.axes[-2])
    call.absorbs(one.axes[-1])
    call.absorbs(other.axes[-2])
    batches = one[:-2], other[:-2]
    outer = (*combine(call, batches, np.multiply, True), one.axes[-2], other.axes[-1])
    sizes = [b if a == 1 else a for a, b in zip(batches[0].shape, batches[1].shape)]
    output = Channels((*sizes, one.shape[-2], other.shape[-1]), outer)
    call.multiplies(None, output[1:], one[-1:])
    # Zero slices stay zero; another constant is summed with weights that vary.
    return refill_all(outer, zero_or_unknown)


@rule(layers.Dot)
def dot(call):
    """The two axes that are summed over become the same channels."""
    one, other = call.inputs
    numbers = call.layer.axes
    numbers = [numbers, numbers] if isinstance(numbers, int) else list(numbers)
    left, right = one.axes[numbers[0]], other.axes[numbers[1]]
    call.merge(left, right)
    call.absorbs(left)
    call.absorbs(right)
    parts = [
        tensor[
            [n for n in range(1, len(tensor.shape)) if n != number % len(tensor.shape)]
        ]
        for tensor, number in zip((one, other), numbers)
    ]
    call.multiplies(None, one[[numbers[0]]], *parts)
    outer = [axis for part in parts for axis in refill_all(part.axes, zero_or_unknown)]
    return (None, *outer) if outer else (None, None)

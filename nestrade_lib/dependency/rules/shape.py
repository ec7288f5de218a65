"""Layers that move elements without changing them."""

import numpy as np
from keras import layers, ops

from nestrade_lib.dependency.labels import Axis, repeat_each
from nestrade_lib.dependency.registry import rule


@rule(layers.Flatten)
def flatten(call):
    tensor = call.inputs[0]
    rank = len(tensor.shape)
    order = list(range(rank))
    if call.layer.data_format == "channels_first" and rank > 2:
        order = [0, *range(2, rank), 1]
    axes = tuple(tensor.axes[number] for number in order)
    shape = tuple(tensor.shape[number] for number in order)
    size = None if None in shape[1:] else int(np.prod(shape[1:]))
    return regroup(call, shape, axes, (shape[0], size))[0]


@rule(layers.Reshape)
def reshape(call):
    tensor = call.inputs[0]
    target = list(call.config["target_shape"])
    shape = (tensor.shape[0], *_filled(target, tensor.shape[1:]))
    axes, carrier = regroup(call, tensor.shape, tensor.axes, shape)
    carrier = None if carrier is None else carrier - 1
    _rewrite_target(call, "target_shape", target, axes[1:], carrier)
    return axes


@rule(ops.reshape)
def reshape_operation(call):
    tensor = call.inputs[0]
    target = list(call.layer.newshape)
    same_batch = target[0] in (-1, None) or target[0] == tensor.shape[0]
    others = target[1:]
    if not same_batch or (target[0] == -1 and -1 in others):
        call.pin_all(tensor.axes, "moves elements between samples")
        return None
    shape = (tensor.shape[0], *_filled(others, tensor.shape[1:]))
    axes, carrier = regroup(call, tensor.shape, tensor.axes, shape)
    _rewrite_target(call, "newshape", target, axes, carrier)
    return axes


def _filled(target, shape):
    """The target shape with its -1 worked out, ``None`` where it cannot be."""
    if -1 not in target and None not in target:
        return tuple(target)
    if None in shape:
        return tuple(None if size == -1 else size for size in target)
    stated = int(np.prod([size for size in target if size not in (-1, None)]))
    return tuple(
        int(np.prod(shape)) // stated if size in (-1, None) else size for size in target
    )


def _rewrite_target(call, key, target, axes, carrier):
    if carrier is None or target[carrier] in (-1, None):
        return

    def kept_target(kept):
        new = list(target)
        new[carrier] = kept(axes[carrier])
        return tuple(new)

    call.rewrite(key, kept_target)


def regroup(call, old, axes, new):
    """Labels of a tensor whose elements are laid out in another shape.

    Returns the axes, and the number of the one that carries the channels. Where
    the labels differ along more than one new axis, they are merged along all but
    the last, so that every cut leaves a full block.
    """
    nothing = (None,) * len(new)
    carriers = [n for n, axis in enumerate(axes) if axis is not None]
    if not carriers:
        return nothing, None
    if len(carriers) > 1 or None in old[1:] or None in new[1:] or carriers[0] == 0:
        call.pin_all(axes, "reshapes them together with sizes that are not known")
        return nothing, None
    axis = axes[carriers[0]]
    spread = [1] * (len(old) - 1)
    spread[carriers[0] - 1] = len(axis)
    index = np.arange(len(axis)).reshape(spread)
    index = np.broadcast_to(index, old[1:]).reshape(new[1:])
    for number in sorted(range(1, len(new)), key=lambda n: -new[n]):
        first = _first_along(index, number - 1)
        if new[number] > 1 and (index == first).all():
            return _placed(nothing, number, axis.take(first.ravel())), number
    number = len(new) - 1
    blocks = np.moveaxis(index, number - 1, -1).reshape(-1, new[number])
    for block in blocks[1:]:
        call.merge(axis.take(block), axis.take(blocks[0]))
    fill = axis.fill[blocks]
    same = (fill == fill[0]).all(axis=0)
    merged = Axis(axis.labels[blocks[0]], np.where(same, fill[0], np.nan))
    return _placed(nothing, number, merged), number


def _first_along(index, number):
    """``index`` at the origin of every other axis, kept broadcastable."""
    origin = [slice(0, 1)] * index.ndim
    origin[number] = slice(None)
    return index[tuple(origin)]


def _placed(nothing, number, axis):
    return nothing[:number] + (axis,) + nothing[number + 1 :]


@rule(layers.Permute)
def permute(call):
    axes = call.inputs[0].axes
    return (axes[0], *(axes[number] for number in call.layer.dims))


@rule(ops.transpose)
def transpose(call):
    axes = call.inputs[0].axes
    order = call.layer.axes
    return tuple(
        axes[n] for n in (order if order is not None else range(len(axes))[::-1])
    )


@rule(layers.RepeatVector)
def repeat_vector(call):
    batch, features = call.inputs[0].axes
    return (batch, None, features)


@rule(ops.repeat)
def repeat(call):
    axes = list(call.inputs[0].axes)
    number, times = call.layer.axis, call.layer.repeats
    if number is None:
        call.pin_all(axes, "lays them end to end")
        return None
    number %= len(axes)
    if axes[number] is not None:
        if np.size(times) > 1:
            call.pin(axes[number], "repeats each of them another number of times")
        axes[number] = repeat_each(axes[number], times)
    return tuple(axes)


@rule(ops.expand_dims)
def expand_dims(call):
    axes = list(call.inputs[0].axes)
    added = call.layer.axis
    for number in sorted(np.atleast_1d(added) % (len(axes) + np.size(added))):
        axes.insert(number, None)
    return tuple(axes)


@rule(ops.squeeze)
def squeeze(call):
    tensor = call.inputs[0]
    removed = call.layer.axis
    if removed is None:
        removed = [n for n, size in enumerate(tensor.shape) if size == 1]
    removed = np.atleast_1d(removed) % len(tensor.shape)
    return tuple(axis for n, axis in enumerate(tensor.axes) if n not in removed)


@rule(layers.Masking)
def masking(call):
    call.pin_all(call.inputs[0].axes, "compares them with its mask value")
    return call.inputs[0].axes


@rule(ops.equal, ops.not_equal, ops.any, ops.all)
def comparison(call):
    """How a mask is made: which elements hold a value says nothing of a channel."""
    for tensor in call.inputs:
        call.pin_all(tensor.axes, "compares them")
    return None

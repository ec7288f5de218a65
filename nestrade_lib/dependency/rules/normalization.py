"""Normalizations: per channel, per group of channels, over all channels."""

import keras
import numpy as np
from keras import layers

from nestrade_lib.dependency.labels import (
    refill,
    refill_all,
    unknown,
    zero_or_unknown,
)
from nestrade_lib.dependency.registry import rule
from nestrade_lib.internals import class_beside


def _scaled(call):
    """The channels that scale and offset produce, and the axes of the output."""
    layer, axes = call.layer, list(call.inputs[0].axes)
    number = layer.axis % len(axes)
    channels = axes[number]
    call.pin_all(axes[:number] + axes[number + 1 :], "normalizes over them")
    if layer.center:
        call.produces(layer.beta, {0: channels})
    if layer.scale:
        call.produces(layer.gamma, {0: channels})
    axes[number] = refill(channels, np.zeros_like if layer.scale else zero_or_unknown)
    return channels, tuple(axes)


@rule(layers.BatchNormalization)
def batch_normalization(call):
    """A channel's scale and offset are among the slices that produce it."""
    channels, axes = _scaled(call)
    call.remembers(call.layer.moving_mean, {0: channels})
    call.carries(call.layer.moving_variance, {0: channels})
    return axes


@rule(layers.GroupNormalization)
def group_normalization(call):
    """The channels that share a mean are one channel, cut together.

    Within a group the constants that are left have a mean of their own.
    """
    channels, axes = _scaled(call)
    if channels is not None:
        groups = call.layer.groups
        groups = len(channels) if groups == -1 else groups
        members = np.arange(len(channels)).reshape(groups, -1)
        for column in members.T[1:]:
            call.merge(channels.take(column), channels.take(members[:, 0]))
        call.resize("groups", channels.take(members[:, 0]))
    return axes


@rule(layers.LayerNormalization)
def layer_normalization(call):
    axes = call.inputs[0].axes
    for number in _as_list(call.layer.axis):
        call.pin(axes[number], "takes a mean over them, which a cut would move")
    return refill_all(axes, unknown)


@rule(layers.RMSNormalization)
def rms_normalization(call):
    """The mean of squares of D' channels among D is exactly compensable.

    With the others zero, sqrt(D/D') on the scale and eps D/D' give the same output.
    """
    layer = call.layer
    axes = list(call.inputs[0].axes)
    numbers = [number % len(axes) for number in _as_list(layer.axis)]
    if len(numbers) > 1:
        call.pin_all(
            [axes[number] for number in numbers], "normalizes over several axes"
        )
        return tuple(axes)
    channels = axes[numbers[0]]
    call.absorbs(channels)
    call.produces(layer.scale, {0: channels})
    if channels is not None:
        whole, epsilon = len(channels), layer.epsilon
        call.rewrite("epsilon", lambda kept: epsilon * whole / kept(channels))
        call.scales(layer.scale, lambda kept: np.sqrt(whole / kept(channels)))
    axes = refill_all(axes, unknown)
    scaled = refill(channels, np.zeros_like)
    return (*axes[: numbers[0]], scaled, *axes[numbers[0] + 1 :])


def _as_list(axis):
    return [axis] if isinstance(axis, int) else list(axis)


@rule(layers.Normalization)
def normalization(call):
    call.pin_all(call.inputs[0].axes, "normalizes them by statistics of its own")
    return call.inputs[0].axes


@rule(layers.UnitNormalization)
def unit_normalization(call):
    """Zeros add nothing to the norm, so it may be taken over fewer channels."""
    axes = call.inputs[0].axes
    for number in _as_list(call.layer.axis):
        call.absorbs(axes[number])
    return refill_all(axes, zero_or_unknown)


@rule(layers.SpectralNormalization)
def spectral_normalization(call):
    """Zeros have no part in the kernel's greatest singular value, nor in its vector.

    The weights that read a cut channel have a part: cut, they no longer count.
    """
    layer = call.layer
    for tensor in call.inputs:
        for axis in tensor.axes:
            call.absorbs(axis)
    (output,) = call.inner(layer.layer, ("layer", "config"), call.inputs)
    call.readers_vanish(layer.kernel)
    call.remembers(layer.vector_u, {1: call.axis_of(layer.kernel, -1)})
    return output.axes


@rule(class_beside(keras.applications.ConvNeXtTiny, "LayerScale"))
def layer_scale(call):
    *others, channels = call.inputs[0].axes
    call.produces(call.layer.gamma, {0: channels})
    call.resize("projection_dim", channels)
    return (*others, refill(channels, np.zeros_like))

"""Convolutions: ordinary, grouped, transposed, depthwise, separable."""

import numpy as np
from keras import layers

from nestrade_lib.dependency.labels import refill, repeat_each
from nestrade_lib.dependency.registry import rule
from nestrade_lib.dependency.rules.activation import apply_activation


def split_channels(call, channels):
    """The channel axis of an image tensor; labelled places are never cut."""
    is_first = getattr(call.layer, "data_format", None) == "channels_first"
    number = 1 if is_first else len(channels.axes) - 1
    for place, axis in enumerate(channels.axes):
        if place != number:
            call.pin(axis, "moves over them")
    return number, channels.axes[number]


def places(layer, shape):
    """The sizes of an image along the axes that a layer moves over."""
    return shape[2:] if layer.data_format == "channels_first" else shape[1:-1]


def outputs_of(call):
    """The sizes of a convolution's output along the axes that it moves over."""
    shape = call.layer.compute_output_shape(call.inputs[0].shape)
    return places(call.layer, shape)


def image(rank, number, axis):
    """The axes of an image tensor with channels at one place."""
    return tuple(axis if place == number else None for place in range(rank))


def sees_no_border(layer):
    """Whether every output reads only real inputs, so that a constant stays one."""
    return layer.padding == "valid" or set(layer.kernel_size) == {1}


def _filters(call):
    """New channels, as many as the layer is configured to make."""
    filters = call.fresh(call.layer.filters)
    call.resize("filters", filters)
    return filters


def _image_of(call, number, filters):
    """The axes of the output, once bias and activation are seen to."""
    layer = call.layer
    if layer.use_bias:
        call.produces(layer.bias, {0: filters})
    axes = image(len(call.inputs[0].axes), number, filters)
    return apply_activation(call, axes, layer.activation)


@rule(layers.Conv1D, layers.Conv2D, layers.Conv3D)
def convolution(call):
    layer = call.layer
    number, channels = split_channels(call, call.inputs[0])
    filters = _filters(call)
    if layer.groups == 1:
        bias = layer.bias if sees_no_border(layer) else None
        call.consumes(layer.kernel, -2, channels, bias)
    elif channels is not None and _may_cut_groups(call, channels, filters):
        _whole_groups(call, channels, filters)
    else:
        _same_in_each_group(call, channels, filters)
    call.produces(layer.kernel, {-1: filters})
    call.multiplies(layer.kernel, *outputs_of(call))
    return _image_of(call, number, filters)


def _may_cut_groups(call, channels, filters):
    """Whether whole groups are to be cut: not where an earlier walk found that all would stay."""
    place = call.path + call.node
    if call.record.choices.get(place, 0):
        return False
    labels = np.concatenate([channels.labels, filters.labels])
    call.record.ambiguous[place] = labels[labels >= 0]
    return True


def _whole_groups(call, channels, filters):
    """Each group's inputs and outputs become one channel, cut together."""
    groups = call.layer.groups
    read = np.arange(len(channels)).reshape(groups, -1)
    made = np.arange(len(filters)).reshape(groups, -1)
    first = made[:, 0]
    for column in read.T:
        call.merge(channels.take(column), filters.take(first))
    for column in made.T[1:]:
        call.merge(filters.take(column), filters.take(first))
    call.resize("groups", filters.take(first))


def _same_in_each_group(call, channels, filters):
    """All groups stay, and lose channels and filters at the same places."""
    call.absorbs(channels)
    for axis in filter(None, (channels, filters)):
        first, *others = np.arange(len(axis)).reshape(call.layer.groups, -1)
        for other in others:
            call.merge(axis.take(first), axis.take(other))
        if axis is channels:
            call.consumes(call.layer.kernel, -2, axis.take(first))


@rule(layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
def transposed_convolution(call):
    layer = call.layer
    number, channels = split_channels(call, call.inputs[0])
    filters = _filters(call)
    call.consumes(layer.kernel, -1, channels)
    call.produces(layer.kernel, {-2: filters})
    call.multiplies(layer.kernel, *places(layer, call.inputs[0].shape))
    return _image_of(call, number, filters)


@rule(layers.DepthwiseConv1D, layers.DepthwiseConv2D)
def depthwise_convolution(call):
    """Every input channel makes ``depth_multiplier`` outputs, cut with it."""
    layer = call.layer
    number, channels = split_channels(call, call.inputs[0])
    call.produces(layer.kernel, {-2: channels})
    call.multiplies(layer.kernel, *outputs_of(call))
    made = _repeat(channels, layer.depth_multiplier)
    return _image_of(call, number, made)


def _repeat(channels, times):
    """The outputs that each input channel makes, which are zero once it is cut."""
    return refill(repeat_each(channels, times), np.zeros_like)


@rule(layers.SeparableConv1D, layers.SeparableConv2D)
def separable_convolution(call):
    layer = call.layer
    number, channels = split_channels(call, call.inputs[0])
    filters = _filters(call)
    call.consumes(layer.depthwise_kernel, -2, channels)
    between = _repeat(channels, layer.depth_multiplier)
    call.consumes(layer.pointwise_kernel, -2, between)
    call.produces(layer.pointwise_kernel, {-1: filters})
    for kernel in (layer.depthwise_kernel, layer.pointwise_kernel):
        call.multiplies(kernel, *outputs_of(call))
    return _image_of(call, number, filters)

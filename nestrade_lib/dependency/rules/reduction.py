"""Layers that take a mean, a maximum or a sum over axes, and those that resample."""

from keras import layers

from nestrade_lib.dependency.labels import (
    refill_all,
    unknown,
    zero_or_unknown,
)
from nestrade_lib.dependency.registry import rule
from nestrade_lib.dependency.rules.convolution import image, split_channels


@rule(
    *(
        getattr(layers, f"{kind}{size}D")
        for kind in (
            "MaxPooling AveragePooling AdaptiveAveragePooling AdaptiveMaxPooling "
            "UpSampling Cropping"
        ).split()
        for size in (1, 2, 3)
        if hasattr(layers, f"{kind}{size}D")
    ),
)
def pooling(call):
    """A constant stays itself: padding is left out of means and maxima."""
    return _channels_only(call)


def _channels_only(call):
    number, channels = _split(call)
    return image(len(call.inputs[0].axes), number, channels)


def _split(call):
    if hasattr(call.layer, "data_format"):
        return split_channels(call, call.inputs[0])
    *places, channels = call.inputs[0].axes
    call.pin_all(places, "moves over them")
    return len(places), channels


@rule(layers.Resizing)
def resizing(call):
    """Zeros are resized to zeros, unless a border is filled with something else."""
    filled = call.layer.pad_to_aspect_ratio and call.layer.fill_value != 0
    return refill_all(_channels_only(call), unknown if filled else zero_or_unknown)


@rule(layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D)
def zero_padding(call):
    return refill_all(_channels_only(call), zero_or_unknown)


@rule(
    *(
        getattr(layers, f"Global{kind}Pooling{size}D")
        for kind in ("Average", "Max")
        for size in (1, 2, 3)
    )
)
def global_pooling(call):
    number, channels = split_channels(call, call.inputs[0])
    if call.layer.keepdims:
        return image(len(call.inputs[0].axes), number, channels)
    return (call.inputs[0].axes[0], channels)

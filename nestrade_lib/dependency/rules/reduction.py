"""Layers that take a mean, a maximum or a sum over axes, and those that resample."""

from keras import layers

from nestrade_lib.dependency.labels import refill_all, unknown, zero_or_unknown
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
    number, channels = split_channels(call, call.inputs[0])
    return image(len(call.inputs[0].axes), number, channels)


@rule(layers.Resizing)
def resizing(call):
    """Zeros are resized to zeros, unless a border is filled with something else."""
    filled = call.layer.pad_to_aspect_ratio and call.layer.fill_value != 0
    return refill_all(pooling(call), unknown if filled else zero_or_unknown)


@rule(layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D)
def zero_padding(call):
    return refill_all(pooling(call), zero_or_unknown)


@rule(
    *(
        getattr(layers, f"Global{kind}Pooling{size}D")
        for kind in ("Average", "Max")
        for size in (1, 2, 3)
    )
)
def global_pooling(call):
    _, channels = split_channels(call, call.inputs[0])
    return pooling(call) if call.layer.keepdims else (call.inputs[0].axes[0], channels)

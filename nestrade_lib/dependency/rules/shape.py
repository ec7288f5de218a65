"""Layers that move elements without changing them, and what compares them."""

import numpy as np
from keras import layers, ops

from nestrade_lib.dependency.registry import rule


@rule(layers.Flatten)
def flatten(call):
    """Each place of an image has all the channels."""
    tensor = call.inputs[0]
    rank = len(tensor.shape)
    order = list(range(1, rank))
    if call.layer.data_format == "channels_first":
        order = [*range(2, rank), *order[:1]]
    shape = [tensor.shape[number] for number in order]
    carriers = [n for n, number in enumerate(order) if tensor.axes[number] is not None]
    if len(carriers) != 1 or None in shape:
        call.pin_all(tensor.axes, "lays them end to end")
        return (None, None)
    spread = [1] * len(shape)
    spread[carriers[0]] = -1
    index = np.arange(shape[carriers[0]]).reshape(spread)
    axis = tensor.axes[order[carriers[0]]]
    return None, axis.take(np.broadcast_to(index, shape).ravel())


@rule(layers.Masking, ops.equal, ops.not_equal)
def comparison(call):
    """Values that random numbers never meet: running it would show nothing."""
    for tensor in call.inputs:
        call.pin_all(tensor.axes, "compares them")
    if isinstance(call.layer, layers.Masking):
        return call.inputs[0].axes
    return None

"""What operations multiply: products of two tensors, which no weight counts."""

import numpy as np
from keras import layers, ops

from nestrade_lib.dependency.labels import Channels
from nestrade_lib.dependency.registry import products


@products(ops.matmul, ops.dot, ops.inner)
def over_last_axis(call, output):
    first = _operands(call)[0]
    call.multiplies(None, output[1:], first[-1:])


@products(ops.tensordot)
def over_some_axes(call, output):
    first, axes = _operands(call)[0], call.layer.axes
    rank = len(first.shape)
    some = range(rank - axes, rank) if isinstance(axes, int) else np.ravel(axes[0])
    call.multiplies(None, output[1:], first[list(some)])


@products(layers.Dot)
def over_an_axis_of_each(call, output):
    number = np.ravel(call.layer.axes)[0]
    call.multiplies(None, output[1:], call.inputs[0][[int(number)]])


@products(ops.einsum)
def over_letters(call, output):
    """Each letter's length, once for each pair of operands that are joined."""
    terms = call.layer.subscripts.replace(" ", "").split("->")[0].split(",")
    lengths, batch = {}, None
    for letters, tensor in zip(terms, _operands(call)):
        missing = len(tensor.shape) - len(letters.replace("...", ""))
        letters = letters.replace("...", "987654321"[9 - missing :])
        batch = batch or (letters[:1] if tensor in call.inputs else None)
        for letter, size, axis in zip(letters, tensor.shape, tensor.axes):
            if lengths.get(letter, 1) == 1:
                lengths[letter] = size if axis is None else axis
    for _ in terms[1:]:
        call.multiplies(None, *(lengths[x] for x in lengths if x != batch))


@products(ops.conv)
def over_a_kernel(call, output):
    kernel = _operands(call)[1]
    call.multiplies(None, output[1:], kernel[:-1])


@products(ops.depthwise_conv)
def over_a_kernel_per_channel(call, output):
    kernel = _operands(call)[1]
    call.multiplies(None, output[1:], kernel[:-2])


@products(ops.conv_transpose)
def from_each_place(call, output):
    inputs, kernel = _operands(call)[:2]
    call.multiplies(None, inputs[1:], kernel[:-1])


@products(ops.dot_product_attention)
def attention(call, output):
    query, key = _operands(call)[:2]  # of batch, places, heads and features
    for _ in ("query and key", "weights and value"):
        call.multiplies(None, query[1:], key[1:2])


def _operands(call):
    """The tensors of a call and its arrays of constants, which have no channels."""
    operands = [*call.args, *call.kwargs.values()]
    return [x if isinstance(x, Channels) else _constant(x) for x in operands]


def _constant(array):
    shape = tuple(np.shape(array))
    return Channels(shape, (None,) * len(shape))

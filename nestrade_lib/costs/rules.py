"""How often Keras' own layers use their weights: a rule a layer type."""

import math

import keras
from keras import layers as kl

from nestrade_lib.costs.calls import Call, record_calls
from nestrade_lib.costs.registry import register_macs


def _positions(layer, shape):
    """Entries of a shape besides the batch and the channels."""
    channels_last = getattr(layer, "data_format", "channels_last") == "channels_last"
    return math.prod(shape[1:-1] if channels_last else shape[2:])


@register_macs(kl.Dense)
def _dense(layer, inputs, output):
    return [(layer.kernel, math.prod(output[1:-1]))]


@register_macs(kl.EinsumDense)
def _einsum_dense(layer, inputs, output):
    # Each weight meets every combination of the output's axes that it lacks itself.
    kernel, result = layer.equation.replace(" ", "").split(",")[1].split("->")
    named = result.replace("...", "")
    free = output[: len(output) - len(named)]  # the axes under "...", if any
    sizes = zip(named, output[len(free) :], strict=True)
    times = math.prod(size for axis, size in sizes if axis not in kernel)
    return [(layer.kernel, math.prod(free) * times)]


@register_macs(kl.Conv1D)
@register_macs(kl.Conv2D)
@register_macs(kl.Conv3D)
@register_macs(kl.DepthwiseConv1D)
@register_macs(kl.DepthwiseConv2D)
def _convolution(layer, inputs, output):
    return [(layer.kernel, _positions(layer, output))]


@register_macs(kl.Conv1DTranspose)
@register_macs(kl.Conv2DTranspose)
@register_macs(kl.Conv3DTranspose)
def _transposed_convolution(layer, inputs, output):
    return [(layer.kernel, _positions(layer, inputs[0]))]


@register_macs(kl.SeparableConv1D)
@register_macs(kl.SeparableConv2D)
def _separable_convolution(layer, inputs, output):
    times = _positions(layer, output)
    return [(layer.depthwise_kernel, times), (layer.pointwise_kernel, times)]


@register_macs(kl.SimpleRNNCell)
@register_macs(kl.LSTMCell)
@register_macs(kl.GRUCell)
def _cell(layer, inputs, output):
    return [(layer.kernel, 1), (layer.recurrent_kernel, 1)]


@register_macs(kl.StackedRNNCells)
def _stacked_cells(layer, inputs, output):
    uses, given = [], inputs[0]
    for cell in layer.cells:
        made = (1, *keras.tree.flatten(cell.output_size))
        each = _inside(cell, [given], made)
        if each is None:
            return None
        uses, given = uses + each, made
    return uses


@register_macs(kl.RNN)
def _recurrent(layer, inputs, output):
    batch, steps, *features = inputs[0]
    each = _inside(layer.cell, [(batch, *features)], output)
    return None if each is None else [(v, n * steps) for v, n in each]


@register_macs(kl.ConvLSTM1D)
@register_macs(kl.ConvLSTM2D)
@register_macs(kl.ConvLSTM3D)
def _convolutional_lstm(layer, inputs, output):
    steps, cell = inputs[0][1], layer.cell
    image = (1, *output[-(cell.rank + 1) :])
    times = steps * _positions(layer, image)
    return [(cell.kernel, times), (cell.recurrent_kernel, times)]


def _inside(layer, inputs, output):
    """Uses by a layer that another calls once, as if it were called by itself."""
    return Call(layer, tuple(layer.weights), inputs, output).uses


@register_macs(kl.TimeDistributed)
def _time_distributed(layer, inputs, output):
    steps = inputs[0][1]
    step = keras.Input(inputs[0][2:], batch_size=1)
    calls = record_calls(keras.Model(step, layer.layer(step)))
    if any(call.uses is None for call in calls):
        return None
    return [(v, n * steps) for call in calls for v, n in call.uses]


@register_macs(kl.MultiHeadAttention)
def _multi_head_attention(layer, inputs, output):
    # The projections are layers of their own. Here: queries · keys, scores · values.
    query, value = inputs[:2]
    pairs = math.prod(query[1:-1]) * math.prod(value[1:-1]) * layer.num_heads
    return [(None, pairs * layer.key_dim), (None, pairs * layer.value_dim)]


@register_macs(kl.GroupQueryAttention)
def _group_query_attention(layer, inputs, output):
    query, value = inputs[:2]
    product = query[1] * value[1] * layer.num_query_heads * layer.head_dim
    return [(None, product), (None, product)]


@register_macs(kl.Attention)
def _dot_attention(layer, inputs, output):
    query, value = inputs[:2]
    pairs = query[1] * value[1]
    return [(None, pairs * query[2]), (None, pairs * value[2])]


@register_macs(kl.Dot)
def _dot(layer, inputs, output):
    axis = layer.axes if isinstance(layer.axes, int) else layer.axes[0]
    return [(None, math.prod(output) * inputs[0][axis])]


@register_macs(kl.ReversibleEmbedding)
def _reversible_embedding(layer, inputs, output):
    if len(output) > len(inputs[0]):  # looked up, each place gets a vector
        return []
    weight = layer.embeddings if layer.tie_weights else layer.reverse_embeddings
    return [(weight, math.prod(output[1:-1]))]


@register_macs(kl.BatchNormalization)
@register_macs(kl.LayerNormalization)
@register_macs(kl.Normalization)
@register_macs(kl.PReLU)
@register_macs(kl.Embedding)
def _no_macs(layer, inputs, output):
    return []

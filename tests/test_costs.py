"""MACs are counted as a forward pass would do them, for any model."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers as kl

from benchmarks.structures.rows import random_cut
from nestrade_lib import (
    count_costs,
    create_model,
    register_rule,
    restructure,
    trace,
    weight_reuse,
)
from nestrade_lib.costs import ChannelCosts

pytestmark = [pytest.mark.any_backend, pytest.mark.usefixtures("rules")]


def macs(*layers, shape):
    return count_costs(keras.Sequential([keras.Input(shape), *layers])).macs


@settings(max_examples=20)
@given(
    side=st.integers(5, 12),
    channels=st.sampled_from([2, 4]),
    filters=st.sampled_from([2, 6]),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    padding=st.sampled_from(["valid", "same"]),
    groups=st.sampled_from([1, 2]),
)
def test_a_convolution_costs_its_multiplications(
    side, channels, filters, kernel, stride, padding, groups
):
    conv = kl.Conv2D(filters, kernel, stride, padding, groups=groups, use_bias=False)
    model = keras.Sequential([keras.Input((side, side, channels)), conv])
    out = math.ceil((side if padding == "same" else side - kernel + 1) / stride)
    by_hand = out * out * filters * kernel * kernel * (channels // groups)
    assert count_costs(model).macs == by_hand


@pytest.mark.parametrize(
    ("layers", "shape", "expected"),
    [
        ([kl.Dense(5)], (3,), 15),
        ([kl.Dense(5)], (7, 3), 7 * 15),
        ([kl.EinsumDense("abc,cd->abd", (None, 5))], (7, 3), 7 * 15),
        ([kl.EinsumDense("...c,cd->...d", 5)], (7, 3), 7 * 15),
        ([kl.Conv1D(4, 3)], (9, 2), 7 * 3 * 2 * 4),
        ([kl.Conv3D(4, 2)], (3, 3, 3, 2), 8 * 8 * 2 * 4),
        ([kl.Conv2DTranspose(4, 3, strides=2)], (5, 5, 2), 25 * 9 * 2 * 4),
        ([kl.DepthwiseConv2D(3, depth_multiplier=2)], (5, 5, 4), 9 * 9 * 4 * 2),
        ([kl.SeparableConv2D(6, 3)], (5, 5, 4), 9 * (9 * 4 + 4 * 6)),
        ([kl.LSTM(5)], (7, 3), 7 * 4 * (3 * 5 + 5 * 5)),
        ([kl.Bidirectional(kl.GRU(5))], (7, 3), 2 * 7 * 3 * (3 * 5 + 5 * 5)),
        ([kl.RNN(kl.LSTMCell(5))], (7, 3), 7 * 4 * (3 * 5 + 5 * 5)),
        (
            [kl.RNN([kl.GRUCell(5), kl.SimpleRNNCell(4)], return_sequences=True)],
            (7, 3),
            7 * 3 * (3 * 5 + 5 * 5) + 7 * (5 * 4 + 4 * 4),
        ),
        ([kl.ConvLSTM1D(4, 3)], (5, 9, 2), 5 * 7 * 4 * 3 * (2 * 4 + 4 * 4)),
        (
            [kl.ConvLSTM2D(4, 3, strides=2, return_sequences=True)],
            (5, 9, 7, 2),
            5 * 4 * 3 * 4 * 9 * (2 * 4 + 4 * 4),
        ),
        (
            [kl.ConvLSTM3D(4, 2, padding="same")],
            (5, 3, 4, 2, 2),
            5 * 24 * 4 * 8 * (2 * 4 + 4 * 4),
        ),
        ([kl.TimeDistributed(kl.Dense(5))], (7, 3), 7 * 15),
        ([kl.Embedding(10, 4), kl.Flatten(), kl.Dense(2)], (3,), 3 * 4 * 2),
        ([kl.BatchNormalization(), kl.ReLU(), kl.Dropout(0.5), kl.Dense(1)], (4,), 4),
    ],
)
def test_each_layer_type(layers, shape, expected):
    assert macs(*layers, shape=shape) == expected


def test_attention_counts_its_products_and_its_projections():
    x = keras.Input((16, 32))
    model = keras.Model(x, kl.MultiHeadAttention(4, 8)(x, x))
    projections = 4 * 16 * 32 * 4 * 8
    assert count_costs(model).macs == projections + 16 * 16 * 4 * (8 + 8)


@pytest.mark.parametrize("kind", [kl.MultiHeadAttention, kl.GroupQueryAttention])
def test_attention_counts_the_same_however_it_is_called(kind):
    q, v, k = keras.Input((6, 8)), keras.Input((5, 8)), keras.Input((5, 8))
    mask = keras.Input((6, 5), dtype="bool")

    def cost(*args, **kwargs):
        attention = kind(4, 8) if kind is kl.MultiHeadAttention else kind(8, 4, 2)
        return count_costs(
            keras.Model([q, v, k, mask], attention(*args, **kwargs))
        ).macs

    named = cost(attention_mask=mask, key=k, value=v, query=q)
    assert named == cost(q, v, k, attention_mask=mask)
    assert cost(query=q, value=v, attention_mask=mask) == cost(q, v)


@pytest.mark.parametrize("tied", [True, False])
def test_an_embedding_read_backwards_costs_a_product_with_its_table(tied):
    x = keras.Input((7,), dtype="int32")
    table = kl.ReversibleEmbedding(10, 4, tie_weights=tied)
    model = keras.Model(x, table(kl.Dense(4)(table(x)), reverse=True))
    assert count_costs(model).macs == 7 * 4 * 4 + 7 * 4 * 10


@keras.saving.register_keras_serializable("test_costs")
class Leaky(keras.Layer):
    """A recurrent cell of one's own."""

    def __init__(self, units, **options):
        super().__init__(**options)
        self.units = self.state_size = self.output_size = units

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], self.units))

    def get_config(self):
        return {**super().get_config(), "units": self.units}

    def call(self, x, states):
        h = 0.9 * states[0] + keras.ops.matmul(x, self.kernel)
        return h, [h]


def leaky(call):
    """The rule of such a cell, for one step: the output, and the state after it."""
    units = call.fresh(call.layer.units)
    call.consumes(call.layer.kernel, 0, call.inputs[0].axes[-1])
    call.produces(call.layer.kernel, {1: units})
    call.resize("units", units)
    call.multiplies(call.layer.kernel)
    return [(None, units), (None, units)]


def test_a_cell_of_ones_own_is_counted_and_cut_once_it_is_registered():
    rnn = kl.RNN([kl.GRUCell(3), Leaky(5)])
    model = keras.Sequential([keras.Input((7, 3)), rnn, kl.Dense(2)])
    macs = 7 * 3 * (9 + 9) + 7 * 15 + 10
    assert count_costs(model).macs == macs  # as its call shows
    register_rule(Leaky)(leaky)
    assert count_costs(model).macs == macs
    graph = trace(model)
    assert graph.count == 3 + 5
    mask = random_cut(graph)
    foreseen = ChannelCosts(graph).total(mask)
    table = count_costs(restructure(model, mask, graph))
    assert foreseen == {cost: getattr(table, cost) for cost in foreseen}


def test_norms_of_several_axes_are_known():
    layers = [kl.LayerNormalization(axis=(1, 2)), kl.Flatten(), kl.Dense(2)]
    costs = count_costs(keras.Sequential([keras.Input((3, 4)), *layers]))
    assert not costs.unknown and costs.macs == 24


def test_shared_layers_cost_a_call_each_and_parameters_once():
    x, dense = keras.Input((4,)), kl.Dense(4)
    costs = count_costs(keras.Model(x, dense(dense(x))))
    assert (costs.macs, costs.params) == (32, 20)


def test_nested_models_are_counted_inside():
    inner = create_model((8, 8, 1), 4)
    x = keras.Input((8, 8, 1))
    outer = count_costs(keras.Model(x, kl.Dense(2)(inner(x))))
    alone = count_costs(inner)
    assert outer.macs == alone.macs + 8
    assert outer.activation_bytes == alone.activation_bytes + 2 * 4


def test_a_subclassed_model_is_counted_too():
    class Twice(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = kl.Dense(3)

        def build(self, shape):
            self.dense.build(shape)

        def call(self, x):
            return self.dense(self.dense(x))

    model = Twice()
    model.build((None, 3))
    assert count_costs(model).macs == 18


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="minutes to initialize")
@pytest.mark.parametrize("name", ["MobileNetV2", "ResNet50", "EfficientNetB0"])
def test_published_networks_have_their_published_size(name):
    model = getattr(keras.applications, name)(weights=None)
    costs = count_costs(model)
    published = {"MobileNetV2": 0.30, "ResNet50": 3.86, "EfficientNetB0": 0.39}[name]
    assert costs.params == model.count_params() and not costs.unknown
    assert math.isclose(costs.macs / 1e9, published, rel_tol=0.02)


def test_uses_times_sizes_are_the_macs():
    model = create_model((28, 28, 1), 10)
    reuse = weight_reuse(model)
    total = sum(reuse.get(id(v), 0) * math.prod(v.shape) for v in model.variables)
    assert total == count_costs(model).macs == 2_293_000


def test_counting_changes_nothing():
    model = keras.Sequential(
        [keras.Input((4,)), kl.BatchNormalization(), kl.Dropout(0.5), kl.Dense(2)]
    )
    before = [keras.ops.convert_to_numpy(v) for v in model.variables]
    call = keras.Operation.__call__
    count_costs(model)
    assert keras.Operation.__call__ is call
    for old, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(variable))


def test_products_of_tensors_written_by_hand_are_counted():
    q, k = keras.Input((3, 5, 4)), keras.Input((1, 7, 4))
    scores = keras.ops.matmul(q, keras.ops.transpose(k, (0, 1, 3, 2)))
    model = keras.Model([q, k], kl.Flatten()(scores) + 1.0)
    costs = count_costs(model)
    assert costs.macs == 3 * 5 * 7 * 4
    assert [row.kind for row in costs.layers] == ["Matmul", "Flatten"]


def test_half_precision_halves_the_activations():
    def network(dtype):
        return keras.Sequential([keras.Input((4,)), kl.Dense(8, dtype=dtype)])

    assert count_costs(network("float32")).activation_bytes == 32
    assert count_costs(network("mixed_bfloat16")).activation_bytes == 16


@pytest.mark.parametrize(
    "operation, macs",
    [
        (lambda x: keras.ops.nanmedian(x, axis=1), 6 * 2),
        (lambda x: keras.ops.inner(x, np.ones((3, 6))), 4 * 3 * 6 + 4 * 3 * 2),
    ],
)
def test_operations_whose_shape_keras_does_not_infer_are_counted(operation, macs):
    x = keras.Input((4, 6))
    network = keras.Model(x, kl.Dense(2)(operation(x)))
    assert count_costs(network).macs == macs

"""MACs are counted as a forward pass would do them, for any model."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers as kl

from nestrade_lib import count_costs, create_model, register_macs, variable_uses

pytestmark = pytest.mark.any_backend


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
    uses = variable_uses(model)
    total = sum(uses.get(id(v), 0) * math.prod(v.shape) for v in model.variables)
    assert total == count_costs(model).macs == 2_293_000


def test_counting_changes_nothing():
    model = keras.Sequential(
        [keras.Input((4,)), kl.BatchNormalization(), kl.Dropout(0.5), kl.Dense(2)]
    )
    before = [keras.ops.convert_to_numpy(v) for v in model.variables]
    call = keras.Layer.__call__
    count_costs(model)
    assert keras.Layer.__call__ is call
    for old, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(variable))


class Scale(keras.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=shape[-1:])

    def call(self, x):
        return x * self.factor


def test_unknown_layers_say_so_until_they_are_registered():
    model = keras.Sequential([keras.Input((4,)), Scale(name="mine"), kl.Dense(2)])
    costs = count_costs(model)
    assert costs.unknown == ["mine"] and "≥ 8" in str(costs)
    register_macs(Scale)(lambda layer, inputs, output: [(layer.factor, 1)])
    assert count_costs(model).macs == 12 and not count_costs(model).unknown


def test_half_precision_halves_the_activations():
    def network(dtype):
        return keras.Sequential([keras.Input((4,)), kl.Dense(8, dtype=dtype)])

    assert count_costs(network("float32")).activation_bytes == 32
    assert count_costs(network("mixed_bfloat16")).activation_bytes == 16


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (keras.Sequential([kl.Dense(2)]), "Expected a built keras.Model"),
        ("LeNet", "Expected a built keras.Model, got 'LeNet'"),
        (
            keras.Sequential([keras.Input((None, 3)), kl.Conv1D(2, 1)]),
            r"open shape \(None, None, 3\)",
        ),
    ],
)
def test_what_cannot_be_counted_is_refused(model, message):
    with pytest.raises(ValueError, match=message):
        count_costs(model)

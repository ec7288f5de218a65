"""The costs foreseen of a smaller network are those of the network, once it is built."""

import keras
import numpy as np
import pytest
from keras import layers as kl

from benchmarks.structures.rows import random_cut
from nestrade_lib import Budget, Nestrade, count_costs, trace
from nestrade_lib.costs import ChannelCosts
from nestrade_lib.surgery import cut
from tests.support.cuts import randomize
from tests.support.structure_cases import CASES

pytestmark = pytest.mark.any_backend


def foreseen_and_built(network, seeds=(1, 2)):
    graph = trace(network)
    costs = ChannelCosts(graph)
    for seed in seeds:
        mask = random_cut(graph, seed)
        table = count_costs(cut(network, mask, graph))
        total = costs.total(mask)
        yield total, {cost: getattr(table, cost) for cost in total}


def is_open(network):
    return any(None in x.shape[1:] for x in keras.tree.flatten(network.inputs))


NAMES = list(CASES)
if keras.backend.backend() == "jax":
    NAMES = NAMES[::4]  # compiles each operation anew, and shapes are the same


@pytest.mark.parametrize("name", NAMES)
def test_of_every_kind_of_network(name):
    if name == "channels_first" and keras.backend.backend() == "tensorflow":
        pytest.skip("TensorFlow has no channels-first convolution on CPUs")
    if name == "cross_attention" and keras.backend.backend() == "jax":
        pytest.skip("Keras on JAX has no attention with values wider than keys")
    if name == "repeated" and keras.backend.backend() != "tensorflow":
        pytest.skip("Keras repeats by a list of numbers on TensorFlow alone")
    network = CASES[name][0]()
    if is_open(network):
        pytest.skip("what it costs depends on the data")
    randomize(network)
    for foreseen, built in foreseen_and_built(network):
        assert foreseen == built


def attention(**options):
    x, y = keras.Input((6, 8)), keras.Input((5, 7))
    h = kl.MultiHeadAttention(8, 16, **options)(x, x)
    h = kl.Dense(10, "relu")(kl.LayerNormalization()(h))
    h = kl.MultiHeadAttention(4, 6, output_shape=9, **options)(h, kl.Dense(5)(y))
    h = kl.GroupQueryAttention(4, 6, 2, **options)(h, h)
    return keras.Model([x, y], kl.Dense(2)(kl.GlobalAveragePooling1D()(h)))


@pytest.mark.parametrize(
    "options", [{}, {"dropout": 0.1}, {"use_bias": False}], ids=str
)
def test_of_attention(options):
    for foreseen, built in foreseen_and_built(attention(**options), range(4)):
        assert foreseen == built


def with_scores():
    x = keras.Input((6, 8))
    h, _ = kl.MultiHeadAttention(4, 6)(x, x, return_attention_scores=True)
    return keras.Model(x, kl.Dense(2)(h))


def between_positions():
    """Channels that lie along an axis which a Dense repeats over."""
    x = keras.Input((9, 3))
    h = kl.Permute((2, 1))(kl.Conv1D(8, 3, activation="relu")(x))
    h = kl.EinsumDense("...c,cd->...d", 6)(kl.Dense(5, use_bias=False)(h))
    h = kl.GlobalAveragePooling1D()(kl.Permute((2, 1))(h))
    return keras.Model(x, kl.Dense(2)(h))


def one_activation_for_two_widths():
    x, relu = keras.Input((8, 8, 2)), kl.ReLU()
    h = relu(kl.Conv2D(6, 3)(x))
    h = relu(kl.Conv2D(6, 3)(kl.MaxPooling2D()(h)))
    return keras.Model(x, kl.Dense(2)(kl.Flatten()(relu(kl.Conv2D(4, 1)(h)))))


def attention_over_time():
    s = keras.Input((5, 6))
    inner = keras.Model(
        s, kl.GlobalAveragePooling1D()(kl.MultiHeadAttention(4, 3)(s, s))
    )
    x = keras.Input((3, 5, 4))
    h = kl.TimeDistributed(inner)(kl.TimeDistributed(kl.Dense(6))(x))
    return keras.Model(x, kl.Dense(2)(h))


def products_of_tensors():
    x = keras.Input((6, 8))
    a, b = kl.Dense(5)(x), kl.Dense(5)(x)
    h = kl.Attention()([a, kl.Dense(7)(x), b])
    h = kl.Dot(axes=(1, 1))([h, kl.Dense(4)(x)])
    return keras.Model(x, kl.Dense(2)(kl.Flatten()(h)))


@pytest.mark.parametrize(
    "build",
    [
        with_scores,
        between_positions,
        one_activation_for_two_widths,
        attention_over_time,
        products_of_tensors,
    ],
)
def test_of_products_and_layers_inside_layers(build):
    for foreseen, built in foreseen_and_built(build(), range(4)):
        assert foreseen == built


def test_a_budget_that_attention_can_reach_is_not_refused():
    x = keras.Input((6, 8))
    h = kl.MultiHeadAttention(8, 16)(x, x)
    h = kl.MultiHeadAttention(8, 16)(h, h)
    network = keras.Model(x, kl.Dense(2)(h))
    network.compile("sgd", "mse")
    trainer = Nestrade(network, Budget(macs=0.2, activation_bytes=0.2))
    graph, mask = trainer.pruned.graph, trainer.pruned.smallest()
    least = count_costs(cut(network, mask, graph))
    assert trainer.pruned.costs.now.total(mask)["macs"] == least.macs
    alone = np.ones(graph.count, bool)
    whole, saved = (
        trainer.pruned.costs.now.total(alone),
        trainer.pruned.costs.now.savings(alone),
    )
    for group in range(0, graph.count, 7):
        alone[group] = False
        left = trainer.pruned.costs.now.total(alone)
        alone[group] = True
        assert {x: whole[x] - left[x] for x in left} == {
            x: saved[x][group] for x in saved
        }

"""Costs of layers without a rule, and what cannot be counted at all."""

import keras
import pytest
from keras import layers as kl

from benchmarks.structures.rows import random_cut
from nestrade_lib import (
    Budget,
    Nestrade,
    count_costs,
    register_rule,
    restructure,
    trace,
)
from nestrade_lib.costs import ChannelCosts
from nestrade_lib.dependency import registry
from nestrade_lib.report import Report

pytestmark = [pytest.mark.any_backend, pytest.mark.usefixtures("rules")]


def numbers(x):
    """The tensor, refused where it is symbolic: what follows is not observed."""
    if not keras.ops.is_tensor(x):
        raise TypeError("expected numbers")
    return x


class Scale(keras.Layer):
    def build(self, shape):
        self.factor = self.add_weight(shape=shape[-1:])

    def call(self, x):
        return numbers(x) * self.factor


def scale(call):
    *others, channels = call.inputs[0].axes
    call.produces(call.layer.factor, {0: channels})
    call.multiplies(call.layer.factor, call.inputs[0][1:-1])
    return (*others, channels)


def test_unknown_layers_say_so_until_they_are_registered():
    model = keras.Sequential([keras.Input((4,)), Scale(name="mine"), kl.Dense(2)])
    costs = count_costs(model)
    assert costs.unknown == ["mine"] and "≥ 8" in str(costs)
    register_rule(Scale)(scale)
    assert count_costs(model).macs == 12 and not count_costs(model).unknown


class Products(keras.Layer):
    """Each kind of product by its operation, two of them with weights of its own."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(3, 3, shape[-1], 4))
        self.depthwise = self.add_weight(shape=(3, 3, 4, 2))
        self.transposed = self.add_weight(shape=(2, 2, 5, 8))
        self.matrix = self.add_weight(shape=(5, 6))
        self.inner = kl.Dense(7)
        self.inner.build((6,))
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        ops = keras.ops
        self.calls.assign_add(1.0)
        self.add_loss(ops.sum(x))
        x = ops.depthwise_conv(ops.conv(x, self.kernel), self.depthwise)
        x = ops.conv_transpose(x, self.transposed, 2) @ (self.matrix / 2)
        x = ops.dot_product_attention(x, x, x)
        return self.inner(ops.einsum("bhwd->bhd", x))


def test_the_products_of_an_own_call_are_seen_when_it_runs():
    layer = Products()
    network = keras.Sequential([keras.Input((8, 8, 3)), layer])
    before = float(layer.calls.value)
    costs = count_costs(network)
    convolutions = 6 * 6 * 27 * 4 + 4 * 4 * 9 * 8 + 4 * 4 * 8 * 4 * 5
    attention = 2 * 8 * 8 * 8 * 6
    assert costs.macs == convolutions + 8 * 8 * 5 * 6 + attention + 8 * 6 * 7
    assert not costs.unknown and float(layer.calls.value) == before


class Cell(keras.Layer):
    state_size = 6

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 6))
        self.again = self.add_weight(shape=(6, 6))

    def call(self, x, states):
        h = keras.ops.tanh(x @ self.kernel + keras.ops.matmul(states[0], self.again))
        return h, [h]


def test_a_cell_without_a_rule_costs_what_it_does_at_each_step():
    layers = [kl.Dense(8), kl.Dense(8), kl.RNN(Cell(name="mine")), kl.Dense(2)]
    network = keras.Sequential([keras.Input((5, 4)), *layers])
    with pytest.warns(UserWarning, match="as they are.*'mine'"):
        graph = trace(network)
    mask = random_cut(graph)
    foreseen = ChannelCosts(graph).total(mask)
    assert count_costs(network).macs == 5 * (4 * 8 + 8 * 8 + 8 * 6 + 6 * 6) + 6 * 2
    assert foreseen["macs"] == count_costs(restructure(network, mask, graph)).macs


@keras.saving.register_keras_serializable("test_costs")
class Block(keras.Layer):
    """A layer of layers, with a weight of its own that nothing multiplies."""

    def __init__(self, **options):
        super().__init__(**options)
        self.first, self.second = kl.Dense(5, "relu"), kl.Dense(3)

    def build(self, shape):
        self.table = self.add_weight(shape=(2, 3))
        self.first.build(shape)
        self.second.build((*shape[:-1], 5))

    def call(self, x):
        return self.second(self.first(numbers(x))) + self.table[0]

    def get_config(self):
        return super().get_config()


def test_a_layer_of_layers_shows_them_until_a_rule_covers_it():
    layers = [kl.Dense(8), kl.Dense(6), Block(name="mine"), kl.Dense(2)]
    model = keras.Sequential([keras.Input((7, 4)), *layers])
    costs = count_costs(model)
    assert costs.unknown == ["mine"] and len(costs.layers) == 6
    assert costs.macs == 7 * (4 * 8 + 8 * 6 + 6 * 5 + 5 * 3 + 3 * 2)
    # Kept as it is, it costs the same beside whatever is cut.
    graph = trace(model, ignored_layers=["mine"])
    mask = random_cut(graph)
    foreseen = ChannelCosts(graph).total(mask)
    table = count_costs(restructure(model, mask, graph))
    assert foreseen == {cost: getattr(table, cost) for cost in foreseen}

    @register_rule(Block)
    def block(call):
        call.pin(call.inputs[0].axes[-1], "reads them as it likes")
        places = call.inputs[0][1:-1]
        call.multiplies(call.layer.first.kernel, places)
        call.multiplies(call.layer.second.kernel, places)
        return (*call.inputs[0].axes[:-1], None)

    assert count_costs(model).unknown == ["mine"]  # of the table, it says nothing
    rule = registry.find_rule(model.get_layer("mine"))

    @register_rule(Block)
    def whole(call):
        call.multiplies(call.layer.table, 0)
        return rule(call)

    covered = count_costs(model)
    assert not covered.unknown and len(covered.layers) == 4
    assert covered.macs == costs.macs and covered.params == costs.params


class Gain(Scale):
    """The same, never registered."""

    def call(self, x):
        return super().call(x)


def gained(classes=2):
    layers = [Gain(name="mine"), kl.Dense(6), kl.Dense(classes)]
    network = keras.Sequential([keras.Input((4,)), *layers])
    network.compile("sgd", "mse")
    return network


@pytest.mark.parametrize(
    "budget", [0.5, Budget(macs=0.5, params=0.5), Budget(latency=0.5)], ids=str
)
def test_a_budget_of_what_no_rule_counts_is_refused(budget):
    with pytest.raises(ValueError, match="'mine'.*register_rule"):
        Nestrade(gained(), budget, ignored_layers=["mine"])
    # Of other costs, and where nothing is to go, it is none of its concern.
    for other in (Budget(params=0.9), 1):
        assert Nestrade(
            gained(), other, ignored_layers=["mine"]
        ).dense_costs.unknown == ["mine"]
    register_rule(Gain)(scale)
    assert (
        Nestrade(gained(), 0.5, ignored_layers=["mine"]).dense_costs.macs == 4 + 24 + 12
    )


def test_a_report_says_that_a_total_is_a_least_one():
    report = str(Report(count_costs(gained(4)), count_costs(gained(2))))
    assert "≥ 48 → ≥ 36" in report and " ? " in report


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

"""Layers that share a name are told apart wherever a name stands for a layer."""

import keras
import numpy as np
import pytest
from keras import layers as kl

from nestrade_lib import (
    Nestrade,
    Schedule,
    UnsupportedLayer,
    count_costs,
    restructure,
    trace,
)
from nestrade_lib.choice import choose
from nestrade_lib.costs import ChannelCosts
from nestrade_lib.names import layer_names
from nestrade_lib.report import Report

pytestmark = pytest.mark.any_backend


def tower(name, *widths):
    layers = [kl.Dense(n, "relu", name=f"fc{k}") for k, n in enumerate(widths, start=1)]
    return keras.Sequential([keras.Input((6,)), *layers], name=name)


def towers():
    """Two models with layers of the same names, and one in the open."""
    x = keras.Input((6,))
    both = kl.Concatenate()([tower("A", 16, 24)(x), tower("B", 32, 12)(x)])
    return keras.Model(x, kl.Dense(3, name="head")(kl.Dense(8, name="fc1")(both)))


def attentions():
    x = keras.Input((6, 8))
    h = kl.MultiHeadAttention(4, 4, name="one")(x, x)
    h = kl.MultiHeadAttention(2, 6, name="two")(h, h)
    return keras.Model(x, kl.Dense(3, name="head")(h))


def test_a_name_has_its_path_where_another_layer_has_it_too():
    graph = trace(towers())
    assert dict(zip(*np.unique(graph.layers, return_counts=True), strict=True)) == {
        "A/fc1": 16, "A/fc2": 24, "B/fc1": 32, "B/fc2": 12, "fc1": 8
    }  # fmt: skip
    assert {*graph.layers} <= set(graph.widths)
    assert graph.names[0].startswith("A/fc1/") and set(graph.fixed) == {"head"}
    names = list(layer_names(attentions()).values())
    assert {"one/query", "two/query", "one", "two", "head"} <= set(names)
    assert len(set(names)) == len(names)
    rows = [row.name for row in count_costs(towers()).layers]
    assert {"A/fc1", "A/fc2", "B/fc1", "B/fc2", "fc1", "head"} <= set(rows)
    assert len(set(rows)) == len(rows)


@pytest.mark.parametrize("multiple", [4, 8])
def test_each_of_them_has_widths_of_its_own(multiple):
    network = towers()
    network.compile("sgd", "mse")
    trainer = Nestrade(network, 0.5, schedule=Schedule(round_to=multiple))
    assert list(trainer.widths.values()) == [16, 24, 32, 12, 8]
    rng = np.random.default_rng(0)
    for _ in range(5):
        mask = trainer.pruned.choose(1, rng.random(60 + 32), 1.0)
        graph = trainer.pruned.graph
        kept = {x: mask[graph.layers == x].sum() for x in trainer.widths}
        for layer, width in trainer.widths.items():
            assert kept[layer] == width or kept[layer] % multiple == 0, layer


def test_costs_that_are_foreseen_are_those_of_the_built_network():
    network = towers()
    graph = trace(network)
    costs = ChannelCosts(graph)
    for seed in range(3):
        scores = np.random.default_rng(seed).random(graph.count)
        dense = costs.total(np.ones(graph.count, bool))
        mask = choose(graph, costs, scores, {"macs": 0.4 * dense["macs"]})
        left, built = costs.total(mask), count_costs(restructure(network, mask, graph))
        assert {cost: getattr(built, cost) for cost in left} == left


def test_one_of_them_is_kept_by_its_path_or_as_an_object():
    network = towers()
    inner = network.get_layer("B").get_layer("fc1")
    for mask in (["B/fc1"], [inner]):
        assert set(trace(network, mask).layers) == {"A/fc1", "A/fc2", "B/fc2", "fc1"}
    # Alone at its level, a name means the layer that is there.
    inner = {"A/fc1", "A/fc2", "B/fc1", "B/fc2"}
    assert set(trace(network, ["fc1"]).layers) == inner
    with pytest.raises(ValueError, match="'fc2'.*several.*'A/fc2', 'B/fc2'"):
        trace(network, ["fc2"])
    kept = trace(network, ["B"]).layers
    assert set(kept) == {"A/fc1", "A/fc2", "fc1"}


def test_a_network_may_have_the_name_of_a_layer_that_is_kept():
    layers = [kl.Dense(6, name="same"), kl.Dense(5), kl.Dense(2)]
    network = keras.Sequential([keras.Input((4,)), *layers], name="same")
    assert trace(network, ["same"]).count == 5


def test_what_is_refused_is_named_as_keep_takes_it():
    class Odd(kl.Layer):
        def build(self, shape):
            self.add_weight(shape=shape[-1:])

        def call(self, x):
            return x * self.weights[0]

    def odd(name):
        layer = Odd(name="odd")
        layers = [kl.Dense(5, name="first"), layer, kl.Dense(4, name="last")]
        return keras.Sequential([keras.Input((6,)), *layers], name=name)

    x = keras.Input((6,))
    network = keras.Model(x, kl.Dense(3)(kl.Add()([odd("A")(x), odd("B")(x)])))
    with pytest.raises(UnsupportedLayer, match=r"ignored_layers=\['A/odd', 'B/odd'\]"):
        trace(network, strict=True)
    assert set(trace(network, ["A/odd", "B/odd"]).layers) == {"A/last"}


def test_the_rows_of_a_report_add_up_to_its_total():
    network = attentions()
    graph = trace(network)
    mask = np.ones(graph.count, bool)
    for sets in graph.widths.values():
        mask[sets[0][1:]] = False
    before, after = count_costs(network), count_costs(restructure(network, mask, graph))
    cells = list(Report(before, after)._cells())
    for column, total in ((2, after.macs), (4, after.params)):
        shown = [row[column].split("→")[-1].strip() for row in cells[1:]]
        numbers = [0 if cell == "-" else int(cell.replace(",", "")) for cell in shown]
        assert sum(numbers[:-1]) == numbers[-1] == total

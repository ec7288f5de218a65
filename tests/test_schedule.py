"""Whatever the scores, a choice keeps to its costs, its layers and its order."""

import functools

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from keras import layers as kl

from nestrade_lib import Budget, Schedule, count_costs, restructure, trace
from nestrade_lib.choice import choose, smallest
from nestrade_lib.costs import ChannelCosts
from nestrade_lib.training.pruned_network import PrunedNetwork
from tests.support.greedy import choose_simply
from tests.support.structure_cases import CASES

pytestmark = pytest.mark.any_backend


def network():
    x = keras.Input((8, 8, 2))
    h = kl.Conv2D(6, 3, activation="relu")(x)
    h = kl.Add()([h, kl.Conv2D(6, 3, padding="same", activation="relu")(h)])
    h = kl.Flatten()(kl.MaxPooling2D()(h))
    return keras.Model(x, kl.Dense(3)(kl.Dense(12, activation="relu")(h)))


NETWORK = network()
GRAPH = trace(NETWORK)
COSTS = ChannelCosts(GRAPH)
DENSE = COSTS.total(np.ones(GRAPH.count, bool))
CHOICES = """dense_block residual_identity_and_projection grouped_convolution split_and_sliced
concatenated_with_itself transformer_block grouped_query_attention lstm nested_models
shuffled_channels siamese""".split()


@functools.cache
def case_costs(name):
    graph = trace(CASES[name][0]())
    costs = ChannelCosts(graph)
    return graph, costs, costs.total(np.ones(graph.count, bool))


scores = st.lists(
    st.floats(0, 1e6, allow_subnormal=False), min_size=GRAPH.count, max_size=GRAPH.count
).map(np.array)


@settings(max_examples=60)
@given(scores=scores, macs=st.floats(0.15, 1), params=st.floats(0.15, 1))
def test_costs_are_met_and_no_layer_is_emptied(scores, macs, params):
    allowed = {"macs": macs * DENSE["macs"], "params": params * DENSE["params"]}
    mask = choose(GRAPH, COSTS, scores, allowed)
    left = COSTS.total(mask)
    assert all(left[cost] <= limit * (1 + 1e-9) for cost, limit in allowed.items())
    assert not GRAPH.emptied(mask)
    for layer in set(GRAPH.layers):
        here = GRAPH.layers == layer
        if (mask & here).any() and (~mask & here).any():
            assert scores[mask & here].min() >= scores[~mask & here].max()


@settings(max_examples=8)
@given(scores=scores)
def test_the_cost_of_an_unbuilt_network_is_that_of_the_built_one(scores):
    mask = choose(GRAPH, COSTS, scores, {"macs": 0.4 * DENSE["macs"]})
    built = count_costs(restructure(NETWORK, mask, GRAPH))
    left = COSTS.total(mask)
    assert built.macs == left["macs"] and built.params == left["params"]
    assert built.activation_bytes == left["activation_bytes"]


@settings(max_examples=40)
@given(scores=scores, ratio=st.floats(0.01, 1), round_to=st.integers(1, 6))
def test_no_layer_loses_more_than_allowed_and_no_width_is_a_dead_end(
    scores, ratio, round_to
):
    mask = choose(GRAPH, COSTS, scores, {"macs": 1.0}, ratio, round_to)
    for layer in set(GRAPH.layers):
        width = (GRAPH.layers == layer).sum()
        gone = width - (mask & (GRAPH.layers == layer)).sum()
        assert gone <= max(ratio * width, width % round_to or round_to) + 1e-9
    freely = choose(GRAPH, COSTS, scores, {"macs": 1.0}, round_to=round_to)
    assert mask.all() == freely.all()


@settings(max_examples=60)
@given(seed=st.integers(0, 999), share=st.floats(0.1, 0.9), round_to=st.integers(2, 9))
def test_widths_that_are_cut_become_multiples(seed, share, round_to):
    layers = [kl.Dense(25), kl.Dense(50), kl.Dense(33), kl.Dense(3)]
    network = keras.Sequential([keras.Input((8,)), *layers])
    graph = trace(network)
    costs = ChannelCosts(graph)
    dense = costs.total(np.ones(graph.count, bool))
    scores = np.random.default_rng(seed).random(graph.count)
    mask = choose(
        graph, costs, scores, {"macs": share * dense["macs"]}, round_to=round_to
    )
    for layer in set(graph.layers):
        here = graph.layers == layer
        assert mask[here].all() or mask[here].sum() % round_to == 0


@pytest.mark.parametrize("name", CHOICES)
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_choice_is_that_of_the_simple_greedy_search(name, data):
    """Equal to the last group; only blocks of equal value up to rounding may differ."""
    graph, costs, dense = case_costs(name)
    seed = data.draw(st.integers(0, 10**6))
    scores = np.random.default_rng(seed).random(graph.count)
    round_to = data.draw(st.integers(1, 4))
    if round_to == 1 and data.draw(st.booleans()):
        scores = np.round(scores, 1)  # many ties, all of which fall the same way
    names = data.draw(st.sets(st.sampled_from(sorted(dense)), min_size=1))
    allowed = {x: data.draw(st.floats(0.01, 1)) * dense[x] for x in sorted(names)}
    ratio = data.draw(st.sampled_from([0.3, 0.6, 1.0]))
    min_widths = {
        layer: data.draw(st.integers(0, 4)) for layer in sorted(set(graph.layers))
    }
    limits = allowed, ratio, round_to, min_widths
    mask = choose(graph, costs, scores, *limits)
    simple = choose_simply(graph, costs, scores, *limits)
    assert np.array_equal(mask, simple)
    nothing = dict.fromkeys(dense, 1e-12)
    least = choose_simply(graph, costs, np.ones(graph.count), nothing, 1.0, round_to)
    assert np.array_equal(smallest(graph, round_to), least)


def test_the_path_falls_from_all_to_the_budget():
    budget = Budget(macs=0.1, params=0.4)
    path = [budget.path(u)["macs"] for u in np.linspace(0, 1, 9)]
    assert path[0] == 1 and np.isclose(path[-1], 0.1)
    assert (np.diff(path) < 0).all() and (np.diff(path, 2) > 0).all()


@pytest.mark.parametrize(
    "options",
    [
        {"start": -0.1},
        {"start": 0.5, "stop": 0.4},
        {"cuts": 0},
        {"max_pruning_ratio": 0},
        {"round_to": 0},
        {"round_to": 2.5},
        {"cuts": True},
        {"shrink": "long"},
        {"start": "a"},
    ],
)
def test_bad_schedules_are_refused(options):
    with pytest.raises(ValueError, match="Schedule: "):
        Schedule(**options)


def test_a_limit_is_not_passed_by_a_hundredth():
    layers = [keras.Input((4,)), keras.layers.Dense(200), keras.layers.Dense(2)]
    graph = trace(keras.Sequential(layers))
    kept = choose(graph, ChannelCosts(graph), np.arange(200), {"macs": 606})
    assert np.count_nonzero(kept) == 101


@settings(max_examples=60)
@given(
    scores=scores,
    share=st.floats(0.02, 1),
    min_width=st.floats(0, 0.99),
    round_to=st.integers(1, 4),
)
def test_no_layer_falls_below_a_part_of_an_even_cut(scores, share, min_width, round_to):
    schedule = Schedule(round_to=round_to)
    pruned = PrunedNetwork(NETWORK, Budget(macs=share), schedule)
    assume(share >= COSTS.total(pruned.smallest())["macs"] / DENSE["macs"])
    limit = {"macs": share * DENSE["macs"]}
    even = COSTS.even_share(limit)
    mask = pruned.choose(1, scores, 1.0, min_width)
    freely = pruned.choose(1, scores, 1.0)
    assert COSTS.total(mask)["macs"] <= limit["macs"] * (1 + 1e-9)
    widths = {layer: (GRAPH.layers == layer).sum() for layer in set(GRAPH.layers)}
    kept = {layer: (mask & (GRAPH.layers == layer)).sum() for layer in widths}
    holds = all(
        kept[layer] >= int(min_width * even * width) for layer, width in widths.items()
    )
    assert holds or np.array_equal(mask, freely)
    if round_to == 1 and share > 0.1:  # nothing is rounded up beyond the budget
        assert holds


@pytest.mark.parametrize("name", CHOICES)
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(share=st.floats(0.01, 1), cost=st.sampled_from(["macs", "params"]))
def test_an_even_share_costs_what_is_allowed(name, share, cost):
    _, costs, dense = case_costs(name)
    even = costs.even_share({cost: share * dense[cost]})
    none = costs.axes.lengths(np.zeros(costs.graph.count, bool))
    cuttable = costs.axes.lengths(np.ones(costs.graph.count, bool)) - none
    total = costs.total_of(none + even * cuttable)[cost]
    assert total <= share * dense[cost] or even == 0
    assert even == 1 or total >= (share - 1e-4) * dense[cost]

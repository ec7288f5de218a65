"""Variables with equal paths: encoders that were loaded, and towers that are copies."""

import keras
import numpy as np
import pytest
from keras import layers as kl

from benchmarks.structures.rows import random_cut
from nestrade_lib import Budget, Nestrade, Schedule, count_costs, trace
from nestrade_lib.costs import ChannelCosts
from nestrade_lib.importance import bn_scale, magnitude
from nestrade_lib.surgery import cut, verify
from nestrade_lib.surgery.probes import random_inputs
from tests.support.cuts import OPTIMIZERS, randomize, trained
from tests.support.small import EAGER

pytestmark = pytest.mark.any_backend


def encoder(name, *widths):
    x = h = keras.Input((6,))
    for number, width in enumerate(widths):
        h = kl.Dense(width, "sigmoid", name=f"dense_{number}")(h)
        h = kl.BatchNormalization(name=f"norm_{number}")(h)
    return keras.Model(x, h, name=name)


def loaded(tmp_path):
    """A model from a file, and a head whose layers are named as its own."""
    encoder("encoder", 12, 10).save(tmp_path / "encoder.keras")
    inside = keras.models.load_model(tmp_path / "encoder.keras")
    x = keras.Input((6,))
    h = kl.Dense(8, "relu", name="dense_0")(inside(x))
    h = kl.BatchNormalization(name="norm_1")(h)
    return keras.Model(x, kl.Dense(3, name="dense_1")(h))


def copies(tmp_path):
    """Two towers that are copies of one network."""
    original = encoder("left", 12, 10)
    left = keras.models.clone_model(original)
    right = keras.models.clone_model(original)
    right.name = "right"
    x, y = keras.Input((6,)), keras.Input((6,))
    both = kl.Concatenate()([left(x), right(y)])
    return keras.Model([x, y], kl.Dense(3, name="head")(both))


BUILDS = [loaded, copies]


def shares_paths(network):
    paths = [v.path for v in network.variables]
    return len(set(paths)) < len(paths)


NUMBERS = range(len(OPTIMIZERS) + 1)
if keras.backend.backend() == "jax":
    NUMBERS = NUMBERS[::3]  # compiles each anew, and paths are Keras' own


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("number", NUMBERS)
def test_they_are_cut_each_for_itself(build, number, tmp_path):
    network = build(tmp_path)
    assert shares_paths(network)
    randomize(network)
    probe = random_inputs(network)
    averaged = keras.optimizers.Adam(use_ema=True)
    trained(network, [*(make() for make in OPTIMIZERS), averaged][number], probe)
    graph = trace(network)
    assert graph.count == (12 + 10 + 8 if build is loaded else 2 * (12 + 10))
    mask = random_cut(graph)
    smaller = cut(network, mask, graph)
    errors = verify(network, smaller, mask, probe, graph)
    assert set(errors) == {"outputs", "gradients", "step"}
    assert max(errors.values()) <= 1e-5

    table, foreseen = count_costs(smaller), ChannelCosts(graph).total(mask)
    assert foreseen == {cost: getattr(table, cost) for cost in foreseen}
    again = cut(smaller, np.ones(mask.sum(), bool))
    assert [v.shape for v in again.variables] == [v.shape for v in smaller.variables]


@pytest.mark.parametrize("build", BUILDS)
def test_they_are_scored_each_for_itself(build, tmp_path):
    network = build(tmp_path)
    graph = trace(network)
    for variable in network.trainable_variables:
        variable.assign(np.full(variable.shape, 0.5))
    first = network.get_layer("encoder" if build is loaded else "left")
    for variable in first.trainable_variables:
        variable.assign(np.full(variable.shape, 2.0))
    inside = np.char.startswith(graph.layers, f"{first.name}/")
    assert inside.any() and (~inside).any()
    for score in (magnitude, bn_scale):
        scores = score(network, graph)
        np.testing.assert_allclose(scores[inside], 2.0)
        np.testing.assert_allclose(scores[~inside], 0.5)


@pytest.mark.parametrize("build", BUILDS)
def test_they_are_trained_and_cut(build, tmp_path):
    network = build(tmp_path)
    network.compile(keras.optimizers.Adam(0.01), "mse", run_eagerly=EAGER)
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(64, 6)).astype("float32") for _ in network.inputs]
    y = rng.normal(size=(64, 3)).astype("float32")
    schedule = Schedule(0.2, 0.7, 3, max_pruning_ratio=1.0)
    trainer = Nestrade(network, Budget(macs=0.5, params=0.5), schedule=schedule)
    x = x[0] if len(x) == 1 else x
    trainer.fit(x, y, epochs=4, batch_size=16, verbose=0)
    assert trainer.met and len(trainer.cuts) >= 1
    assert trainer.costs.macs <= 0.5 * trainer.dense_costs.macs

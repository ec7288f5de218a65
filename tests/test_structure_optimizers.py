"""An optimizer goes on, after a cut, where it was before."""

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import optimizers

from benchmarks.structures.rows import random_cut
from nestrade_lib import restructure, trace, verify
from nestrade_lib.optimizers import innermost
from nestrade_lib.surgery.probes import random_inputs
from tests.support.cuts import (
    assert_same,
    outputs,
    randomize,
    small_network,
    trained,
    zero_channels,
)

DECAY = optimizers.schedules.ExponentialDecay(0.01, 2, 0.5)


OPTIMIZERS = {
    "sgd": lambda: optimizers.SGD(0.01),
    "momentum": lambda: optimizers.SGD(0.01, momentum=0.9),
    "nesterov": lambda: optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    "adam": lambda: optimizers.Adam(0.01),
    "amsgrad": lambda: optimizers.Adam(0.01, amsgrad=True),
    "adamw": lambda: optimizers.AdamW(0.01, weight_decay=0.1),
    "rmsprop": lambda: optimizers.RMSprop(0.01, momentum=0.9, centered=True),
    "lion": lambda: optimizers.Lion(0.01),
    "adagrad": lambda: optimizers.Adagrad(0.01),
    "nadam": lambda: optimizers.Nadam(0.01),
    "ftrl": lambda: optimizers.Ftrl(0.01),
    "schedule": lambda: optimizers.Adam(DECAY),
    "clipped": lambda: optimizers.Adam(0.01, global_clipnorm=0.1),
    "averaged": lambda: optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9),
    "accumulated": lambda: optimizers.Adam(0.01, gradient_accumulation_steps=3),
    "scaled": lambda: optimizers.LossScaleOptimizer(optimizers.Adam(0.01)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_goes_on_where_it_was(name):
    network = small_network()
    randomize(network)
    probe = random_inputs(network)
    trained(network, OPTIMIZERS[name](), probe)
    if name != "schedule":
        network.optimizer.learning_rate = 0.005
    graph = trace(network)
    mask = random_cut(graph)
    smaller = restructure(network, mask, graph, probe)
    assert verify(network, smaller, mask, probe, graph)["step"] <= 1e-5
    old, new = network.optimizer, smaller.optimizer
    assert float(new.learning_rate) == float(old.learning_rate)
    assert int(new.iterations) == int(old.iterations)
    assert len(new.variables) == len(old.variables)


def test_averages_of_weights_are_those_of_the_same_network():
    """What a cut sigmoid leaves goes into the average of its reader's bias too."""
    stack = [L.Dense(8, "sigmoid"), L.Dense(6, "relu"), L.Dense(2)]
    network = keras.Sequential([keras.Input((4,)), *stack])
    randomize(network)
    probe = random_inputs(network)
    trained(network, OPTIMIZERS["averaged"](), probe)
    graph = trace(network)
    mask = random_cut(graph)
    smaller = restructure(network, mask, graph, probe)
    for each in (network, smaller):
        each.optimizer.finalize_variable_values(each.trainable_variables)
    zero_channels(network, graph, mask)
    assert_same(outputs(network, probe), outputs(smaller, probe))


@keras.saving.register_keras_serializable("tests")
class Gentle(optimizers.SGD):
    """An optimizer with a number of its own that its configuration does not mask."""

    gentleness = 1.0

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient * self.gentleness, variable, learning_rate)


SPARED = {
    "names": lambda network: {"var_names": ["bias", "beta"]},
    "variable": lambda network: {"var_list": [network.get_layer("a").kernel]},
}


@pytest.mark.any_backend
@pytest.mark.parametrize("built", [True, False])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("spared", SPARED)
def test_exclusions_from_weight_decay_are_carried_over(spared, scaled, built):
    network = keras.Sequential(
        [keras.Input((4,)), L.Dense(6, "relu", name="a"), L.Dense(3), L.Dense(2)]
    )
    randomize(network)
    inner = optimizers.AdamW(1e-3, weight_decay=0.5)
    excluded = SPARED[spared](network)
    inner.exclude_from_weight_decay(**excluded)
    network.compile(optimizers.LossScaleOptimizer(inner) if scaled else inner, "mse")
    if built:
        network.optimizer.build(network.trainable_variables)
    once = restructure(network, random_cut(trace(network)))
    twice = restructure(once, np.arange(trace(once).count) != 0)
    for smaller in (once, twice):
        if not smaller.optimizer.built:
            smaller.optimizer.build(smaller.trainable_variables)
        before = [keras.ops.convert_to_numpy(v) for v in smaller.trainable_variables]
        nothing = [keras.ops.zeros(v.shape) for v in smaller.trainable_variables]
        innermost(smaller.optimizer).apply(nothing, smaller.trainable_variables)
        for variable, value in zip(smaller.trainable_variables, before):
            stays = np.array_equal(value, keras.ops.convert_to_numpy(variable))
            end = "bias" if "var_names" in excluded else "a/kernel"
            assert stays == variable.path.endswith(end), variable.path


@pytest.mark.any_backend
def test_verification_sees_lost_exclusions():
    network = small_network()
    randomize(network)
    optimizer = optimizers.AdamW(1e-3, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    network.compile(optimizer, "mse")
    optimizer.build(network.trainable_variables)
    graph = trace(network)
    mask = random_cut(graph)
    smaller = restructure(network, mask, graph)
    assert verify(network, smaller, mask, graph=graph)["step"] <= 1e-5
    smaller.optimizer = optimizers.AdamW(1e-3, weight_decay=0.5)
    smaller.optimizer.build(smaller.trainable_variables)
    assert verify(network, smaller, mask, graph=graph)["step"] > 1e-5


@pytest.mark.any_backend
@pytest.mark.parametrize("scaled", [False, True])
def test_what_is_set_on_an_optimizer_beside_its_configuration_is_carried_over(scaled):
    network = small_network()
    keras.saving.register_keras_serializable("tests")(Gentle)  # whatever ran before
    inner = Gentle(0.01)
    inner.gentleness = 0.25
    network.compile(optimizers.LossScaleOptimizer(inner) if scaled else inner, "mse")
    network.optimizer.build(network.trainable_variables)
    smaller = restructure(network, random_cut(trace(network)))
    assert innermost(smaller.optimizer).gentleness == 0.25

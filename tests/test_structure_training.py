"""Training state survives a cut: optimizers, precision, flags, memory."""

import gc
import os
import pathlib
import subprocess
import sys
import weakref

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import optimizers
from test_structure_cases import outputs, random_cut, randomize, trained, zero_channels

from nestrade_lib import restructure, trace, verify
from nestrade_lib.surgery.proof import random_inputs, tolerance

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


def small_network():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            L.Conv2D(6, 3, activation="sigmoid", name="conv"),
            L.Conv2D(8, 2, use_bias=False),
            L.BatchNormalization(),
            L.ReLU(),
            L.Flatten(),
            L.Dense(2),
        ]
    )


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_goes_on_where_it_was(name):
    network = small_network()
    randomize(network)
    probe = random_inputs(network)
    trained(network, OPTIMIZERS[name](), probe)
    if name != "schedule":
        network.optimizer.learning_rate = 0.005
    graph = trace(network)
    keep = random_cut(graph)
    smaller = restructure(network, keep, graph, probe)
    assert verify(network, smaller, keep, probe, graph)["step"] <= 1e-5
    old, new = network.optimizer, smaller.optimizer
    assert float(new.learning_rate) == float(old.learning_rate)
    assert int(new.iterations) == int(old.iterations)
    assert len(new.variables) == len(old.variables)


def test_training_goes_on_alike():
    """Steps of Keras' own loop: the small network follows the large, zeroed one."""
    network = small_network()
    randomize(network)
    probe = random_inputs(network, samples=16)
    trained(network, optimizers.SGD(0.01, momentum=0.9), probe)
    graph = trace(network)
    keep = random_cut(graph)
    smaller = restructure(network, keep, graph, probe)
    zero_channels(network, graph, keep)
    targets = np.random.default_rng(3).normal(size=(16, 2))
    losses = [
        [float(model.train_on_batch(probe, targets)) for _ in range(2)]
        for model in (network, smaller)
    ]
    # After a first step the zeroed channels of the large network move again.
    assert losses[0][0] == pytest.approx(losses[1][0], rel=1e-5)


def test_compile_state_is_carried_over():
    network = small_network()

    def own_loss(targets, found):
        return keras.ops.mean((targets - found) ** 4, axis=-1)

    steps = 1 if keras.backend.backend() == "torch" else 3
    network.compile("sgd", own_loss, metrics=["mae", keras.metrics.MeanSquaredError()],
                    steps_per_execution=steps, jit_compile=False)  # fmt: skip
    smaller = restructure(network, random_cut(trace(network)))
    x, y = random_inputs(network), np.zeros((4, 2))
    assert set(smaller.evaluate(x, y, verbose=0, return_dict=True)) == {
        "loss", "mae", "mean_squared_error",
    }  # fmt: skip
    assert smaller.loss is own_loss
    assert smaller.steps_per_execution == steps
    assert smaller.jit_compile is False
    assert smaller.name == network.name


def test_frozen_flags_are_carried_over():
    network = small_network()
    network.get_layer("conv").trainable = False
    graph = trace(network)
    assert set(graph.layers) == {
        "conv2d" if "conv2d" in graph.layers else graph.layers[0]
    }
    smaller = restructure(network, random_cut(graph), graph)
    assert not smaller.get_layer("conv").trainable
    assert smaller.get_layer("conv").filters == 6
    assert [v.trainable for v in smaller.variables] == [
        v.trainable for v in network.variables
    ]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_other_precisions(policy):
    if keras.backend.backend() == "jax" and policy == "float64":
        pytest.skip("JAX computes in 64 bits only where the user enables it")
    keras.config.set_dtype_policy(policy)
    try:
        network = small_network()
        randomize(network)
        probe = random_inputs(network)
        trained(network, optimizers.Adam(0.01), probe)
    finally:
        keras.config.set_dtype_policy("float32")
    keep = random_cut(trace(network))
    smaller = restructure(network, keep, probe=probe)
    assert smaller.layers[0].compute_dtype == network.layers[0].compute_dtype
    assert type(smaller.optimizer) is type(network.optimizer)
    assert max(verify(network, smaller, keep, probe).values()) <= tolerance(network)


def test_counts_and_sums_are_those_of_the_built_network():
    network = small_network()
    graph = trace(network)
    rng = np.random.default_rng(0)
    keep = random_cut(graph)
    uses = {v.path: rng.integers(1, 9) for v in network.variables}
    smaller = restructure(network, keep, graph)
    built = sum(
        uses[old.path] * np.prod(new.shape)
        for old, new in zip(network.variables, smaller.variables)
    )
    assert graph.cost(uses, keep) == built
    for group in np.flatnonzero(keep)[::3]:
        without = keep.copy()
        without[group] = False
        drop = graph.cost(uses, keep) - graph.cost(uses, without)
        assert graph.savings(uses, keep)[group] == pytest.approx(drop)
    # Each group's sum is over the slices that its members list.
    arrays = {v.path: rng.normal(size=v.shape) for v in network.variables}
    for group in range(0, graph.count, 4):
        total = sum(
            arrays[m.path].take(m.positions, m.axis).sum()
            for m in graph.members(group)
            if m.role == "produce"
        )
        assert graph.sums(arrays)[group] == pytest.approx(total)


REPLICAS = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras
from test_structure_training import *
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    network = small_network()
    network.compile(optimizers.Adam(0.01), "mse")
x, y = random_inputs(network, samples=8), np.ones((8, 2))
network.fit(x, y, verbose=0)
graph = trace(network)
keep = random_cut(graph)
smaller = restructure(network, keep, graph)
assert smaller.distribute_strategy is strategy
smaller.fit(x, y, verbose=0)  # with every replica's variables of the new shapes
kernel = smaller.get_layer("conv").kernel
kernel.assign(kernel.numpy() + 0.01)
assert verify(network, smaller, keep, graph=graph)["outputs"] > 1e-5
"""


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow")
def test_two_replicas():
    """In a process of its own, since devices are divided before anything runs."""
    here = pathlib.Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parent)])
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_fifty_cuts_leave_one_network():
    network = keras.Sequential(
        [keras.Input((4,)), L.Dense(60, activation="relu"), L.Dense(2)]
    )
    trained(network, optimizers.Adam(), random_inputs(network))
    gone = []
    for _ in range(50):
        graph = trace(network)
        gone.append(weakref.ref(network))
        keep = np.arange(graph.count) > 0
        network = restructure(network, keep, graph)
    del graph
    gc.collect()
    assert network.layers[0].units == 10
    assert sum(ref() is not None for ref in gone) == 0
    assert np.isfinite(outputs(network, random_inputs(network))[0]).all()

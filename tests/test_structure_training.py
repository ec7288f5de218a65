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

from benchmarks.structures.rows import random_cut
from nestrade_lib import count_costs, restructure, trace, verify
from nestrade_lib.configuration import blank_variables
from nestrade_lib.costs import ChannelCosts
from nestrade_lib.surgery.probes import random_inputs
from nestrade_lib.surgery.rounding import tolerance
from tests.support.cuts import outputs, randomize, small_network, trained, zero_channels


def test_training_goes_on_alike():
    """Steps of Keras' own loop: the small network follows the large, zeroed one."""
    network = small_network()
    randomize(network)
    probe = random_inputs(network, samples=16)
    trained(network, optimizers.SGD(0.01, momentum=0.9), probe)
    graph = trace(network)
    mask = random_cut(graph)
    smaller = restructure(network, mask, graph, probe)
    zero_channels(network, graph, mask)
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
    smaller = restructure(network, random_cut(graph), graph)
    assert not smaller.get_layer("conv").trainable
    assert smaller.get_layer("conv").filters == 6  # read after a sigmoid, without bias
    assert [v.trainable for v in smaller.variables] == [
        v.trainable for v in network.variables
    ]


@pytest.mark.any_backend
def test_flags_of_single_weights_are_carried_over():
    x = keras.Input((5, 3))
    attention = L.MultiHeadAttention(3, 4, name="attention")
    y = L.TimeDistributed(L.Dense(6, activation="relu"), name="wrapper")(
        attention(x, x)
    )
    inside = keras.Sequential(
        [keras.Input((5, 6)), L.Dense(8, name="a")], name="inside"
    )
    network = keras.Model(x, L.Dense(2)(L.BatchNormalization(name="norm")(inside(y))))
    randomize(network)
    frozen = [
        inside.get_layer("a").bias,
        network.get_layer("norm").gamma,
        network.get_layer("wrapper").layer.kernel,
        attention._query_dense.bias,
    ]
    attention._key_dense.trainable = False
    for variable in frozen:
        variable.trainable = False
    probe = random_inputs(network)
    trained(network, optimizers.Adam(0.01), probe)
    graph = trace(network)
    mask = random_cut(graph)
    once = restructure(network, mask, graph, probe)
    twice = restructure(once, random_cut(trace(once)), probe=probe)
    for smaller in (once, twice):
        assert [v.trainable for v in smaller.variables] == [
            v.trainable for v in network.variables
        ]
        assert not smaller.get_layer("attention")._key_dense.trainable
        assert len(smaller.trainable_variables) == len(network.trainable_variables)
    assert verify(network, once, mask, probe, graph)["step"] <= 1e-5


class Least(keras.metrics.Metric):
    """The least target so far: a metric that starts anywhere but at zero."""

    def __init__(self, name="least", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.least = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(9), name="least"
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        seen = keras.ops.min(y_true)
        self.least.assign(keras.ops.minimum(self.least.value, seen))

    def result(self):
        return keras.ops.convert_to_tensor(self.least)

    def reset_state(self):
        self.least.assign(9)


@pytest.mark.any_backend
def test_only_what_a_cut_overwrites_starts_at_zero():
    network = keras.Sequential([keras.Input((4,)), L.Dense(6), L.Dense(2)])
    network.compile("adam", "mse", metrics=[Least()])
    x, y = np.ones((4, 4), "float32"), np.full((4, 2), 5.0, "float32")
    network.fit(x, y, verbose=0)
    smaller = restructure(network, np.arange(6) < 3)
    (metric,) = smaller._compile_config.config["metrics"]
    assert float(metric.least) == 9
    assert smaller.evaluate(x, y, verbose=0, return_dict=True)["least"] == 5
    with pytest.raises(ZeroDivisionError), blank_variables():
        raise ZeroDivisionError
    ones = keras.Variable(keras.initializers.Ones(), shape=(2,))
    assert float(keras.ops.sum(ones)) == 2


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
    mask = random_cut(trace(network))
    smaller = restructure(network, mask, probe=probe)
    assert smaller.layers[0].compute_dtype == network.layers[0].compute_dtype
    assert type(smaller.optimizer) is type(network.optimizer)
    assert max(verify(network, smaller, mask, probe).values()) <= tolerance(network)


def test_counts_and_sums_are_those_of_the_built_network():
    network = small_network()
    graph = trace(network)
    rng = np.random.default_rng(0)
    mask = random_cut(graph)
    costs = ChannelCosts(graph)
    total, savings = costs.total(mask), costs.savings(mask)
    table = count_costs(restructure(network, mask, graph))
    assert {cost: getattr(table, cost) for cost in total} == total
    for group in np.flatnonzero(mask)[::3]:
        without = mask.copy()
        without[group] = False
        for cost, left in costs.total(without).items():
            assert savings[cost][group] == pytest.approx(total[cost] - left)
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
from keras import optimizers
import numpy as np
from nestrade_lib import restructure, trace, verify
from nestrade_lib.surgery.probes import random_inputs
from benchmarks.structures.rows import random_cut
from tests.support.cuts import small_network
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    network = small_network()
    network.compile(optimizers.Adam(0.01), "mse")
x, y = random_inputs(network, samples=8), np.ones((8, 2))
network.fit(x, y, verbose=0)
graph = trace(network)
mask = random_cut(graph)
smaller = restructure(network, mask, graph)
assert smaller.distribute_strategy is strategy
smaller.fit(x, y, verbose=0)  # with every replica's variables of the new shapes
kernel = smaller.get_layer("conv").kernel
kernel.assign(kernel.numpy() + 0.01)
assert verify(network, smaller, mask, graph=graph)["outputs"] > 1e-5
"""


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow")
def test_two_replicas():
    """In a process of its own, since devices are divided before anything runs."""
    root = pathlib.Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", REPLICAS],
        env={**os.environ, "PYTHONPATH": str(root)},
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
        mask = np.arange(graph.count) > 0
        network = restructure(network, mask, graph)
    del graph
    gc.collect()
    assert network.layers[0].units == 10
    assert sum(ref() is not None for ref in gone) == 0
    assert np.isfinite(outputs(network, random_inputs(network))[0]).all()

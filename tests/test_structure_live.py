"""A smaller network has the objects of the original: no registry has to know them."""

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import ops

from nestrade_lib import restructure, trace
from nestrade_lib.surgery import UnsliceableOptimizer

pytestmark = pytest.mark.any_backend


def objects_of_ones_own():
    """None of these classes can be found by its name."""

    class Toward(keras.regularizers.Regularizer):
        def __init__(self, target):
            self.target = target

        def __call__(self, weights):
            return ops.sum(ops.square(weights - self.target))

    class Below(keras.constraints.Constraint):
        def __init__(self, limit):
            self.limit = limit

        def __call__(self, weights):
            return ops.minimum(weights, self.limit)

    class Exactly(keras.initializers.Initializer):
        def __init__(self, values):
            self.values = values

        def __call__(self, shape, dtype=None):
            assert tuple(shape) == self.values.shape
            return ops.convert_to_tensor(self.values, dtype)

    class Dense(L.Dense):
        """Of a name that Keras has too."""

    return Toward, Below, Exactly, Dense


def network_of(hidden, *after):
    layers = [keras.Input((4,)), L.Dense(6, name="first"), hidden, *after]
    network = keras.Sequential([*layers, L.Dense(2, name="last")])
    network.compile("adam", keras.losses.MeanSquaredError())
    return network


def smaller_of(network):
    """Without half of the channels of each layer, verified, after a step."""
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    network.fit(x, np.zeros((8, 2)), verbose=0)
    own = [x.name for x in network.layers if isinstance(x, WithoutConfiguration)]
    graph = trace(network, ignored_layers=own)
    smaller = restructure(network, np.arange(graph.count) % 2 == 0, graph)
    smaller.fit(x, np.zeros((8, 2)), verbose=0)
    return smaller


def test_regularizers_constraints_and_initializers_are_those_of_the_original():
    toward, below, exactly, dense = objects_of_ones_own()
    values = np.random.default_rng(1).normal(size=(6, 8)).astype("float32")
    hidden = dense(
        8,
        kernel_initializer=exactly(values),
        kernel_regularizer=toward(values),
        kernel_constraint=below(np.abs(values)),
        bias_regularizer=lambda bias: ops.sum(ops.abs(bias)),
        name="hidden",
    )
    network = network_of(hidden)
    made = smaller_of(network).get_layer("hidden")
    assert type(made) is dense and made.units == 4
    kept = values[::2, ::2]
    assert made.kernel_regularizer is not hidden.kernel_regularizer
    np.testing.assert_array_equal(made.kernel_initializer.values, kept)
    np.testing.assert_array_equal(made.kernel_regularizer.target, kept)
    np.testing.assert_array_equal(made.kernel_constraint.limit, np.abs(kept))
    np.testing.assert_array_equal(hidden.kernel_regularizer.target, values)
    assert made.bias_regularizer is hidden.bias_regularizer


def test_a_constant_array_is_cut_with_its_variable(tmp_path):
    table = np.random.default_rng(0).normal(size=(20, 6)).astype("float32")
    constant = keras.initializers.Constant
    network = keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            L.Embedding(20, 6, embeddings_initializer=constant(table), name="embed"),
            L.Dense(3),
        ]
    )
    smaller = restructure(network, np.arange(6) < 4)
    smaller.save(tmp_path / "smaller.keras")
    loaded = keras.models.load_model(tmp_path / "smaller.keras")
    x = np.arange(20).reshape(4, 5)
    np.testing.assert_array_equal(
        *(ops.convert_to_numpy(m(x)) for m in (smaller, loaded))
    )
    fresh = keras.models.clone_model(smaller).get_layer("embed")
    np.testing.assert_allclose(ops.convert_to_numpy(fresh.embeddings), table[:, :4])


class WithoutConfiguration(L.Layer):
    """Two layers in a Sequential, whose names Keras makes, and what no file can keep."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.inner = keras.Sequential([L.Dense(3), L.BatchNormalization(), L.Dense(5)])
        self.build((None, 6))

    def build(self, shape):
        self.scale = self.add_weight(shape=shape[-1:], initializer="ones")
        self.inner.build(shape)

    def call(self, x, training=None):
        return self.function(self.inner(x * self.scale, training=training))


class Named(WithoutConfiguration):
    def __init__(self, **kwargs):
        super().__init__(ops.sin)


@pytest.mark.parametrize("make", [lambda: WithoutConfiguration(ops.sin), Named])
def test_a_kept_layer_is_made_again_or_copied(make):
    kept = make()
    network = network_of(kept, L.Dense(6))
    made = smaller_of(network).layers[1]
    assert type(made) is type(kept) and made.function is ops.sin
    assert [v.shape for v in made.variables] == [v.shape for v in kept.variables]
    ours = {id(v) for v in kept.variables}
    assert not ours & {id(v) for v in made.variables}
    before = [ops.convert_to_numpy(v) for v in kept.variables]
    made.scale.assign(made.scale + 1)
    for value, variable in zip(before, kept.variables):
        np.testing.assert_array_equal(value, ops.convert_to_numpy(variable))


def test_a_layer_that_is_cut_needs_its_configuration():
    class Wide(L.Dense):
        def __init__(self, sizes, **kwargs):
            super().__init__(sizes["units"], **kwargs)

        def get_config(self):
            config = super().get_config()
            config.pop("units")
            return config

    network = network_of(Wide({"units": 6}, name="wide"))
    with pytest.raises(ValueError, match="'wide'.*expected 'units' in its get_config"):
        smaller_of(network)


class Within(keras.metrics.Mean):
    """The share of answers that are close: its configuration does not say how close."""

    def __init__(self, distance, name="within"):
        super().__init__(name=name)
        self.distance = distance

    def update_state(self, y_true, y_pred, sample_weight=None):
        close = ops.abs(y_true - y_pred) < self.distance
        super().update_state(ops.cast(close, "float32"), sample_weight)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Within(0.7),
        lambda: keras.metrics.FBetaScore(beta=2.0, threshold=0.3, average="macro"),
        lambda: keras.metrics.AUC(num_thresholds=7, curve="PR", name="area"),
    ],
)
def test_a_metric_keeps_its_arguments_and_gathers_anew(make):
    network = keras.Sequential([keras.Input((4,)), L.Dense(6), L.Dense(2, "sigmoid")])
    metric = make()
    network.compile("adam", "mse", metrics=[metric])
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 4)), rng.integers(0, 2, (16, 2)).astype("float32")
    network.fit(x, y, verbose=0)
    for v in network.layers[0].variables:
        v.assign(ops.convert_to_numpy(v) * (np.arange(6) < 3))
    smaller = restructure(network, np.arange(6) < 3)
    gathered = [ops.convert_to_numpy(v) for v in metric.variables]
    after = smaller.evaluate(x, y, verbose=0, return_dict=True)
    for value, variable in zip(gathered, metric.variables):
        np.testing.assert_array_equal(value, ops.convert_to_numpy(variable))
    before = network.evaluate(x, y, verbose=0, return_dict=True)
    np.testing.assert_allclose(after[metric.name], before[metric.name], rtol=1e-5)


def test_a_loaded_network_is_cut_with_its_optimizer(tmp_path):
    network = network_of(L.Dense(6, name="hidden"))
    x, y = np.random.default_rng(0).normal(size=(8, 4)), np.zeros((8, 2))
    network.fit(x, y, verbose=0)
    for kind in ("keras", "h5"):
        network.save(tmp_path / f"network.{kind}")
    mask = np.arange(12) % 2 == 0
    smaller = restructure(keras.models.load_model(tmp_path / "network.keras"), mask)
    assert int(smaller.optimizer.iterations) == 1
    smaller.fit(x, y, verbose=0)
    loaded = keras.models.load_model(tmp_path / "network.h5")
    with pytest.raises(ValueError, match="built with"):  # by Keras itself
        loaded.fit(x, y, verbose=0)
    with pytest.raises(UnsliceableOptimizer, match="Compile the network again"):
        restructure(keras.models.load_model(tmp_path / "network.h5"), mask)


def in_sixes(array):
    return ops.reshape(ops.reshape(array, (-1, 6)), ops.shape(array))


@pytest.mark.parametrize(
    "own", ["activity_regularizer", "kernel_regularizer", "kernel_constraint"]
)
def test_a_penalty_that_needs_its_size_keeps_it(own):
    penalty = in_sixes if "constraint" in own else lambda x: ops.sum(in_sixes(x))
    network = network_of(L.Dense(6, name="kept", **{own: penalty}), L.Dense(5))
    graph = trace(network)
    assert "kept" not in graph.layers and graph.count >= 5
    assert "does not run once some are removed" in graph.fixed["kept"]
    assert smaller_of(network).get_layer("kept").units == 6

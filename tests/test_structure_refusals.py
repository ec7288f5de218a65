"""What is refused or kept, by name, with everything left as it was."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers as L

from benchmarks.structures.rows import random_cut
from nestrade_lib import (
    Nestrade,
    RefusedCut,
    UnsupportedLayer,
    register_rule,
    restructure,
    trace,
)
from nestrade_lib.surgery import UnsliceableOptimizer, cut, verify
from nestrade_lib.surgery.probes import random_inputs
from tests.support.cuts import assert_same, outputs, randomize, trained


@keras.saving.register_keras_serializable("tests")
class Gain(keras.layers.Layer):
    """A custom layer: a factor for each channel."""

    def build(self, shape):
        self.gain = self.add_weight(shape=shape[-1:], initializer="ones", name="gain")

    def call(self, x):
        return x * self.gain


class Hidden(keras.Model):
    """A subclassed model, which hides its graph."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = L.Dense(5, name="inner")

    def call(self, x):
        return self.dense(x)


def built(network):
    network.build((None, 4))
    return network


class Wide(keras.Model):
    """A functional model whose configuration is its own."""

    def __init__(self, width):
        x = keras.Input((4,))
        super().__init__(inputs=x, outputs=L.Dense(2)(L.Dense(width)(x)))


class Louder(L.Dense):
    """A layer that does something else than its base class."""

    def call(self, x):
        return 2 * super().call(keras.ops.flip(x, -1))


class Product(keras.layers.Layer):
    """A product with a kernel, which no rule describes."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 5), name="kernel")

    def call(self, x):
        return x @ self.kernel

    def compute_output_shape(self, shape):
        return (*shape[:-1], 5)


class Halved(L.Wrapper):
    """A wrapper that changes its layer's weights when it is called."""

    def call(self, x):
        self.layer.kernel.assign(self.layer.kernel * 0.5)
        return self.layer(x)


@keras.saving.register_keras_serializable("tests")
def jumping(x):
    """An activation that is another function each time."""
    return x * keras.random.uniform(())


def around(layer):
    return keras.Sequential([keras.Input((4,)), L.Dense(6), layer, L.Dense(2)])


def kept_layers():
    """Layers with weights and no rule, or that cannot be run on numbers alone."""
    return [
        Gain(name="odd"),
        Louder(5, name="odd"),
        L.Dense(5, activation=jumping, name="odd"),
        Halved(L.Dense(5), name="odd"),
        Hidden(name="odd"),
    ]


@pytest.mark.parametrize("index", range(5))
def test_layer_that_cannot_be_followed_is_kept_and_named(index):
    network = around(kept_layers()[index])
    with pytest.raises(ValueError, match="no layer that may be cut.*odd.*'odd' "):
        trace(network)
    layer = kept_layers()[index]
    wider = keras.Sequential(
        [keras.Input((4,)), L.Dense(6), L.Dense(5), layer, L.Dense(2)]
    )
    randomize(wider)
    with pytest.warns(UserWarning, match=r"Left as they are.*'odd'.*register_rule"):
        graph = trace(wider)
    assert list(graph.unsupported) == ["odd"] and graph.count == 6
    smaller = restructure(wider, random_cut(graph), graph)
    assert smaller.get_layer("odd").count_params() == layer.count_params()
    with warnings.catch_warnings(action="error"):
        assert trace(wider, ignored_layers=[layer]).count == 6


def test_a_kept_layer_may_be_in_a_wrapper_that_is_followed():
    odd = L.SpectralNormalization(Product(name="odd"))
    network = keras.Sequential(
        [keras.Input((4,)), L.Dense(6), L.Dense(5), odd, L.Dense(2)]
    )
    with pytest.warns(UserWarning, match="Left as they are.*'odd'"):
        graph = trace(network)
    assert graph.count == 6
    restructure(network, random_cut(graph), graph)


def test_strict_names_every_layer_that_cannot_be_followed():
    network = keras.Sequential(
        [keras.Input((4,)), L.Dense(6), *(Gain(name=f"gain{n}") for n in range(4))]
    )
    with pytest.raises(
        UnsupportedLayer, match="gain0.*gain1.*gain2.*gain3.*ignored_layers=.*register"
    ):
        trace(network, strict=True)
    network.compile("sgd", "mse")
    with pytest.raises(UnsupportedLayer, match="gain0.*gain3"):
        Nestrade(network, strict=True)


def test_refusals_name_causes_and_not_all_layers():
    base = keras.applications.MobileNetV2((32, 32, 3), include_top=False, weights=None)
    base.trainable = False
    network = keras.Sequential([base, L.GlobalAveragePooling2D(), L.Dense(2)])
    network.compile("sgd", "mse")
    with pytest.raises(ValueError, match="frozen") as refusal:
        Nestrade(network, 0.5)
    assert len(str(refusal.value)) < 400


def test_registered_layer_is_cut(monkeypatch):
    from nestrade_lib.dependency import registry

    monkeypatch.setattr(registry, "_RULES", dict(registry._RULES))
    network = around(Gain(name="odd"))
    randomize(network)

    @register_rule(Gain)
    def gain(call):
        *others, channels = call.inputs[0].axes
        call.produces(call.layer.gain, {0: channels})
        return (*others, channels)

    graph = trace(network)
    smaller = restructure(network, random_cut(graph), graph)
    assert graph.count == 6
    assert smaller.get_layer("odd").gain.shape[0] == smaller.layers[0].units < 6


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: keras.Sequential([L.Dense(3)]), ValueError, "not built"),
        (lambda: built(Hidden()), UnsupportedLayer, "subclassed model"),
        (lambda: Wide(3), UnsupportedLayer, "keras.Model"),
        (lambda: 3, TypeError, "keras.Model"),
        (lambda: keras.Sequential([keras.Input((4,)), L.Dense(2)]), ValueError,
         "no layer that may be cut"),
        (lambda: frozen(around(L.ReLU())), ValueError, "frozen"),
    ],
)  # fmt: skip
def test_network_that_cannot_be_traced(make, error, words):
    with pytest.raises(error, match=words):
        trace(make())


@pytest.mark.parametrize(
    "make",
    [
        lambda: L.LSTM(4, stateful=True, name="odd"),
        lambda: L.RNN([L.GRUCell(4), L.GRUCell(3)], stateful=True, name="odd"),
        lambda: L.Bidirectional(L.GRU(4, stateful=True), name="odd"),
        lambda: L.LSTM(4, name="odd"),
    ],
    ids=["lstm", "cells", "both", "stateless"],
)
@pytest.mark.parametrize("ignored", [[], ["odd"], ["inside"]])
def test_layer_that_keeps_its_states_between_batches(make, ignored):
    x = keras.Input((5, 3), batch_size=8)
    inside = keras.Model(x, make()(x), name="inside")
    network = keras.Model(x, L.Dense(2)(L.Dense(6, "relu")(inside(x))))
    network.compile("sgd", "mse")
    if not inside.get_layer("odd").stateful:
        graph = trace(network, ignored_layers=ignored)
        assert restructure(network, random_cut(graph), graph).inputs[0].shape[0] == 8
        return
    for refused in (trace, Nestrade):
        with pytest.raises(
            UnsupportedLayer, match="'odd'.*stateful=True.*return_state"
        ):
            refused(network, ignored_layers=ignored)


@pytest.mark.parametrize("kept", [L.Dense(5, "relu"), L.LSTM(5), L.Conv1D(5, 2)])
def test_ignored_layers_keep_what_they_make_and_not_what_they_read(kept):
    x = keras.Input((7, 3))
    y = kept(L.Dense(6, "relu", name="before")(x))
    network = keras.Model(x, L.Dense(2)(L.Dense(4, name="after")(y)))
    graph = trace(network, ignored_layers=[kept])
    assert set(graph.layers) == {"before", "after"} and graph.count == 10
    assert graph.fixed[kept.name] == f"{kept.name} is kept (ignored_layers=)"
    smaller = restructure(network, random_cut(graph), graph)
    assert smaller.get_layer(kept.name).output.shape == kept.output.shape


def frozen(network):
    network.trainable = False
    return network


def test_unbuilt_subclassed_model_is_refused():
    with pytest.raises(ValueError, match="subclassed|not built"):
        trace(Hidden())


def test_keep_names_an_unknown_layer():
    with pytest.raises(ValueError, match="ignored_layers names.*'missing'"):
        trace(around(L.ReLU()), ignored_layers=["missing"])


def test_masks_that_are_no_masks():
    network = around(L.ReLU())
    for mask in (np.ones(5, bool), np.ones(6), [True]):
        with pytest.raises(ValueError, match=r"shape \(6,\)"):
            restructure(network, mask)
    with pytest.raises(ValueError, match="no channel in 'dense"):
        restructure(network, np.zeros(6, bool))


def test_sharing_that_a_configuration_loses():
    tower = keras.Sequential([keras.Input((3,)), L.Dense(6, name="shared")])
    x, y = keras.Input((5, 3)), keras.Input((3,))
    many = L.GlobalAveragePooling1D()(L.TimeDistributed(tower)(x))
    network = keras.Model([x, y], L.Dense(2)(many + tower(y)))
    with pytest.raises(ValueError, match="in 'functional.* and 'time_distributed"):
        trace(network)


def test_optimizer_whose_slots_cannot_be_sliced():
    network = around(L.ReLU())
    probe = random_inputs(network)
    trained(network, keras.optimizers.Adafactor(0.01), probe)
    before = outputs(network, probe)
    with pytest.raises(UnsliceableOptimizer, match="Adafactor keeps"):
        restructure(network, np.arange(6) < 3)
    assert_same(before, outputs(network, probe), 0)


def test_optimizer_built_for_other_variables():
    network = around(L.Dense(5, trainable=False, name="odd"))
    trained(network, keras.optimizers.Adam(), random_inputs(network))
    network.get_layer("odd").trainable = True
    with pytest.raises(UnsliceableOptimizer, match="Compile the network again"):
        cut(network, random_cut(trace(network)))


def test_wrong_rule_is_caught_by_verification(monkeypatch):
    """A rule that names the wrong channels: the cut is refused, not made."""
    from nestrade_lib.dependency import registry

    monkeypatch.setattr(registry, "_RULES", dict(registry._RULES))
    network = around(Louder(6, use_bias=False, name="odd"))
    randomize(network)
    before = [np.array(w) for w in network.get_weights()]

    @register_rule(Louder)
    def louder(call):  # forgets that its input is read backwards
        from nestrade_lib.dependency.rules.dense import dense

        return dense(call)

    graph = trace(network)
    with pytest.raises(RefusedCut, match="outputs by.*ignored_layers="):
        restructure(network, np.arange(graph.count) % 6 > 1, graph)
    assert all(np.array_equal(a, b) for a, b in zip(before, network.get_weights()))


def test_verification_sees_one_wrong_number_anywhere():
    network = around(L.BatchNormalization())
    randomize(network)
    probe = random_inputs(network)
    trained(network, keras.optimizers.Adam(), probe)
    graph = trace(network)
    mask = np.arange(graph.count) % 2 == 0
    smaller = cut(network, mask, graph)
    for variable in smaller.variables:
        right = np.array(keras.ops.convert_to_numpy(variable.value))
        variable.assign(right + 1e-3)
        errors = verify(network, smaller, mask, probe, graph)
        assert max(errors["outputs"], errors["gradients"]) > 1e-5, variable.path
        variable.assign(right)
    for slot in smaller.optimizer.variables:
        right = np.array(keras.ops.convert_to_numpy(slot.value))
        slot.assign(right * 2 + 1)
        assert verify(network, smaller, mask, probe, graph)["step"] > 1e-5, slot.path
        slot.assign(right)
    assert max(verify(network, smaller, mask, probe, graph).values()) <= 1e-5

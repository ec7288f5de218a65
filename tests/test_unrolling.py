"""Subclassed models and composite layers, as functional networks of the same layers."""

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import ops

from nestrade_lib import restructure, trace, unroll
from tests.support.unrolling import NETWORKS
from tests.support.unrolling.keras_io import Sampling
from tests.support.unrolling.others import Scaled
from tests.support.unrolling.tensorflow_calls import CALLS, REFUSED

pytestmark = pytest.mark.any_backend


def sample(case):
    """Inputs as the network is called with, and the network, called once on them."""
    build, shapes, _ = NETWORKS[case]
    rng = np.random.default_rng(0)
    if isinstance(shapes, dict):
        inputs = {k: rng.integers(0, n, (3, 6)) for k, n in shapes.items()}
    else:
        inputs = [rng.normal(size=(3, *shape)).astype("float32") for shape in shapes]
        inputs = inputs[0] if len(inputs) == 1 else inputs
    return inputs, build()


def outputs_of(made, inputs, training):
    """Its outputs and what they leave in its variables, which are as before."""
    before = [ops.convert_to_numpy(v) for v in made.weights]
    keras.utils.set_random_seed(0)
    found = keras.tree.map_structure(
        ops.convert_to_numpy, made(inputs, training=training)
    )
    after = {id(v): ops.convert_to_numpy(v) for v in made.weights}
    for variable, value in zip(made.weights, before):
        variable.assign(value)
    return found, after


def layers_of(made):
    for layer in made.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from layers_of(layer)


def require_alike_when_reloaded(made, inputs, folder):
    """Plain Keras reads it from a file, and it answers as before."""
    made.save(folder / "made.keras")
    loaded = keras.models.load_model(folder / "made.keras")
    for x, y in zip(*(keras.tree.flatten(m(inputs)) for m in (made, loaded))):
        np.testing.assert_allclose(*map(ops.convert_to_numpy, (x, y)), 1e-5, 1e-6)


@pytest.mark.parametrize("case", NETWORKS)
def test_layers_weights_and_outputs_are_the_same(case, tmp_path):
    inputs, original = sample(case)
    original(inputs)
    made = unroll(original, inputs)
    plain = "keras.src."
    assert type(made).__name__ == "Functional" and made.name == original.name
    foreign = {
        type(x) for x in layers_of(made) if not type(x).__module__.startswith(plain)
    }
    whole = NETWORKS[case][2]
    assert not foreign if whole else foreign <= {Sampling, Scaled}
    assert {id(v) for v in made.weights} == {id(v) for v in original.weights}
    if case != "autoencoder":
        for training in (False, True):
            one, other = (outputs_of(x, inputs, training) for x in (original, made))
            keras.tree.assert_same_structure(one[0], other[0])
            for x, y in zip(*map(keras.tree.flatten, (one[0], other[0]))):
                np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
            for key, value in one[1].items():
                np.testing.assert_allclose(value, other[1][key], rtol=1e-5, atol=1e-6)
    if whole:
        require_alike_when_reloaded(made, inputs, tmp_path)


# What is refused, or kept ------------------------------------------------------------


def model_of(call, **parts):
    """A subclassed model of that ``call``, with these layers."""

    class Mine(keras.Model):
        def __init__(self):
            super().__init__(name="mine")
            self.dense = L.Dense(4)
            vars(self).update(
                {k: v for k, v in parts.items() if not isinstance(v, L.Layer)}
            )
            for name, part in parts.items():
                setattr(self, name, part)

    Mine.call = call
    return Mine()


@pytest.mark.parametrize("case", [x for x in NETWORKS if x.startswith("weights_of")])
def test_what_its_own_weights_make_is_cut_with_them(case, tmp_path):
    inputs, original = sample(case)
    made = unroll(original, inputs)
    graph = trace(made)
    assert graph.count == 6 + 9 + 9
    mask = np.arange(graph.count) % 3 > 0
    smaller = restructure(made, mask, graph)
    shapes = [w.shape for w in smaller.weights if "kernel" in w.path]
    assert {(8, 4), (4, 2)} <= set(map(tuple, shapes))
    require_alike_when_reloaded(smaller, inputs, tmp_path)


@pytest.mark.parametrize("case", [x for x in NETWORKS if x.startswith("tied")])
def test_an_embedding_is_cut_where_its_table_is_read_beside_it(case, tmp_path):
    inputs, original = sample(case)
    made = unroll(original, inputs)
    graph = trace(made)
    assert graph.count == 8  # what the dense layer makes meets the columns of the table
    smaller = restructure(made, np.arange(8) % 4 > 0, graph)
    assert {tuple(w.shape) for w in smaller.weights} == {(10, 6), (6, 6), (6,)}
    require_alike_when_reloaded(smaller, inputs, tmp_path)


@pytest.mark.parametrize("case", ["recurrent_by_hand", "shortcut_with_zeros"])
def test_zeros_are_cut_with_the_channels_that_they_meet(case, tmp_path):
    inputs, original = sample(case)
    made = unroll(original, inputs)
    graph = trace(made)
    assert graph.count == 8
    smaller = restructure(made, np.arange(8) % 4 > 0, graph)
    assert smaller.get_layer(original.out.name).kernel.shape == (6, 2)
    require_alike_when_reloaded(smaller, inputs, tmp_path)


def test_its_own_number_is_there_beside_inputs_of_unsigned_bytes():
    def call(self, x):
        return self.dense(ops.cast(x, "float32")) * self.number

    x = np.random.default_rng(0).integers(0, 255, (2, 5)).astype("uint8")
    original = model_of(call)
    original.number = original.add_weight(shape=(), initializer="ones", name="number")
    original(x)
    answers = (ops.convert_to_numpy(y(x)) for y in (original, unroll(original, x)))
    np.testing.assert_allclose(*answers, 1e-5)


def test_losses_are_those_of_the_original():
    inputs, original = sample("losses_in_calls")
    made = unroll(original, inputs)
    original(inputs), made(inputs)
    assert len(made.losses) == len(original.losses) == 4
    one, other = (float(sum(network.losses)) for network in (original, made))
    np.testing.assert_allclose(one, other, 1e-5)
    made.compile("sgd", "mse")
    graph = trace(made)
    smaller = restructure(made, np.arange(graph.count) % 2 == 0, graph)
    smaller(inputs)  # which was held to the gradients of the whole loss
    assert len(smaller.losses) == 4


def values(self, x):
    x = self.dense(x)
    return x if ops.max(x) > 0 else -x


def asked(self, x, training=None):
    x = self.dense(x)
    return self.drop(x) if training else x


def test_a_phase_that_layers_decide_as_well_may_be_asked():
    x = np.ones((2, 4), "float32")
    original = model_of(asked, drop=L.Dropout(1.0))
    made = unroll(original, x)
    np.testing.assert_allclose(*(ops.convert_to_numpy(m(x)) for m in (original, made)))
    assert not ops.convert_to_numpy(made(x, training=True)).any()


def phase(self, x, training=None):
    return self.dense(x) if training else self.dense(x) * 2


def fixed(self, x, training=None):
    return self.drop(self.dense(x), training=False)


def weight(self, x):
    return ops.matmul(x, ops.transpose(self.dense.kernel))


def loss(self, x):
    self.add_loss(ops.ones(()))
    return self.dense(x)


def arrays(self, x):
    return self.dense(np.asarray(x) * 2)


def test_layers_that_nothing_depends_on_are_left_out_with_a_warning():
    def call(self, x):
        self.vain(self.dense(x))
        return self.dense(x)

    x = np.ones((2, 4), "float32")
    original = model_of(call, vain=L.Dense(3, name="vain"))
    original(x)
    with pytest.warns(
        UserWarning, match="No output of 'mine' depends on .*vain/kernel"
    ):
        made = unroll(original, x)
    assert {w.path for w in original.weights} - {w.path for w in made.weights} == {
        "mine/vain/kernel",
        "mine/vain/bias",
    }


def chance(self, x):
    return self.dense(x) * np.random.default_rng().normal()


def loop(self, x):
    return ops.fori_loop(0, 3, lambda n, y: y * 0.5, self.dense(x))


def unused(self, x):
    return self.drop(x)


def text(self, x):
    return self.dense(x), "text"


@pytest.mark.parametrize("name", CALLS)
def test_functions_of_tensorflow_are_operations(name):
    x = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    original = model_of(lambda self, x: CALLS[name](self.dense(x)), dense=L.Dense(8))
    original(x)
    made = unroll(original, x)
    assert type(made).__name__ == "Functional"
    answers = (ops.convert_to_numpy(network(x)) for network in (original, made))
    np.testing.assert_allclose(*answers, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(not CALLS, reason="of TensorFlow")
def test_a_graph_function_around_call_is_taken_off():
    import tensorflow as tf

    class Halved(L.Layer):
        def __init__(self):
            super().__init__()
            self.dense = L.Dense(4, activation="relu")

        @tf.function(reduce_retracing=True)
        def call(self, x, training=None):
            return tf.nn.relu(self.dense(x)) / 2

    x = keras.Input((5,))
    network = keras.Model(x, L.Dense(2)(Halved()(x)))
    made = unroll(network)
    assert trace(made).count == 4
    batch = np.random.default_rng(0).normal(size=(3, 5)).astype("float32")
    answers = (ops.convert_to_numpy(each(batch)) for each in (network, made))
    np.testing.assert_allclose(*answers, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", REFUSED if CALLS else [])
def test_other_functions_of_tensorflow_are_refused(name):
    x = np.ones((3, 5), "float32")
    original = model_of(lambda self, x: REFUSED[name](self.dense(x)))
    original(x)
    with pytest.raises(ValueError, match="of TensorFlow in a way that is not known"):
        unroll(original, x)


@pytest.mark.parametrize(
    "call, words",
    [
        (values, "does not run"),
        (phase, "asks in Python whether it is training"),
        (fixed, "fixes training= of 'drop'"),
        (weight, "/kernel outside of a layer"),
        (loss, "a loss that its inputs do not decide"),
        (arrays, "does not run"),
        (chance, "gives other values then"),
        (loop, "calls fori_loop, which Keras cannot save"),
        (unused, "does not use the weights"),
        (text, "something else than tensors"),
    ],
)
def test_one_message_says_why_it_cannot_be(call, words):
    x = np.ones((2, 4), "float32")
    made = model_of(call, drop=L.Dropout(0.5, name="drop"))
    made.dense.build((None, 4))
    if call not in (phase, values):
        made.built = True
    weights = [ops.convert_to_numpy(v) for v in made.weights]
    with pytest.raises(ValueError, match="'mine'") as error:
        unroll(made, x)
    assert words in str(error.value)
    assert ops.convert_to_numpy(made.dense(x)).shape == (2, 4)  # as it was
    for variable, before in zip(made.weights, weights):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), before)

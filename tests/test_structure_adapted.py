"""What layers learned by ``adapt`` survives a cut, wherever they are in the network."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers as L

from benchmarks.structures.rows import random_cut
from nestrade_lib import Distillation, create_loss, restructure, trace
from nestrade_lib.distillation import Teacher
from nestrade_lib.surgery import cut
from tests.support.cuts import outputs, randomize

WORDS = np.array([["red", "green"], ["blue", "red"], ["red", "a b"], ["?", ""]])
LINES = np.array([["red green"], ["blue blue"], ["red"], ["what"]])
NUMBERS = np.array([[5, 7], [9, 5], [7, 7], [1, 2]])
REALS = np.random.default_rng(0).normal(3, 2, (8, 2)).astype("float32")


@keras.saving.register_keras_serializable("tests")
class Shift(L.Layer):
    """A layer of one's own, with a number in a file of its own."""

    amount = 0.0

    def call(self, x):
        return x + self.amount

    def save_assets(self, folder):
        np.save(f"{folder}/amount.npy", self.amount)

    def load_assets(self, folder):
        self.amount = np.load(f"{folder}/amount.npy").item()


def shift():
    layer = Shift()
    layer.amount = 0.75
    return layer


def adapted(layer, data):
    layer.adapt(data)
    return layer


def with_line_breaks():
    layer = L.StringLookup(output_mode="multi_hot")
    layer.set_vocabulary(["red", "green\nblue", "a b"])
    return layer


PADDED = {"output_mode": "tf_idf", "max_tokens": 9, "pad_to_max_tokens": True}

LAYERS = {
    "text": (lambda: adapted(L.TextVectorization(output_mode="count"), LINES), LINES),
    "text_idf": (lambda: adapted(L.TextVectorization(output_mode="tf_idf"), LINES), LINES),
    "words": (lambda: adapted(L.StringLookup(output_mode="multi_hot"), WORDS), WORDS),
    "padded": (lambda: adapted(L.StringLookup(**PADDED), WORDS), WORDS),
    "breaks": (with_line_breaks, WORDS),
    "given": (lambda: L.StringLookup(vocabulary=["red"], output_mode="count"), WORDS),
    "numbers": (lambda: adapted(L.IntegerLookup(output_mode="count"), NUMBERS), NUMBERS),
    "hashed": (lambda: L.Hashing(5, output_mode="count"), WORDS),
    "bins": (lambda: adapted(L.Discretization(num_bins=3), REALS), REALS),
    "normed": (lambda: adapted(L.Normalization(), REALS), REALS),
    "assets": (shift, REALS),
}  # fmt: skip


def network_on(layer, data, nested):
    x = keras.Input(
        data.shape[1:], dtype="string" if data.dtype.kind == "U" else data.dtype
    )
    first = keras.Model(x, layer(x), name="inside") if nested else layer
    y = L.Dense(6, activation="relu")(first(x))
    return keras.Model(x, L.Dense(3)(y))


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_adapted_layers_are_carried_over(name, nested):
    make, data = LAYERS[name]
    layer = make()
    network = network_on(layer, data, nested)
    for dense in network.layers[-2:]:
        randomize(dense)
    probe = tf.constant(data)
    kept = [layer.name] if isinstance(layer, Shift) else []
    graph = trace(network, ignored_layers=kept)
    once = restructure(network, random_cut(graph), graph, probe)
    again = trace(once, ignored_layers=kept)
    twice = restructure(once, np.ones(again.count, bool), again, probe)
    same = restructure(network, np.ones(graph.count, bool), graph, probe)
    np.testing.assert_allclose(outputs(once, probe)[0], outputs(twice, probe)[0])
    np.testing.assert_allclose(outputs(network, probe)[0], outputs(same, probe)[0])
    first = twice.get_layer("inside") if nested else twice
    np.testing.assert_allclose(first.get_layer(layer.name)(probe), layer(probe))


def test_a_teacher_knows_the_words():
    make, data = LAYERS["words"]
    network = network_on(make(), data, nested=False)
    network.compile("adam", create_loss())
    teacher = Teacher(network, trace(network), Distillation())
    probe = tf.constant(data)
    np.testing.assert_allclose(teacher.answer(probe), network(probe))


def test_lookups_that_are_not_adapted_stay_so():
    layer = L.StringLookup()
    x = keras.Input((2,), dtype="string")
    y = L.Dense(6, activation="relu")(L.Embedding(4, 3)(layer(x)))
    network = keras.Model(x, L.Dense(2)(y))
    smaller = cut(network, random_cut(trace(network)))
    assert smaller.get_layer(layer.name).vocabulary_size() == layer.vocabulary_size()

"""Subclassed models under Nestrade: as Keras trains them, and then smaller."""

import keras
import numpy as np
import pytest
from keras import layers as L
from keras import ops

from nestrade_lib import Nestrade, restructure, trace, unroll
from tests.support.small import SOON

pytestmark = pytest.mark.any_backend

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 6)).astype("float32")
Y = RNG.integers(0, 3, 64)


class Block(L.Layer):
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.wide, self.narrow = L.Dense(4 * width, "relu"), L.Dense(width)

    def call(self, x):
        return x + self.narrow(self.wide(x))


class Classifier(keras.Model):
    """Its layers are in another order than its call has them."""

    def __init__(self):
        super().__init__(name="classifier")
        self.head = L.Dense(3, "softmax", name="head")
        self.block = Block(8, name="block")
        self.first = L.Dense(8, "relu", name="first")

    def call(self, x):
        return self.head(self.block(self.first(x)))


def classifier(**options):
    keras.utils.set_random_seed(0)
    network = Classifier()
    network(X[:1])
    loss = keras.losses.SparseCategoricalCrossentropy()
    network.compile(**{"optimizer": "adam", "loss": loss, **options})
    return network


def test_a_subclassed_model_trains_is_cut_and_saved(tmp_path):
    network = classifier(metrics=["accuracy"])
    trainer = Nestrade(network, budget=0.5, schedule=SOON)
    assert trainer.network.optimizer is network.optimizer
    trainer.fit(X, Y, epochs=4, batch_size=16, verbose=0)
    assert trainer.costs.macs <= 0.5 * trainer.dense_costs.macs
    trainer.save(tmp_path / "smaller.keras")
    loaded = keras.models.load_model(tmp_path / "smaller.keras")
    answers = [ops.convert_to_numpy(m(X)) for m in (trainer, loaded)]
    np.testing.assert_allclose(*answers, rtol=1e-6)


def test_an_unrolled_network_goes_on_where_the_original_would():
    """Also with an optimizer whose slots are in the order of the original's layers."""
    results = []
    for make in (lambda network: network, unroll):
        network = classifier()
        network.fit(X, Y, batch_size=16, shuffle=False, verbose=0)
        network = make(network)
        network.fit(X, Y, batch_size=16, shuffle=False, verbose=0)
        results.append(ops.convert_to_numpy(network(X)))
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-6)


class Triplets(keras.Model):
    """With a loss and a metric of its own, a part, a number, and a list of parts."""

    def __init__(self, margin):
        super().__init__()
        self.tower = keras.Sequential([L.Dense(12, "relu"), L.Dense(4)], name="tower")
        self.blocks = [Block(4, name="block")]
        self.margin = margin
        self.far = keras.metrics.Mean(name="far")

    def embed(self, x):
        return self.blocks[0](self.tower(x))

    def call(self, inputs):
        near, same, other = (self.blocks[0](self.tower(x)) for x in inputs)
        return ops.stack(
            [ops.sum(ops.square(near - x), -1) for x in (same, other)], axis=-1
        )

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **options):
        inputs = keras.tree.flatten(x)
        again = self.embed(inputs[0]) - self.embed(inputs[1])
        self.far.update_state(y_pred[:, 1])
        loss = ops.maximum(y_pred[:, 0] - y_pred[:, 1] + self.margin, 0.0)
        return ops.mean(loss) + 0.01 * ops.mean(ops.square(again))

    @property
    def metrics(self):
        return [*super().metrics, self.far]


def test_methods_of_training_are_kept_with_what_they_use(tmp_path):
    keras.utils.set_random_seed(0)
    network = Triplets(margin=0.3)
    inputs = [X, X + 0.1, X[::-1].copy()]
    network([x[:1] for x in inputs])
    network.compile("adam", loss="mse")
    made = unroll(network)
    assert isinstance(made, Triplets) and made.margin == 0.3
    y = np.zeros((64, 2))
    losses = [
        m.evaluate(inputs, y, verbose=0, return_dict=True) for m in (network, made)
    ]
    assert losses[0].keys() == losses[1].keys() and "far" in losses[0]
    np.testing.assert_allclose(*([*x.values()] for x in losses), rtol=1e-5)
    graph = trace(made)
    smaller = restructure(made, np.arange(graph.count) % 2 == 0, graph)
    assert smaller.tower is smaller.get_layer("tower") is not made.tower
    assert smaller.blocks[0] is smaller.get_layer("block")
    smaller.fit(inputs, y, verbose=0)
    smaller.save(tmp_path / "smaller.keras")
    loaded = keras.models.load_model(tmp_path / "smaller.keras", compile=False)
    assert not isinstance(loaded, Triplets)
    answers = [ops.convert_to_numpy(m(inputs)) for m in (smaller, loaded)]
    np.testing.assert_allclose(*answers, rtol=1e-5)


@pytest.mark.parametrize("kind", [Classifier, keras.Sequential])
def test_a_model_that_was_never_called_needs_inputs(kind):
    layers = [L.Dense(8, "relu", name="first"), L.Dense(3)]
    network = kind() if kind is Classifier else kind(layers)
    network.compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="not built: .*a few samples as inputs="):
        Nestrade(network)
    assert Nestrade(network, 0.5, inputs=X[:2]).widths["first"] == 8


class Denoiser(keras.Model):
    """A step of its own, which makes inputs and labels of what it is given."""

    def __init__(self):
        super().__init__()
        self.net = keras.Sequential([L.Dense(16, "relu"), L.Dense(6)], name="net")

    def call(self, x):
        return self.net(x)

    def train_step(self, *given):
        *state, data = given
        (x,) = data
        return super().train_step(*state, (x + 0.1 * ops.sign(x), x))


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="Keras' own fit fails elsewhere without labels",
)
def test_a_training_step_may_make_the_labels():
    network = Denoiser()
    network(X[:1])
    network.compile("adam", "mse")
    trainer = Nestrade(network, 0.5, schedule=SOON)
    trainer.fit(X, epochs=4, batch_size=16, verbose=0)
    assert trainer.met and trainer.cuts
    with pytest.raises(ValueError, match="expected labels, which the loss needs"):
        Nestrade(classifier(), 0.5).fit(X)

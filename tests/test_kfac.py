"""Scores by K-FAC: exact where a network is linear, and nothing but what the loss feels."""

from unittest import mock

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers as kl

from nestrade_lib import Nestrade, kfac, trace
from nestrade_lib.arrays import in_larger_batches
from tests.support.small import SOON, X, Y, mlp

pytestmark = pytest.mark.any_backend
RNG = np.random.default_rng(0)


def refit_loss(x, weights, metric, gone):
    """½ E‖Δz‖² in a metric, the weights of what is left of x being fitted anew."""
    target = x @ weights
    left = np.delete(x, gone, axis=1)
    change = target - left @ np.linalg.lstsq(left, target, rcond=None)[0]
    return np.einsum("no,op,np->", change, metric, change) / len(x) / 2


@settings(deadline=None, max_examples=30)
@given(
    st.integers(0, 10**6),
    st.integers(1, 6),
    st.integers(0, 2),
    st.integers(1, 3),
    st.sampled_from([1, 2, kfac.BLOCK]),
)
def test_costs_are_those_of_least_squares(seed, channels, fixed, outputs, block):
    rng = np.random.default_rng(seed)
    n = channels + fixed
    x = rng.normal(size=(40, n)) @ rng.normal(size=(n, n)) + 0.1 * rng.normal(
        size=(40, n)
    )
    weights, root = rng.normal(size=(n, outputs)), rng.normal(size=(outputs, outputs))
    metric = root @ root.T + np.eye(outputs)
    with mock.patch.object(kfac, "BLOCK", block):
        costs = kfac.removal_costs(
            x.T @ x / 40, weights @ metric @ weights.T, removable=channels
        )
    gone, expected, before = [], np.zeros(channels), 0.0
    while len(gone) < channels:
        left = [n for n in range(channels) if n not in gone]
        losses = [refit_loss(x, weights, metric, [*gone, n]) for n in left]
        least = int(np.argmin(losses))
        gone.append(left[least])
        expected[gone[-1]] = max(losses[least] - before, expected.max())
        before = losses[least]
    np.testing.assert_allclose(costs, expected, rtol=1e-5, atol=1e-9)


def scores_of(network, x, y, size=16):
    batches = [(x[n : n + size], y[n : n + size], None) for n in range(0, len(x), size)]
    return kfac.kfac(network, trace(network), batches)


READERS = {
    "dense": lambda **o: kl.Dense(3, **o),
    "conv": lambda **o: kl.Conv1D(3, 1, **o),
    "transposed": lambda **o: kl.Conv1DTranspose(3, 1, **o),
    "separable": lambda **o: kl.SeparableConv1D(3, 1, **o),
    "nested": lambda **o: keras.Sequential([keras.Input((5, 8)), kl.Dense(3, **o)]),
}


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("loss", ["mse", "poisson"])
def test_every_reader_scores_what_its_inputs_and_gradients_say(monkeypatch, kind, loss):
    monkeypatch.setattr(kfac, "DAMPING", 1e-7)
    keras.utils.set_random_seed(1)
    x, y = RNG.normal(size=(64, 5, 4)), RNG.uniform(0.5, 2, (64, 5, 3))
    make = kl.Dense(8, activation="relu")
    inputs = keras.Input((5, 4))
    hidden = make(inputs)
    made = READERS[kind](activation="exponential")(hidden)
    network = keras.Model(inputs, made)
    network.compile("sgd", loss)
    scores = scores_of(network, x, y, size=24)  # the last batch is smaller

    read = keras.ops.convert_to_numpy(make(x)).astype("float64").reshape(-1, 8)
    predicted = keras.ops.convert_to_numpy(network(x)).astype("float64")
    # The loss is a mean over outputs, and the activation an exponential.
    slope = {"mse": 2 * (predicted - y), "poisson": 1 - y / predicted}[loss] / 3 / 5
    slope = (slope * predicted).reshape(-1, 3)
    metric = slope.T @ slope / 64
    with_constant = np.append(read, np.ones((len(read), 1)), axis=1)
    weights = np.linalg.lstsq(
        with_constant, np.log(predicted).reshape(-1, 3), rcond=None
    )[0]
    alone = [refit_loss(with_constant, weights, metric, [n]) for n in range(8)]
    assert scores.min() == scores[np.argmin(alone)]
    assert scores.min() == pytest.approx(min(alone), rel=1e-3, abs=1e-9)


def twins(loss="mse"):
    """A convolution, a norm and Flatten, before a layer that reads them."""
    keras.utils.set_random_seed(2)
    network = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            kl.Conv2D(5, 3, activation="relu"),
            kl.MaxPooling2D(2),
            kl.Flatten(),
            kl.Dense(7, activation="relu", name="hidden"),
            kl.Dense(3),
        ]
    )
    network.compile("sgd", loss)
    return network


def test_a_channel_that_another_one_doubles_is_free_and_units_do_not_matter(
    monkeypatch,
):
    monkeypatch.setattr(kfac, "DAMPING", 1e-6)
    x, y = RNG.normal(size=(96, 6, 6, 2)), RNG.normal(size=(96, 3))
    network = twins()
    before = scores_of(network, x, y)
    kernel, bias = network.layers[0].get_weights()
    factors = np.array([0.1, 1, 30, 1, 4])
    network.layers[0].set_weights([kernel * factors, bias * factors])
    reader = network.get_layer("hidden")
    weights, other = reader.get_weights()
    reader.set_weights([weights / np.tile(factors, 4)[:, None], other])
    np.testing.assert_allclose(scores_of(network, x, y), before, rtol=1e-3)
    kernel[..., 3] = kernel[..., 1]
    network.layers[0].set_weights([kernel, bias])
    scores = scores_of(network, x, y)
    assert scores[[1, 3]].min() < 1e-4 * scores[[1, 3]].max()


def test_what_reads_inside_a_layer_is_left_to_the_taylor_score():
    inputs = keras.Input((4, 6))
    hidden = kl.Dense(8)(inputs)
    hidden = kl.Dense(8)(kl.MultiHeadAttention(2, 4)(hidden, hidden))
    network = keras.Model(inputs, kl.Dense(3)(hidden))
    network.compile("adam", "mse")
    x, y = RNG.normal(size=(64, 4, 6)), RNG.normal(size=(64, 4, 3))
    scores, graph = scores_of(network, x, y), trace(network)
    last = graph.layers == network.layers[-2].name
    assert (
        np.isfinite(scores[last]).all()
        and np.isnan(scores[graph.layers == network.layers[1].name]).all()
    )
    trainer = Nestrade(network, 0.5, importance="kfac", schedule=SOON)
    trainer.fit(x, y, epochs=6, batch_size=16, verbose=0)
    assert trainer.met


def test_where_nothing_is_seen_from_outside_all_is_left_to_the_taylor_score():
    network = keras.Sequential([keras.Input((5, 3)), kl.GRU(4, return_sequences=True)])
    network.add(kl.GRU(2))
    network.compile("sgd", "mse")
    batch = np.ones((2, 5, 3), "float32"), np.ones((2, 2)), None
    assert np.isnan(kfac.kfac(network, trace(network), [batch])).all()


def test_gradients_are_those_of_the_weighted_loss():
    network = mlp()
    graph, weight = trace(network), np.arange(len(Y)) % 3 + 0.5
    once = kfac.kfac(network, graph, [(X, Y, weight)])
    twice = kfac.kfac(network, graph, [(X, Y, 2 * weight)])
    np.testing.assert_allclose(twice, 4 * once, rtol=1e-4)


class OwnLoss(keras.Model):
    """A loss of one's own, which takes no ``training``."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        return keras.ops.mean((y_pred - keras.ops.one_hot(y, 3)) ** 2)


def test_a_layer_that_is_kept_is_no_reader():
    network = keras.Sequential([keras.Input((8,)), *map(kl.Dense, (6, 5, 4, 3))])
    network.compile("sgd", "mse")
    network.layers[0].enable_lora(2)
    with pytest.warns(UserWarning, match="enable_lora after pruning"):
        graph = trace(network)
    batch = X, np.ones((len(X), 3)), None
    assert np.isfinite(kfac.kfac(network, graph, [batch])).all()


class LossOfCalls(OwnLoss):
    """A loss that calls layers itself, as a variational autoencoder's may."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        outputs = self.layers[2](self.layers[1](2 * x))
        return super().compute_loss(x, y, y_pred) + keras.ops.mean(outputs**2)


def test_a_loss_may_call_layers_itself():
    inputs = keras.Input((8,))
    network = LossOfCalls(inputs, kl.Dense(3)(kl.Dense(6, "relu")(inputs)))
    network.compile("sgd")
    assert np.isfinite(kfac.kfac(network, trace(network), [(X, Y, None)])).all()


class Energy(keras.layers.Layer):
    """What it is called on, whose squares it adds to the loss."""

    def call(self, x):
        self.add_loss(keras.ops.sum(x**2))
        return x


def test_layers_may_add_all_of_the_loss():
    layers = kl.Dense(6, "relu"), kl.Dense(3), Energy()
    network = keras.Sequential([keras.Input((8,)), *layers])
    network.compile("sgd")
    assert (kfac.kfac(network, trace(network), [(X, None, None)]) > 0).any()


@pytest.mark.parametrize("kind", ["own loss", "two outputs", "taught"])
def test_any_compiled_network_trains_to_its_budget(kind):
    inputs, y = keras.Input((8,)), Y
    own = {"kernel_regularizer": "l2", "activity_regularizer": "l1"}
    hidden = kl.Dense(24, activation="relu", **own)(inputs)
    if kind == "two outputs":
        heads = {"a": kl.Dense(3, name="a")(hidden), "b": kl.Dense(1, name="b")(hidden)}
        network = keras.Model(inputs, heads)
        loss = {"a": keras.losses.SparseCategoricalCrossentropy(True), "b": "mse"}
        y = {"a": Y, "b": Y[:, None].astype("float32")}
    else:
        model = OwnLoss if kind == "own loss" else keras.Model
        network = model(inputs, kl.Dense(3)(hidden))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile("adam", loss)
    options = {"importance": "kfac", "anneal": "once", "schedule": SOON}
    distill = 0.5 if kind == "taught" else None
    trainer = Nestrade(network, 0.4, **options, distill=distill)
    trainer.fit(X, y, batch_size=16, epochs=5, verbose=0)
    assert trainer.met


def test_small_batches_are_joined_and_give_the_same_scores():
    network = mlp()
    batches = [(X[n : n + 16], Y[n : n + 16], None) for n in range(0, 64, 16)]
    joined = in_larger_batches(batches, 32)
    assert [len(x) for x, _, _ in joined] == [32, 32]
    apart, together = (kfac.kfac(network, trace(network), b) for b in (batches, joined))
    np.testing.assert_allclose(apart, together, rtol=1e-3)

"""The proximal step solves its problem; the optimizer shrinks only what it is told."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers as kl

from nestrade_lib import (
    ChannelOptimizer,
    GroupLasso,
    create_loss,
    restructure,
    trace,
)
from nestrade_lib.regularizers import group_proximal_step

pytestmark = pytest.mark.any_backend


def numpy(x):
    return keras.ops.convert_to_numpy(x)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 99), threshold=st.floats(0.01, 3), axis=st.sampled_from([0, -1])
)
def test_the_proximal_step_is_the_minimum(seed, threshold, axis):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(4, 5)).astype("float32")

    def objective(z):
        norms = np.linalg.norm(z, axis=1 - axis % 2)
        return 0.5 * ((z - x) ** 2).sum() + threshold * norms.sum()

    best = numpy(group_proximal_step(x, threshold, axis))
    for scale in (1e-3, 1e-1, 1):
        other = best + scale * rng.normal(size=x.shape)
        assert objective(best) <= objective(other) + 1e-5


def test_group_lasso_is_the_sum_of_norms_and_finite_at_zero():
    kernel = np.zeros((3, 3, 2, 4), "float32")
    kernel[..., 1] = 2.0
    penalty = float(numpy(GroupLasso(0.1)(kernel)))
    assert np.isclose(penalty, 0.1 * np.sqrt(18) * np.sqrt(18 * 4))
    network = keras.Sequential(
        [
            keras.Input((3,)),
            kl.Dense(2, kernel_initializer="zeros", kernel_regularizer=GroupLasso()),
        ]
    )
    network.compile("sgd", "mse")
    network.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    assert np.isfinite(network.get_weights()[0]).all()
    copy = GroupLasso.from_config(GroupLasso(0.3, axis=0).get_config())
    assert (copy.strength, copy.axis) == (0.3, 0)


@pytest.mark.parametrize("strength", [-1, np.nan, np.inf])
def test_bad_strengths_are_refused(strength):
    with pytest.raises(ValueError, match="strength: expected"):
        GroupLasso(strength)


def small(optimizer):
    keras.utils.set_random_seed(3)
    x = keras.Input((6,))
    h = kl.BatchNormalization()(kl.Dense(10, use_bias=False)(x))
    network = keras.Model(x, kl.Dense(2)(kl.ReLU()(h)))
    network.compile(optimizer, create_loss())
    return network


X = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
Y = (X[:, 0] > 0).astype(int)
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01)),
}


def train(network, steps):
    network.fit(X, Y, batch_size=64, epochs=steps, shuffle=False, verbose=0)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_unless_told_it_is_the_inner_optimizer(name):
    plain, wrapped = small(OPTIMIZERS[name]()), small(OPTIMIZERS[name]())
    wrapped.optimizer = ChannelOptimizer(wrapped.optimizer, trace(wrapped))
    train(plain, 5)
    train(wrapped, 5)
    for a, b in zip(plain.weights, wrapped.weights, strict=True):
        np.testing.assert_allclose(numpy(a), numpy(b), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_chosen_groups_reach_exactly_zero_and_others_do_not(name):
    network = small(OPTIMIZERS[name]())
    graph = trace(network)
    network.optimizer = ChannelOptimizer(network.optimizer, graph)
    network.optimizer.build(network.trainable_variables)
    remaining = np.zeros(graph.count + 1)
    remaining[[1, 4]] = 6
    network.optimizer.remaining.assign(remaining)
    sizes = []
    for _ in range(8):
        train(network, 1)
        weights = {v.path: numpy(v) for v in network.trainable_variables}
        sizes.append(graph.sums({path: np.abs(w) for path, w in weights.items()}))
    assert (sizes[4][[1, 4]] > 0).all()
    assert (sizes[5][[1, 4]] == 0).all() and (sizes[7][[1, 4]] == 0).all()
    assert (np.delete(sizes[7], [1, 4]) > 0.1).all()


@pytest.mark.parametrize("name", ["sgd", "scaled"])
def test_scores_are_the_squared_first_order_change(name):
    network = small(OPTIMIZERS[name]())
    graph = trace(network)
    before = [numpy(w).copy() for w in network.get_weights()]
    network.optimizer = ChannelOptimizer(network.optimizer, graph, memory=0.0)
    train(network, 1)
    scores = numpy(network.optimizer.scores)[:-1]

    # By finite differences: shrink one group a little, see what the loss does.
    def loss(weights):
        network.set_weights(weights)
        return float(numpy(network.compute_loss(X, Y, network(X, training=True))))

    paths = [v.path for v in network.weights]
    for group in range(graph.count):
        change = 0.0
        for sign in (1, -1):
            weights = [w.copy() for w in before]
            for member in graph.members(group):
                if member.role == "produce":
                    w = weights[paths.index(member.path)]
                    index = [slice(None)] * w.ndim
                    index[member.axis] = member.positions
                    w[tuple(index)] *= 1 + sign * 1e-2
            change += sign * loss(weights) / 2e-2
        np.testing.assert_allclose(scores[group], change**2, rtol=0.05, atol=1e-6)


def test_a_cut_asks_for_the_inner_optimizer():
    network = small("sgd")
    graph = trace(network)
    network.optimizer = ChannelOptimizer(network.optimizer, graph)
    network.optimizer.build(network.trainable_variables)
    with pytest.raises(
        ValueError, match="ChannelOptimizer cannot be made.*inner_optimizer"
    ):
        restructure(network, np.arange(graph.count) > 2, graph)
    network.optimizer = network.optimizer.inner_optimizer
    assert restructure(network, np.arange(graph.count) > 2, graph).layers[1].units == 7

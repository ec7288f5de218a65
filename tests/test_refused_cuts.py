"""Cuts that are refused: before a run where that can be seen, else skipped in it."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers as kl

from benchmarks.structures.rows import random_cut
from nestrade_lib import (
    Nestrade,
    RefusedCut,
    Schedule,
    create_loss,
    register_rule,
    trace,
    verify,
)
from nestrade_lib.surgery import UnsliceableOptimizer, cut, rehearsal
from nestrade_lib.surgery.rounding import tolerance
from nestrade_lib.training import pruned_network
from tests.support.small import EAGER, SOON, X, Y, mlp

pytestmark = pytest.mark.any_backend


class NoStep(keras.callbacks.Callback):
    """Nothing is trained before the refusal."""

    def on_train_batch_begin(self, batch, logs=None):
        raise AssertionError("a step was taken")


@pytest.mark.parametrize("large", [100, 1])
@pytest.mark.parametrize("optimizer", ["Lamb", "Muon"])
def test_an_optimizer_that_treats_channels_together_is_named_before_the_first_step(
    monkeypatch, optimizer, large
):
    monkeypatch.setattr(rehearsal, "LARGE", large)
    trainer = Nestrade(mlp(getattr(keras.optimizers, optimizer)(0.01)), 0.4)
    with pytest.raises(RefusedCut, match=f"{optimizer} may treat the channels"):
        trainer.fit(X, Y, epochs=4, verbose=0, callbacks=[NoStep()])


@pytest.mark.parametrize("large", [100, 1])
def test_what_is_tried_before_a_run_changes_nothing_of_it(monkeypatch, large):
    monkeypatch.setattr(rehearsal, "LARGE", large)

    def weights():
        keras.utils.set_random_seed(2)
        stack = [keras.Input((8,)), kl.Dense(24, "relu"), kl.BatchNormalization()]
        network = keras.Sequential([*stack, kl.Dropout(0.3), kl.Dense(3)])
        network.compile("adam", create_loss(), run_eagerly=EAGER)
        trainer = Nestrade(network, 0.4, schedule=SOON)
        trainer.fit(X, Y, epochs=4, verbose=0)
        assert trainer.met
        return trainer.network.get_weights()

    tried = weights()
    monkeypatch.setattr(pruned_network, "rehearse", lambda *arguments: None)
    for a, b in zip(tried, weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_optimizer_whose_state_cannot_be_cut_is_named_before_the_first_step():
    network = mlp("adafactor")
    before = [keras.ops.convert_to_numpy(v).copy() for v in network.variables]
    with pytest.raises(UnsliceableOptimizer, match="cannot be cut with it"):
        Nestrade(network, 0.4).fit(X, Y, epochs=4, verbose=0, callbacks=[NoStep()])
    for old, variable in zip(before, network.variables, strict=True):
        np.testing.assert_array_equal(old, keras.ops.convert_to_numpy(variable))


@pytest.mark.parametrize("large", [100, 1])
def test_an_optimizer_of_other_variables_is_named_before_the_first_step(
    monkeypatch, large
):
    monkeypatch.setattr(rehearsal, "LARGE", large)
    network = mlp()
    network.optimizer.build(network.trainable_variables[2:])
    trainer = Nestrade(network, 0.4)
    with pytest.raises(ValueError, match="has no slots for"):
        trainer.fit(X, Y, epochs=4, verbose=0, callbacks=[NoStep()])


class Backwards(kl.Dense):
    """Reads its input from the last channel to the first."""

    def call(self, x):
        return super().call(keras.ops.flip(x, -1))


def test_a_wrong_rule_is_found_before_the_first_step(monkeypatch):
    from nestrade_lib.dependency import registry

    monkeypatch.setattr(registry, "_RULES", dict(registry._RULES))
    register_rule(Backwards)(registry._RULES[kl.Dense])
    network = keras.Sequential(
        [keras.Input((8,)), kl.Dense(9, activation="relu"), Backwards(3)]
    )
    network.compile("adam", "mse", run_eagerly=EAGER)
    trainer = Nestrade(network, 0.4, schedule=SOON)
    with pytest.raises(RefusedCut, match="outputs by.*ignored_layers="):
        trainer.fit(X, np.eye(3)[Y], epochs=4, verbose=0, callbacks=[NoStep()])
    assert trainer.network is network


@pytest.mark.parametrize("refused", [1, 100])
def test_a_cut_that_is_refused_later_is_skipped(monkeypatch, refused):
    """The run goes on, warns once, and says at its end if the budget was missed."""
    restructure, tries = pruned_network.restructure, itertools.count(1)

    def refusing(*arguments):
        if next(tries) <= refused:
            raise RefusedCut("It differs.")
        return restructure(*arguments)

    monkeypatch.setattr(pruned_network, "restructure", refusing)
    trainer = Nestrade(mlp(), 0.4, schedule=SOON, distill=0.5)
    with pytest.warns(UserWarning) as caught:
        history = trainer.fit(X, Y, epochs=4, verbose=0)
    said = [str(w.message) for w in caught if "refused" in str(w.message)]
    assert len(history.epoch) == 4 and trainer.met == (refused == 1)
    assert (
        said[0].startswith("A cut was refused and is skipped")
        and "It differs." in said[0]
    )
    assert len(said) == 1 + (refused == 100)
    if refused == 100:
        assert not trainer.cuts and "was met. Cuts were refused" in said[1]
        kernels = [layer.kernel for layer in trainer.network.layers]
        norms = [np.linalg.norm(keras.ops.convert_to_numpy(k), axis=0) for k in kernels]
        assert min(norm.min() for norm in norms) > 0.1  # no channel is half way to zero
    assert isinstance(trainer.optimizer, keras.optimizers.Adam)


needs_variance = pytest.mark.skipif(
    keras.backend.backend() == "torch",
    reason="Keras' batch variance of large numbers is below 0 on PyTorch",
)


def unscaled(seed, samples=256):
    """A table with a raw time stamp among its columns, and a network for it."""
    rng = np.random.default_rng(seed)
    columns = rng.uniform(18, 80, samples), rng.lognormal(10, 1, samples)
    seconds = 1.6e9 + rng.uniform(0, 2.6e6, samples)
    x = np.column_stack([*columns, seconds, rng.normal(size=(samples, 3))])
    keras.utils.set_random_seed(seed)
    hidden = kl.Dense(24), kl.BatchNormalization(momentum=0.9), kl.ReLU()
    layers = *hidden, kl.Dense(16, activation="relu"), kl.Dense(1)
    network = keras.Sequential([keras.Input((6,)), *layers])
    network.compile("adam", "mse", run_eagerly=EAGER)
    return network, x.astype("float32"), x[:, 3] + x[:, 4] * x[:, 5]


@needs_variance
@pytest.mark.filterwarnings("error:A cut was refused")
@pytest.mark.parametrize("seed", range(5))
def test_rounding_on_unscaled_columns_refuses_no_cut(seed):
    network, x, y = unscaled(seed)
    trainer = Nestrade(network, 0.4, schedule=Schedule(0.3, 0.8, cuts=3, shrink=4))
    trainer.fit(x, y, epochs=8, verbose=0)
    assert trainer.met and trainer.cuts


@needs_variance
def test_wrong_cuts_are_seen_beside_the_rounding_of_unscaled_columns():
    network, x, y = unscaled(0)
    network.fit(x, y, epochs=8, verbose=0)
    graph, allowed = trace(network), tolerance(network)
    for seed in range(5):
        mask = random_cut(graph, seed)
        smaller = cut(network, mask, graph)
        kernel = smaller.layers[-2].kernel
        assert max(verify(network, smaller, mask, x[:16], graph).values()) <= allowed
        kernel.assign(keras.ops.roll(kernel, 1, axis=0))
        assert (
            max(verify(network, smaller, mask, x[:16], graph).values()) > 100 * allowed
        )

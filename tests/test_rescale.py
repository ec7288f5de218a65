"""Batches grow only where memory, noise and clock all speak for it."""

import keras
import numpy as np
import pytest

from nestrade_lib import Nestrade, Schedule, create_loss, trace
from nestrade_lib.engines import Engine
from nestrade_lib.training import rescale
from nestrade_lib.training.noise import NoiseScale, noise_scale

pytestmark = pytest.mark.any_backend

X = np.random.default_rng(0).normal(size=(512, 8)).astype("float32")
Y = (X[:, 0] > 0).astype(int)


def network():
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(24, activation="relu"), keras.layers.Dense(2)]
    built = keras.Sequential([keras.Input((8,)), *layers])
    built.compile("adam", create_loss(), metrics=["accuracy"])
    return built


@pytest.mark.parametrize(
    "noise, freed, gain, factor",
    [
        (1e9, 9.0, 2.0, 8),  # all three allow the most that is tried
        (1e9, 4.5, 2.0, 4),  # memory ends it
        (70.0, 9.0, 2.0, 2),  # noise ends it
        (20.0, 9.0, 2.0, 1),
        (1e9, 9.0, 1.05, 1),  # a sample takes hardly less time
        (float("inf"), 9.0, 2.0, 8),  # noise drowns the gradient
    ],
)
def test_the_batch_grows_as_far_as_it_pays(monkeypatch, noise, freed, gain, factor):
    monkeypatch.setattr(rescale, "noise_scale", lambda *args, **kwargs: noise)
    monkeypatch.setattr(
        rescale, "_seconds_per_sample", lambda *args: gain ** -np.log2(args[-1])
    )
    built = network()
    found = rescale.measure_rescale(
        Engine(), built, trace(built), X, Y, batch_size=32, freed=freed
    )
    assert found.factor == factor


def test_all_workers_go_by_the_clock_of_the_chief(monkeypatch):
    class Slow(Engine):
        workers, rank = 2, 1

        def gather(self, numbers):
            chief = {1: 1000, 2: 500, 4: 250, 8: 249}  # nanoseconds, by factor
            tries.append(int(numbers[0]))
            return np.array([[chief[2 ** (len(tries) - 1)]], numbers])

    tries = []
    monkeypatch.setattr(rescale, "noise_scale", lambda *args, **kwargs: 1e9)
    monkeypatch.setattr(rescale, "_seconds_per_sample", lambda *args: 1e-6)
    built = network()
    found = rescale.measure_rescale(
        Slow(), built, trace(built), X, Y, batch_size=32, freed=9.0
    )
    assert found.factor == 4 and len(tries) == 4


def test_measuring_changes_nothing_and_a_run_says_what_it_found():
    built = network()
    before = [
        *built.get_weights(),
        *map(keras.ops.convert_to_numpy, built.optimizer.variables),
    ]
    rescale.measure_rescale(
        Engine(), built, trace(built), X, Y, batch_size=16, freed=4.0
    )
    after = [
        *built.get_weights(),
        *map(keras.ops.convert_to_numpy, built.optimizer.variables),
    ]
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)
    trainer = Nestrade(built, 0.3, schedule=Schedule(0.2, 0.5, 2), growth="auto")
    trainer.fit(X, Y, batch_size=16, epochs=5, verbose=0)
    assert trainer.rescale.factor in (1, 2, 4, 8)
    assert trainer.rescale.freed > 1 and trainer.rescale.noise_scale > 0


def test_a_run_whose_learning_rate_is_annealed_grows_by_what_it_measures(monkeypatch):
    monkeypatch.setattr(rescale, "noise_scale", lambda *args, **kwargs: 1e9)
    monkeypatch.setattr(rescale, "_seconds_per_sample", lambda *args: 1 / args[-1])
    built = network()
    schedule = Schedule(0.2, 0.5, cuts=2, max_pruning_ratio=1)
    trainer = Nestrade(built, 0.3, schedule=schedule, growth="auto")
    trainer.fit(X, Y, batch_size=16, epochs=5, verbose=0)
    assert trainer.rescale.factor > 1
    steps = int(trainer.network.optimizer.iterations)
    assert steps < 5 * 512 // 16  # fewer, since batches are larger
    assert isinstance(trainer.network.optimizer, keras.optimizers.Adam)
    assert float(trainer.network.optimizer.learning_rate) == pytest.approx(1e-3)


def test_the_estimate_of_noise_has_no_bias():
    # Gradients of known mean and variance: 3 in each of 4 places, variance 8 a sample.
    rng = np.random.default_rng(0)
    estimate = NoiseScale(small=4, large=64, memory=0.999)
    for _ in range(4000):
        parts = 3 + rng.normal(size=(16, 4)) * np.sqrt(8 / 4)
        small = np.mean((parts**2).sum(1))
        estimate.add(small, (parts.mean(0) ** 2).sum())
    assert estimate.value == pytest.approx(4 * 8 / (4 * 9), rel=0.1)
    with pytest.raises(ValueError, match="0 < small < large, got 64, 4"):
        NoiseScale(64, 4)


def test_the_noise_scale_is_that_of_a_problem_whose_noise_is_known():
    # y = w·x + noise at w = 0, mean squared error: |G|² and tr Σ have closed forms.
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 4)).astype("float32")
    y = (x @ [1.0, 1, 1, 1] + 3 * rng.normal(size=len(x))).astype("float32")[:, None]
    network = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros"),
        ]
    )
    network.compile("sgd", "mse")
    each = -2 * y * x
    signal = (each.mean(0) ** 2).sum()
    expected = each.var(0).sum() / signal
    found = noise_scale(network, x, y, small=16, large=512, draws=40)
    assert found == pytest.approx(expected, rel=0.25)
    with pytest.raises(ValueError, match="expected at least large=512"):
        noise_scale(network, x[:100], y[:100], small=16, large=512)

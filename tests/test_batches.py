"""Batches hold every sample once an epoch, in an order that the seed alone decides."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestrade_lib import Batches

pytestmark = pytest.mark.any_backend

sizes = st.integers(1, 40)


@given(samples=sizes, batch_size=sizes, seed=st.none() | st.integers(0, 9))
def test_an_epoch_is_a_permutation(samples, batch_size, seed):
    x = np.arange(samples)
    batches = Batches(x, x * 2, batch_size, seed)
    seen = [batches[i] for i in range(len(batches))]
    assert all(len(x) == batch_size for x, _ in seen[:-1])
    rows = np.concatenate([x for x, _ in seen])
    np.testing.assert_array_equal(np.sort(rows), x)
    np.testing.assert_array_equal(np.concatenate([y for _, y in seen]), rows * 2)


def order(batches):
    return np.concatenate([batches[i][0] for i in range(len(batches))]).tolist()


def test_the_order_depends_on_seed_and_epoch_alone():
    x = np.arange(100)
    one, same, other = (Batches(x, x, 7, seed) for seed in (1, 1, 2))
    assert order(one) == order(same) != order(other)
    first = order(one)
    one.on_epoch_end()
    second = order(one)
    assert first != second
    same.epoch = 1  # a resumed run starts where the other stands
    assert order(same) == second


def test_without_a_seed_samples_come_as_they_are():
    x = np.arange(10)
    batches = Batches(x, x, 3)
    batches.on_epoch_end()
    assert order(batches) == x.tolist()


def test_bytes_become_floats_and_floats_are_kept():
    pixels = np.arange(256, dtype="uint8")[:, None]
    scaled, _ = Batches(pixels, pixels, 256)[0]
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, pixels * np.float32(1 / 255))
    floats, _ = Batches(scaled * 300, pixels, 256)[0]
    np.testing.assert_array_equal(floats, scaled * 300)


def test_fit_and_predict_take_them():
    x = np.random.default_rng(0).random((50, 3), "float32")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    batches = Batches(x, (x[:, 0] > 0.5).astype(int), 16, seed=0)
    history = model.fit(batches, epochs=2, validation_data=batches, verbose=0)
    assert np.isfinite(history.history["val_loss"]).all() and batches.epoch >= 2
    assert model.predict(batches, verbose=0).shape == (50, 2)


def at(batches, epoch):
    batches.epoch = epoch
    return [batches[i] for i in range(len(batches))]


@st.composite
def shared(draw):
    """Samples, global batch size and number of workers that can share them."""
    workers, part = draw(st.integers(1, 5)), draw(st.integers(1, 7))
    samples = draw(st.integers(workers * part, 80))
    return samples, workers * part, workers


@given(shared(), st.none() | st.integers(0, 9), st.integers(0, 3))
def test_workers_share_every_batch(sizes, seed, epoch):
    samples, batch_size, workers = sizes
    x = np.arange(samples)
    whole = at(Batches(x, x * 2, batch_size, seed), epoch)
    shares = [
        at(Batches(x, x * 2, batch_size, seed, (index, workers)), epoch)
        for index in range(workers)
    ]
    for (batch, _), *parts in zip(whole, *shares):
        assert len({len(x) for x, _ in parts}) == 1  # each as many
        together = np.concatenate([x for x, _ in parts])
        # The batch of a single worker, in its order. What cannot be shared equally
        # is missing at the end of the last one.
        np.testing.assert_array_equal(together, batch[: len(together)])
        np.testing.assert_array_equal(
            np.concatenate([y for _, y in parts]), 2 * together
        )
    seen = np.concatenate([x for share in shares for x, _ in share])
    assert len(set(seen.tolist())) == len(seen) == samples - samples % workers


@given(shared(), st.none() | st.integers(0, 9), st.integers(0, 3))
def test_tf_data_makes_the_same_batches(sizes, seed, epoch):
    """Whatever the worker: so what holds for its shares holds for these."""
    pytest.importorskip("tensorflow")
    from nestrade_lib import tf_batches

    samples, batch_size, workers = sizes
    x = np.arange(samples, dtype="uint8")[:, None]
    settings = x, x, batch_size, seed, (workers - 1, workers)
    plain, dataset = Batches(*settings), tf_batches(*settings, epoch=epoch)
    assert len(dataset) == len(plain)
    for number in (epoch, epoch + 1):  # each iteration is the next epoch
        for ours, theirs in zip(at(plain, number), dataset, strict=True):
            np.testing.assert_array_equal(ours[0], theirs[0])
            np.testing.assert_array_equal(ours[1], theirs[1])


def test_orders_of_their_own_overlap_and_miss():
    """Why all workers need one seed: of two with others, a quarter is never seen."""
    x = np.arange(10_000)
    shares = [Batches(x, x, 100, seed, (seed, 2)) for seed in range(2)]
    times = np.bincount(
        np.concatenate([order(share) for share in shares]), minlength=len(x)
    )
    for number, expected in enumerate((0.25, 0.5, 0.25)):
        assert np.mean(times == number) == pytest.approx(expected, abs=0.02)


def test_a_strategy_may_distribute_them():
    tf = pytest.importorskip("tensorflow")
    from nestrade_lib import tf_batches

    x = np.arange(10, dtype="float32")[:, None]
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    given = strategy.experimental_distribute_dataset(tf_batches(x, x, 4, seed=0))
    rows = np.concatenate([np.ravel(batch) for batch, _ in given])
    assert rows.tolist() == order(Batches(x[:, 0], x, 4, seed=0))


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (np.ones(3), np.ones(4), {}, r"same.*\(3,\) and \(4,\)"),
        (np.ones((0, 2)), np.ones(0), {}, "non-zero number"),
        (np.float32(1), np.float32(1), {}, "expected two arrays"),
        (np.ones(3), np.ones(3), {"batch_size": 0}, "batch_size: expected.* got 0"),
        (np.ones(3), np.ones(3), {"batch_size": 2.5}, "batch_size: expected.* 2.5"),
        (np.ones(3), np.ones(3), {"seed": -1}, "seed: expected.* -1"),
        (np.ones(3), np.ones(3), {"shard": (2, 2)}, r"shard: expected.*\(2, 2\)"),
        (np.ones(3), np.ones(3), {"shard": 2}, "shard: expected.* got 2"),
        (
            np.ones(9),
            np.ones(9),
            {"batch_size": 7, "shard": (0, 2)},
            "7 samples cannot be shared equally by 2.*such as 8",
        ),
        (
            np.ones(9),
            np.ones(9),
            {"batch_size": 10, "shard": (0, 2)},
            "at most the 9 samples.* got 10",
        ),
    ],
)
def test_bad_input_is_refused(x, y, options, message):
    with pytest.raises(ValueError, match=message):
        Batches(x, y, **options)
    if keras.backend.backend() == "tensorflow":
        from nestrade_lib import tf_batches

        with pytest.raises(ValueError, match=message):
            tf_batches(x, y, **options)

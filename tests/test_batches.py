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


@given(samples=sizes, batch_size=sizes)
def test_tf_data_makes_the_same_batches(samples, batch_size):
    pytest.importorskip("tensorflow")
    from nestrade_lib import tf_batches

    x = np.arange(samples, dtype="uint8")[:, None]
    plain = Batches(x, x, batch_size)
    dataset = tf_batches(x, x, batch_size)
    assert len(dataset) == len(plain)
    for (x1, y1), (x2, y2) in zip(
        dataset, (plain[i] for i in range(len(plain))), strict=True
    ):
        np.testing.assert_array_equal(x1, x2)
        np.testing.assert_array_equal(y1, y2)


def test_tf_data_shuffles_anew_each_epoch_and_alike_each_run():
    pytest.importorskip("tensorflow")
    from nestrade_lib import tf_batches

    x = np.arange(100)

    def epochs():
        dataset = tf_batches(x, x, 8, seed=3)
        return [[int(v) for batch, _ in dataset for v in batch] for _ in range(3)]

    once, again = epochs(), epochs()
    assert once == again
    assert len({tuple(epoch) for epoch in once}) == 3
    assert all(sorted(epoch) == x.tolist() for epoch in once)


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (np.ones(3), np.ones(4), {}, r"same.*\(3,\) and \(4,\)"),
        (np.ones((0, 2)), np.ones(0), {}, "non-zero number"),
        (np.float32(1), np.float32(1), {}, "expected two arrays"),
        (np.ones(3), np.ones(3), {"batch_size": 0}, "batch_size: expected.* got 0"),
        (np.ones(3), np.ones(3), {"batch_size": 2.5}, "batch_size: expected.* 2.5"),
        (np.ones(3), np.ones(3), {"seed": -1}, "seed: expected.* -1"),
    ],
)
def test_bad_input_is_refused(x, y, options, message):
    with pytest.raises(ValueError, match=message):
        Batches(x, y, **options)

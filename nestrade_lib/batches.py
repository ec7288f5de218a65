"""Batches made from whole arrays: the article's "data generators", made fast.

A data set that fits in memory needs no pipeline of single samples. An epoch is one
permutation of the indices; a batch is one gather with a slice of it; bytes become
floats after the gather, batch by batch.

>>> from nestrade_lib import load_mnist
>>> (x_train, y_train), (x_test, y_test) = load_mnist(dtype="uint8")
>>> train = Batches(x_train, y_train, batch_size=128, seed=0)   # shuffled
>>> test = Batches(x_test, y_test, batch_size=1024)             # in order
>>> len(train), len(test)
(469, 10)

Both go into ``model.fit(train, validation_data=test)`` on any backend. Under
TensorFlow, :func:`tf_batches` makes the same batches inside ``tf.data``.

The order depends on the seed and on the epoch's number alone. So workers need not
exchange it: each computes the order, and takes its part of every global batch.

>>> first, second = (Batches(x_train, y_train, 128, 0, (i, 2)) for i in range(2))
>>> x, _ = train[0]
>>> np.array_equal(x, np.concatenate([first[0][0], second[0][0]]))
True
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import keras
import numpy as np
from numpy.typing import ArrayLike

from nestrade_lib.checks import is_whole, require, require_whole

if TYPE_CHECKING:
    import tensorflow as tf


class Batches(keras.utils.PyDataset):
    """Batches of two arrays, for ``fit``, ``evaluate`` and ``predict``.

    Parameters
    ----------
    x : numpy.ndarray, shape (samples, ...)
        Inputs. ``uint8`` is scaled to ``float32`` in [0, 1]; other types are kept.
    y : numpy.ndarray, shape (samples, ...)
        Labels.
    batch_size : int
        Samples per batch, over all workers; the last one of an epoch may be smaller.
    seed : int, optional
        Shuffle, in an order that depends on the seed and on the epoch's number
        alone. Without it, samples come in the order of the arrays.
    shard : (int, int)
        This worker's index, from 0, and the number of workers. Each gets an equal
        part of every batch. So that the last one too can be shared equally, the
        order's last ``samples % workers`` samples are left out.

    Attributes
    ----------
    epoch : int
        The epoch's number, from 0. Set it to replay one.

    Raises
    ------
    ValueError
        If the arrays are empty or differ in length, a number is out of range, or
        workers cannot share: the batch size is no multiple of their number, or there
        are fewer samples than one batch.

    Examples
    --------
    >>> batches = Batches(np.arange(5), np.arange(5) % 2, batch_size=2)
    >>> [x.tolist() for x, y in batches]
    [[0, 1], [2, 3], [4]]
    >>> second = Batches(np.arange(8), np.arange(8), batch_size=4, shard=(1, 2))
    >>> [x.tolist() for x, y in second]
    [[2, 3], [6, 7]]
    """

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        batch_size: int = 128,
        seed: int | None = None,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        super().__init__()
        self.x, self.y = _checked(x, y, batch_size, seed, shard)
        self.batch_size = batch_size
        self.seed = seed
        self.shard = shard
        self.epoch = 0

    @property
    def epoch(self) -> int:
        return self._epoch

    @epoch.setter
    def epoch(self, number: int) -> None:
        self._epoch = number
        self._rows = _rows(len(self.x), self.batch_size, self.seed, number, self.shard)

    def on_epoch_end(self) -> None:
        self.epoch += 1

    def __len__(self) -> int:
        return math.ceil(len(self._rows) / (self.batch_size // self.shard[1]))

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        size = self.batch_size // self.shard[1]
        rows = self._rows[index * size : (index + 1) * size]
        x = self.x[rows]
        return (x * np.float32(1 / 255) if x.dtype == np.uint8 else x), self.y[rows]


def tf_batches(
    x: ArrayLike,
    y: ArrayLike,
    batch_size: int = 128,
    seed: int | None = None,
    shard: tuple[int, int] = (0, 1),
    epoch: int = 0,
) -> tf.data.Dataset:
    """Make the batches inside ``tf.data``: the fastest way to feed TensorFlow.

    Parameters
    ----------
    x, y, batch_size, seed, shard
        As in :class:`Batches`, and so are the batches.
    epoch : int
        The number of the first epoch. Each time the data set is iterated is the next.

    Returns
    -------
    tf.data.Dataset
        Of ``(x, y)`` batches, with known length, prefetched.

    Raises
    ------
    ValueError
        As in :class:`Batches`.

    Examples
    --------
    >>> batches = tf_batches(np.arange(5), np.arange(5) % 2, batch_size=2)
    >>> [x.numpy().tolist() for x, y in batches]
    [[0, 1], [2, 3], [4]]
    """
    x, y = _checked(x, y, batch_size, seed, shard, epoch)
    import tensorflow as tf

    samples, size = len(x), batch_size // shard[1]
    mine = (samples - samples % shard[1]) // shard[1]
    steps = math.ceil(mine / size)
    epochs = itertools.count(epoch)

    def rows_of_next_epoch():
        rows = _rows(samples, batch_size, seed, next(epochs), shard)
        return np.pad(rows, (0, steps * size - mine)).reshape(steps, size)

    with tf.device("CPU"):
        x, y = tf.constant(x), tf.constant(y)

    def batch(step, rows):
        rows = rows[: mine - step * size]  # the last batch without its padding
        images = tf.gather(x, rows)
        if images.dtype == tf.uint8:
            images = tf.cast(images, tf.float32) * (1 / 255)
        return images, tf.gather(y, rows)

    def draw(_):
        rows = tf.numpy_function(rows_of_next_epoch, [], tf.int64)
        return tf.ensure_shape(rows, (steps, size))

    # One matrix of rows per epoch, one element per batch. A data set per epoch, nested
    # in another by flat_map, gives the same and takes far longer to start.
    dataset = tf.data.Dataset.from_tensors(0).map(draw).unbatch().enumerate()
    dataset = dataset.map(batch, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
    return dataset.prefetch(tf.data.AUTOTUNE)


def _rows(samples, batch_size, seed, epoch, shard):
    """Return the samples that a worker takes in an epoch, batch after batch."""
    index, workers = shard
    order = np.arange(samples)
    if seed is not None:
        np.random.default_rng([seed, epoch]).shuffle(order)
    order = order[: samples - samples % workers]
    full = len(order) - len(order) % batch_size
    parts = order[:full].reshape(-1, workers, batch_size // workers)[:, index]
    last = order[full:].reshape(workers, -1)[index]
    return np.concatenate([parts.ravel(), last])


def _checked(x, y, batch_size, seed, shard, epoch=0):
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y) or len(x) == 0:
        raise ValueError(
            "x and y: expected two arrays of the same, non-zero number of samples, "
            f"got shapes {x.shape} and {y.shape}."
        )
    for name, value, least in (
        ("batch_size", batch_size, 1),
        ("seed", 0 if seed is None else seed, 0),
        ("epoch", epoch, 0),
    ):
        require_whole(name, value, least)
    holds = isinstance(shard, (tuple, list)) and len(shard) == 2
    holds = holds and all(is_whole(n, 0) for n in shard) and shard[0] < shard[1]
    expected = "a worker's index, from 0, and the number of workers, such as (0, 2)"
    require(holds, "shard", expected, shard)
    workers = shard[1]
    if batch_size % workers:
        raise ValueError(
            f"batch_size: {batch_size} samples cannot be shared equally by {workers} "
            f"workers. It counts the samples of all workers; take a multiple of "
            f"{workers}, such as {math.ceil(batch_size / workers) * workers}."
        )
    if workers > 1 and len(x) < batch_size:
        raise ValueError(
            f"batch_size: expected at most the {len(x)} samples that there are, got "
            f"{batch_size}, of which each of {workers} workers would take its part."
        )
    return x, y

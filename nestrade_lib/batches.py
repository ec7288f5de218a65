"""Batches made from whole arrays: the article's "data generators", made fast.

A data set that fits in memory needs no pipeline of single samples. An epoch is one
permutation of the indices; a batch is one gather with a slice of it; bytes become
floats after the gather, a batch at a time.

>>> from nestrade_lib import load_mnist
>>> (x_train, y_train), (x_test, y_test) = load_mnist(dtype="uint8")
>>> train = Batches(x_train, y_train, batch_size=128, seed=0)   # shuffled
>>> test = Batches(x_test, y_test, batch_size=1024)             # in order
>>> len(train), len(test)
(469, 10)

Both go into ``model.fit(train, validation_data=test)`` on any backend. Under
TensorFlow, :func:`tf_batches` makes the same kind of batches inside ``tf.data``.
"""

import math

import keras
import numpy as np


class Batches(keras.utils.PyDataset):
    """Batches of two arrays, for ``fit``, ``evaluate`` and ``predict``.

    Parameters
    ----------
    x : numpy.ndarray, shape (samples, ...)
        Inputs. ``uint8`` is scaled to ``float32`` in [0, 1]; other types are kept.
    y : numpy.ndarray, shape (samples, ...)
        Labels.
    batch_size : int
        Samples a batch; the last one of an epoch may be smaller.
    seed : int, optional
        Shuffle, in an order that depends on the seed and on the epoch's number
        alone. Without it, samples come in the order of the arrays.

    Attributes
    ----------
    epoch : int
        The epoch's number, from 0. Set it to replay one.

    Raises
    ------
    ValueError
        If the arrays are empty or differ in length, or a number is out of range.

    Examples
    --------
    >>> batches = Batches(np.arange(5), np.arange(5) % 2, batch_size=2)
    >>> [x.tolist() for x, y in batches]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(self, x, y, batch_size=128, seed=None):
        super().__init__()
        self.x, self.y = _checked(x, y, batch_size, seed)
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    @property
    def epoch(self):
        return self._epoch

    @epoch.setter
    def epoch(self, number):
        self._epoch = number
        self._order = np.arange(len(self.x))
        if self.seed is not None:
            np.random.default_rng([self.seed, number]).shuffle(self._order)

    def on_epoch_end(self):
        self.epoch += 1

    def __len__(self):
        return math.ceil(len(self.x) / self.batch_size)

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        start = index * self.batch_size
        rows = self._order[start : start + self.batch_size]
        x = self.x[rows]
        return (x * np.float32(1 / 255) if x.dtype == np.uint8 else x), self.y[rows]


def tf_batches(x, y, batch_size=128, seed=None):
    """Make the batches inside ``tf.data``: the fastest way to feed TensorFlow.

    Parameters
    ----------
    x, y, batch_size, seed
        As in :class:`Batches`. The order drawn from a seed is another one, and a
        new one each time the data set is iterated.

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
    import tensorflow as tf

    x, y = _checked(x, y, batch_size, seed)
    samples, steps = len(x), math.ceil(len(x) / batch_size)
    with tf.device("CPU"):
        x, y = tf.constant(x), tf.constant(y)

    def epoch(order):
        def batch(step):
            rows = order[step * batch_size : (step + 1) * batch_size]
            images = tf.gather(x, rows)
            if images.dtype == tf.uint8:
                images = tf.cast(images, tf.float32) * (1 / 255)
            return images, tf.gather(y, rows)

        return tf.data.Dataset.range(steps).map(batch)

    if seed is None:
        orders = tf.data.Dataset.from_tensors(tf.range(samples, dtype=tf.int64))
    else:
        draws = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
        orders = (
            draws.batch(2)
            .take(1)
            .map(
                lambda pair: tf.random.experimental.stateless_shuffle(
                    tf.range(samples, dtype=tf.int64), seed=pair
                )
            )
        )
    dataset = orders.flat_map(epoch)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))
    return dataset.prefetch(tf.data.AUTOTUNE)


def _checked(x, y, batch_size, seed):
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y) or len(x) == 0:
        raise ValueError(
            "x and y: expected two arrays of the same, non-zero number of samples, "
            f"got shapes {x.shape} and {y.shape}."
        )
    for name, value, least in (("batch_size", batch_size, 1), ("seed", seed, 0)):
        if name == "seed" and value is None:
            continue
        if not isinstance(value, (int, np.integer)) or value < least:
            raise ValueError(
                f"{name}: expected an integer of at least {least}, got {value!r}."
            )
    return x, y

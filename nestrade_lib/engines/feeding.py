"""Batches for TensorFlow: for one device, and for replicas, each its rows.

Replicas get arrays through ``tf.data`` as whole batches of a replica, which it
prefetches. Other data are split as they come.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from nestrade_lib.arrays import arrays_of, map_arrays, rows_of
from nestrade_lib.keras_data import dataset_of


def untuned(dataset):
    """A `tf.data.Dataset` whose iterators close at once.

    Its tuner is a thread that sleeps between two looks, and an iterator is closed only
    when it wakes: up to a second later. That is little in Keras' ``fit``, and much where
    each of many pieces is one.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def as_dataset(batches):
    """What Keras makes of a generator of batches, untuned."""
    return untuned(dataset_of(batches))


def spread_batches(
    engine,
    x,
    y=None,
    sample_weight=None,
    batch_size=None,
    steps_per_epoch=None,
    shuffle=False,
):
    """This worker's shard of each batch of a piece, spread over its devices."""
    if batch_size is None:
        for batch in x:
            yield spread(engine, batch)
        return
    size = batch_size // engine.replicas
    given = x, y, sample_weight
    arrays = arrays_of(given)
    if len(arrays[0]) % size:  # one replica alone may have a smaller last batch
        for start in range(0, len(arrays[0]), batch_size):
            yield spread(engine, rows_of(given, slice(start, start + batch_size)))
        return
    parts = [np.reshape(a, (-1, size, *a.shape[1:])) for a in arrays]
    dataset = tf.data.Dataset.from_tensor_slices(tuple(parts))
    dataset = untuned(dataset.prefetch(tf.data.AUTOTUNE))
    for batch in engine.strategy.distribute_datasets_from_function(lambda _: dataset):
        leaves = iter(batch)
        yield map_arrays(lambda _, leaves=leaves: next(leaves), given)


def spread(engine, batch):
    """Give each replica of this worker its rows of this worker's shard."""
    rows = len(arrays_of(batch)[0])
    size = rows // engine.local_replicas
    first = engine.rank * engine.local_replicas

    def rows_of_replica(context):
        at = (context.replica_id_in_sync_group - first) % engine.local_replicas * size
        return rows_of(batch, slice(at, at + size))

    return engine.strategy.experimental_distribute_values_from_function(rows_of_replica)


def global_batches(x, y, sample_weight, batch_size, steps):
    """Batches of any data that Keras' ``evaluate`` takes, whole, as tuples."""
    leaves = keras.tree.flatten(x)
    if not all(hasattr(leaf, "shape") for leaf in leaves):
        batches = (
            (x[i] for i in range(len(x))) if hasattr(x, "__getitem__") else iter(x)
        )
        for number, batch in enumerate(batches):
            if steps is not None and number == steps:
                return
            yield batch if isinstance(batch, tuple) else (batch,)
        return
    size = batch_size or 32
    rows = len(leaves[0])
    count = math.ceil(rows / size) if steps is None else steps
    values = x, y, sample_weight
    for number in range(count):
        yield rows_of(values, slice(number * size, min((number + 1) * size, rows)))

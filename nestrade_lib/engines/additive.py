"""Whether what replicas make of their rows adds up to the loss of the whole batch.

``tf.distribute`` adds up the gradients of replicas, each of which sees its rows only.
Keras divides a loss by the number of replicas where it averages it itself: not where a
loss of one's own returns a single number, nor in a ``compute_loss`` of one's own; and no
division helps a loss that couples the rows of a batch. So this is measured, on rows of
the first batch, and not read off the code.
"""

import keras
import numpy as np
import tensorflow as tf

from nestrade_lib.arrays import arrays_of, map_arrays, rows_of
from nestrade_lib.engines.feeding import spread
from nestrade_lib.internals import compute_loss
from nestrade_lib.variables import assign, values_of

ROWS = 16  # of each replica
ORDERS = 3  # rows of like sums may hide a coupling


def require_additive(engine, network, batch):
    """Refuse a loss whose sum over replicas is not its value on one device."""
    rows = min(len(arrays_of(batch)[0]), ROWS * engine.replicas)
    rows -= rows % engine.replicas
    if engine.replicas == 1 or not rows:
        return
    batch = map_arrays(lambda a: keras.ops.convert_to_numpy(a[:rows]), batch)
    held = [*network.non_trainable_variables, *network.metrics_variables]
    before = values_of(held)
    try:
        pairs = _losses(engine, network, batch, rows)
    finally:
        assign(held, before)
    for whole, parts in pairs:
        if abs(parts - whole) > _allowed(network) * max(abs(whole), 1e-3):
            raise ValueError(_refusal(engine, network, rows, whole, parts))


def _losses(engine, network, batch, rows):
    """Loss of the whole, and the sum of the parts, in several orders of the rows."""

    def loss(batch):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
        predicted = network(x, training=False)
        losses = compute_loss(network, x, y, predicted, sample_weight)
        return tf.reduce_sum(tf.cast(losses, "float64"))

    @tf.function(autograph=False)
    def of_parts(batch):
        return engine.strategy.run(loss, args=(batch,))

    of_whole = tf.function(loss, autograph=False)
    rng = np.random.default_rng(0)
    pairs = []
    for number in range(ORDERS):
        order = rng.permutation(rows) if number else np.arange(rows)
        ordered = rows_of(batch, order)
        mine = spread(engine, map_arrays(engine.shard, ordered))
        if not number:
            engine.build_metrics(network, mine)
        whole, again = (float(of_whole(ordered)) for _ in range(2))
        parts = engine.strategy.reduce("SUM", of_parts(mine), axis=None)
        # Skip random and non-finite losses: they cannot be compared.
        if whole == again and np.isfinite(whole):
            pairs.append((whole, float(parts)))
    return pairs


def _allowed(network):
    """The share of a loss that rounding may make; a wrong factor makes all of it."""
    half = any(x.compute_dtype in ("float16", "bfloat16") for x in network.layers)
    return 2e-2 if half else 1e-3


def _refusal(engine, network, rows, whole, parts):
    count = engine.replicas
    if np.isclose(parts, count * whole, rtol=_allowed(network)):
        why = (
            "it averages over its rows itself, and each replica's gradient would count "
            f"as that of the whole batch: {count} times in all"
        )
    else:
        why = "what it makes of a row depends on the others of its batch"
    return (
        f"Network {network.name!r} has a loss that tf.distribute does not train as one "
        f"device would: {rows} rows of the training data cost {whole:.4g} on one device, "
        f"and {parts:.4g} as the sum of {count} replicas; {why}. Let the loss give one "
        "number a row, which Keras averages over all replicas (keras.ops.mean(..., "
        "axis=-1); Dice and Tversky with axis=); in a compute_loss of one's own, divide "
        "what it averages by tf.distribute.get_strategy().num_replicas_in_sync. Or train "
        "on the JAX backend."
    )

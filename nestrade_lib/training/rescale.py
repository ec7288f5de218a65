"""Spend what the cuts have freed on larger batches, where that pays.

A smaller network leaves memory for more samples at once, and fewer, larger steps spend
less time between them. It pays under three conditions, all of them looked at: the
batch's activations fit where the dense network's did; the noise scale of the gradient
is above the new batch, so that its steps are better ones (``noise.py``); and a
sample takes less time in it, measured.
"""

import math
import time
from dataclasses import dataclass

import keras
import numpy as np

from nestrade_lib.optimizers import own_learning_rate
from nestrade_lib.surgery import cut
from nestrade_lib.training.noise import noise_scale

FASTER = 0.9  # the share of a sample's time that has to be reached, for each doubling


@dataclass(frozen=True)
class Rescale:
    """What was measured, and what came of it.

    Attributes
    ----------
    factor : int
        How much larger batches became; 1 where it would not pay.
    noise_scale : float
        Of the gradient, in samples.
    freed : float
        How many times the batch fits into the activations of the dense network.
    seconds_per_sample : dict of int to float
        Of a training step, by batch size.
    """

    factor: int
    noise_scale: float
    freed: float
    seconds_per_sample: dict


def measure_rescale(engine, network, graph, x, y, batch_size, freed, most=8):
    """Find the growth of the batch that pays: a power of 2, or 1.

    Parameters
    ----------
    engine : nestrade_lib.engines.Engine
    network : keras.Model
        Compiled. A copy of it is trained for a few steps; it is not changed itself.
    graph : nestrade_lib.ChannelGraph
        Of `network`.
    x, y : ndarray
        Training samples.
    batch_size : int
        The global batch so far.
    freed : float
        The dense network's bytes of activations over this one's.
    most : int
        The largest factor that is tried.

    Returns
    -------
    Rescale

    Examples
    --------
    >>> from nestrade_lib import create_model, create_loss, load_mnist, trace
    >>> from nestrade_lib.engines import start
    >>> (x, y), _ = load_mnist()
    >>> network = create_model((28, 28, 1), 10)
    >>> network.compile("adam", create_loss())
    >>> rescale = measure_rescale(
    ...     start("single"), network, trace(network), x[:256], y[:256], 32, freed=1.0
    ... )
    >>> rescale.factor  # nothing was freed
    1
    """
    small = max(1, batch_size // 4)
    noise = 0.0  # unknown where there are too few samples, which allow no more either
    if len(x) >= 4 * small:
        noise = noise_scale(network, x, y, small=small, large=4 * small)
    allowed = min(most, freed, noise / batch_size, len(x) // batch_size)
    factors = [2**n for n in range(int(math.log2(max(allowed, 1))) + 1)]
    times, best = {}, 1
    if len(factors) > 1:
        with engine.cut_scope():
            copy = cut(network, np.ones(graph.count, bool), graph)
        engine.prepare(copy)
        for factor in factors:
            size = factor * batch_size
            times[size] = _seconds_per_sample(engine, copy, x, y, size)
            # Clocks differ, batches and the number of tries must not: the chief's counts.
            nanoseconds = engine.broadcast([round(1e9 * times[size])])[0]
            times[size] = float(nanoseconds) / 1e9
            if factor > 1 and times[size] > FASTER * times[size // 2]:
                break
            best = factor
    return Rescale(best, noise, freed, times)


def grow_if_due(run):
    """With the budget met, let a run go on with larger batches: fewer steps per epoch."""
    trainer, state, data = run.trainer, run.state, run.data
    growth, is_cut = trainer.growth, trainer.met and not state.mask.all()
    if not is_cut or state.growth is not None or growth == 1 or not data.is_arrays:
        return
    if own_learning_rate(run.network.optimizer) is None:
        return  # a schedule of the optimizer, which counts on the steps
    if growth == "auto":
        growth = 1
        if isinstance(data.x, np.ndarray) and isinstance(data.y, np.ndarray):
            costs = trainer.dense_totals, run.pruned.costs.totals()
            dense, now = (total["activation_bytes"] for total in costs)
            run.pruned.unwrap_optimizer()  # a copy of the network has none of our own
            parts = run.engine, run.network, run.pruned.graph, data.x, data.y
            state.rescale = measure_rescale(*parts, data.batch_size, dense / now)
            run.wrap_optimizer()
            growth = state.rescale.factor
    steps = data.steps
    state.growth = min(growth, max(1, data.rows // data.batch_size))
    data.batch_size *= state.growth
    state.timetable.grow(data.steps / steps)
    run.set_learning_rate()
    run.callbacks.set_params({**run.callbacks.params, "steps": data.steps})


def _seconds_per_sample(engine, network, x, y, batch_size, steps=5):
    rows = np.resize(np.arange(len(x) // batch_size * batch_size), steps * batch_size)

    def train(count):
        batches = rows[: count * batch_size].reshape(count, batch_size)
        mine = np.concatenate([engine.shard(batch) for batch in batches])
        data = {"x": x[mine], "y": y[mine], "batch_size": batch_size, "shuffle": False}
        start = time.perf_counter()
        engine.fit(network, keras.callbacks.Callback(), 0, **data)
        return time.perf_counter() - start

    train(1)  # traces the step
    return min(train(steps) for _ in range(2)) / (steps * batch_size)

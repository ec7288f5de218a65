"""Latency: measured for two networks, estimated for those in between.

The time of a prediction does not fall to nothing with the channels: calls and launches
remain. So two networks are measured, the present one and the one with a single channel
per layer, and in between time is taken to be linear in the MACs. Each cut is measured
again and corrects the line.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np

from nestrade_lib.arrays import input_structure
from nestrade_lib.dependency.labels import sized
from nestrade_lib.surgery import cut

if TYPE_CHECKING:
    from nestrade_lib.costs.channels import ChannelCosts

BATCH = 64


def measure_latency(
    network: keras.Model,
    batch_size: int = BATCH,
    repeats: int = 30,
    shapes: list[tuple[int, ...]] | None = None,
) -> float:
    """Measure a prediction: the least of several, in seconds.

    Parameters
    ----------
    network : keras.Model
        Built.
    batch_size : int
        Samples per prediction.
    repeats : int
    shapes : list of tuple of int, optional
        Of one sample of each input, where the network leaves axes open.

    Returns
    -------
    float

    Examples
    --------
    >>> network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    >>> measure_latency(network, repeats=2) > 0
    True
    """

    def batch(x):
        return np.zeros((batch_size, *x.shape[1:]), x.dtype)

    inputs = input_structure(network)
    tensors = sized(keras.tree.flatten(inputs), shapes)
    inputs = keras.tree.pack_sequence_as(inputs, list(map(batch, tensors)))
    network.predict_on_batch(inputs)  # traces
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        network.predict_on_batch(inputs)
        times.append(time.perf_counter() - start)
    return min(times)


@dataclass(frozen=True)
class Line:
    """Seconds as a function of MACs: those of the smallest network, and a slope."""

    least_macs: float
    least_seconds: float
    per_mac: float


class Latency:
    """A line through two measured networks: seconds as a function of MACs.

    Parameters
    ----------
    network : keras.Model
        The dense one.
    costs : nestrade_lib.costs.ChannelCosts
        Of it.
    least : ndarray of bool, shape (groups,)
        The smallest network that it can be cut to.
    measure : callable, optional
        ``measure(network)`` gives seconds.

    Attributes
    ----------
    line : Line

    Examples
    --------
    >>> from nestrade_lib import trace
    >>> from nestrade_lib.costs import ChannelCosts
    >>> network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6)])
    >>> network.add(keras.layers.Dense(2))
    >>> costs = ChannelCosts(trace(network))
    >>> latency = Latency(network, costs, least=np.arange(6) < 1)
    >>> latency.line.least_macs, latency.seconds(6) == latency.line.least_seconds
    (6.0, True)
    """

    def __init__(
        self,
        network: keras.Model,
        costs: ChannelCosts,
        least: np.ndarray,
        measure: Callable[[keras.Model], float] = measure_latency,
    ) -> None:
        self.measure = measure
        seconds = measure(cut(network, least, costs.graph))
        self.line = Line(costs.total(least)["macs"], seconds, 0.0)
        self.correct(network, costs)

    def correct(self, network: keras.Model, costs: ChannelCosts) -> None:
        """Put the line through the network as it is now."""
        macs = costs.total(np.ones(costs.graph.count, bool))["macs"]
        least, first = self.line.least_seconds, self.line.least_macs
        seconds = max(self.measure(network), least)
        self.line = Line(first, least, (seconds - least) / max(macs - first, 1))

    def seconds(self, macs: float) -> float:
        """Estimate the latency at a number of MACs."""
        line = self.line
        return line.least_seconds + line.per_mac * (macs - line.least_macs)

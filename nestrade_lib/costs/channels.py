"""What a network would cost with some of its channel groups, before it is built."""

import numpy as np

from nestrade_lib.costs.latency import Latency
from nestrade_lib.dependency import ChannelGraph
from nestrade_lib.dependency.axes import ChannelAxes


class ChannelCosts:
    """What a network would cost with some of its channel groups: not yet built.

    Parameters
    ----------
    graph : nestrade_lib.ChannelGraph
        Of the network.
    latency : nestrade_lib.costs.latency.Latency, optional
        Adds the cost "latency", in seconds.

    Attributes
    ----------
    axes : nestrade_lib.dependency.axes.ChannelAxes
        Those that costs depend on: all costs are functions of their lengths.

    Notes
    -----
    Of a network with open shapes, the parameters alone are known.

    Examples
    --------
    >>> import keras, numpy as np
    >>> from nestrade_lib import trace
    >>> network = keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(6), keras.layers.Dense(2)]
    ... )
    >>> costs = ChannelCosts(trace(network))
    >>> costs.total(np.arange(6) < 3)["macs"]  # 4·3 + 3·2
    18.0
    """

    def __init__(self, graph: ChannelGraph, latency: Latency | None = None) -> None:
        self.graph = graph
        self.latency = latency
        terms = {
            "macs": graph.products,
            "params": graph.parameters,
            "activation_bytes": graph.activations,
        }
        terms = {cost: parts for cost, parts in terms.items() if None not in parts}
        arrays = (a for parts in terms.values() for _, axes in parts for a in axes)
        self.axes = ChannelAxes(arrays, graph.count)
        self._sums = {cost: _Sum(parts, self.axes) for cost, parts in terms.items()}

    @property
    def names(self):
        """The costs that are known (tuple of str)."""
        measured = () if self.latency is None else ("latency",)
        return (*self._sums, *measured)

    def total(self, mask: np.ndarray) -> dict[str, float]:
        """Give each cost of the network with the groups kept.

        Parameters
        ----------
        mask : ndarray of bool, shape (graph.count,)

        Returns
        -------
        dict of str to float
        """
        return self.total_of(self.axes.lengths(self.graph.require_mask(mask)))

    def even_share(self, allowed: dict[str, float]) -> float:
        """Give the share of every layer's channels at which the costs are as allowed.

        Parameters
        ----------
        allowed : dict of str to float
            For each cost, the most that may be left, in its unit.

        Returns
        -------
        float
            From 0 to 1. Widths are not rounded.
        """
        none = self.axes.lengths(np.zeros(self.graph.count, bool))
        cuttable = self.axes.lengths(np.ones(self.graph.count, bool)) - none

        def is_allowed(share):
            total = self.total_of(none + share * cuttable, allowed)
            return all(total[cost] <= limit for cost, limit in allowed.items())

        if is_allowed(1.0):
            return 1.0
        low, high = 0.0, 1.0
        while high - low > 1e-6:
            middle = (low + high) / 2
            low, high = (middle, high) if is_allowed(middle) else (low, middle)
        return low

    def savings(self, mask: np.ndarray) -> dict[str, np.ndarray]:
        """Give what each cost would lose by each group alone.

        Exact for a group that lies along one axis of each array, first order where it
        lies along two (a recurrent kernel, a residual convolution).

        Returns
        -------
        dict of str to ndarray, shape (graph.count,)
        """
        prices = self.prices(self.axes.lengths(self.graph.require_mask(mask)))
        return {cost: self.axes.by_group(each) for cost, each in prices.items()}

    def total_of(self, lengths, names=None):
        """Each named cost of a network whose axes have these lengths."""

        def value(cost):
            if self.latency and cost == "latency":
                return self.latency.seconds(value("macs"))
            return self._sums[cost].value(lengths)

        return {cost: value(cost) for cost in names or self.names}

    def prices(self, lengths, names=None):
        """What each named cost loses by a position of each axis (dict of ndarray)."""

        def price(cost):
            if self.latency and cost == "latency":
                return self.latency.line.per_mac * price("macs")
            return self._sums[cost].prices(lengths)

        return {cost: price(cost) for cost in names or self.names}


class _Sum:
    """A sum of terms, each a number times the lengths of some axes."""

    def __init__(self, terms, axes):
        rank = max((len(arrays) for _, arrays in terms), default=0)
        self.numbers = np.array([number for number, _ in terms], float)
        self.places = np.zeros((len(terms), rank), int)
        for row, (_, arrays) in enumerate(terms):
            for column, groups in enumerate(arrays):
                self.places[row, column] = axes.number(groups)
        self.others = [
            [n for n in range(rank) if n != column] for column in range(rank)
        ]

    def value(self, lengths):
        return float((self.numbers * lengths[self.places].prod(axis=1)).sum())

    def prices(self, lengths):
        """Its derivative by the length of each axis."""
        factors, prices = lengths[self.places], np.zeros(len(lengths))
        for column, others in enumerate(self.others):
            slopes = self.numbers * factors[:, others].prod(axis=1)
            prices += np.bincount(self.places[:, column], slopes, len(lengths))
        return prices

"""Which channel groups a cut takes: the least important for the cost that they save."""

import math

import numpy as np

from nestrade_lib.dependency.axes import ChannelAxes

_RESTORED = 50  # at most so many blocks that turn out not to have been needed come back


def choose(
    graph, costs, scores, allowed, max_pruning_ratio=1.0, round_to=1, min_widths=None
):
    """Choose the channel groups that stay.

    Greedy: while a cost is above what is allowed, take the group, or the block of
    `round_to` groups of one layer, with the least score per unit of cost. Costs count
    by how far they are above: a met one counts nothing. Groups that turn out not to
    have been needed come back, the best first.

    Parameters
    ----------
    graph : nestrade_lib.ChannelGraph
    costs : nestrade_lib.costs.ChannelCosts
        Of the network of `graph`.
    scores : ndarray, shape (graph.count,)
        Importance, at least 0.
    allowed : dict of str to float
        For each cost, the most that may be left, in its unit.
    max_pruning_ratio : float
        Share of a layer that may go; one block may always.
    round_to : int
        Widths left are multiples of this.
    min_widths : dict of str to int, optional
        By the names of layers, widths below which they are not cut.

    Returns
    -------
    ndarray of bool, shape (graph.count,)
        True where a group stays. The costs may still be above what is allowed, if
        `max_pruning_ratio`, `min_widths` or the last channel of each layer forbids more.

    Examples
    --------
    >>> import keras
    >>> from nestrade_lib import trace
    >>> from nestrade_lib.costs import ChannelCosts
    >>> network = keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(6), keras.layers.Dense(2)]
    ... )
    >>> graph = trace(network)
    >>> choose(graph, ChannelCosts(graph), np.arange(6), {"macs": 12}).tolist()
    [False, False, False, False, True, True]
    """
    blocks = _Blocks(graph, scores, max_pruning_ratio, round_to, min_widths or {})
    lengths = costs.axes.lengths(blocks.mask)
    along = np.zeros((len(blocks.next), len(costs.axes)))
    for layer, block in enumerate(blocks.next):
        along[layer] = _along(costs.axes, block)
    taken = []

    def pressure():
        return _pressure(costs.total_of(lengths, allowed), allowed)

    while weights := pressure():
        prices = costs.prices(lengths, weights)
        saved = sum(weight * (along @ prices[x]) for x, weight in weights.items())
        layer = blocks.cheapest(saved)
        if layer is None:
            return blocks.mask
        taken.append((layer, blocks.take(layer)))
        lengths = lengths - along[layer]
        along[layer] = _along(costs.axes, blocks.next[layer])
    # The last taken of a layer first: a smaller block before it would leave a width
    # that is no multiple.
    needed = set()
    taken.sort(key=lambda item: -scores[item[1]].sum())
    for layer, block in taken[:_RESTORED]:
        if round_to > 1 and layer in needed:
            continue
        lengths += costs.axes.along(block)
        if pressure():
            lengths -= costs.axes.along(block)
            needed.add(layer)
        else:
            blocks.mask[block] = True
    return blocks.mask


def smallest(graph, round_to=1):
    """Choose the groups of the smallest network that cutting can reach (array of bool)."""
    blocks = _Blocks(graph, np.ones(graph.count), 1.0, round_to, {})
    for layer in range(len(blocks.next)):
        while blocks.next[layer] is not None and not blocks.empties(layer):
            blocks.take(layer)
    return blocks.mask


def _pressure(total, allowed):
    """How much a unit of each cost that is too high counts."""
    return {
        cost: math.log(total[cost] / limit) / limit
        for cost, limit in allowed.items()
        if total[cost] > limit * (1 + 1e-9)
    }


def _along(axes, block):
    return np.zeros(len(axes)) if block is None else axes.along(block)


class _Blocks:
    """The next groups of each layer to go, in order of their scores."""

    def __init__(self, graph, scores, max_pruning_ratio, round_to, min_widths):
        self.mask = np.ones(graph.count, bool)
        self.scores, self.round_to = scores, round_to
        widths = [groups for sets in graph.widths.values() for groups in sets]
        self._widths = ChannelAxes(widths, graph.count)
        self._left = self._widths.lengths(self.mask)
        _, first, layer_of = np.unique(
            graph.layers, return_index=True, return_inverse=True
        )
        self._orders, self._least = [], []
        for layer in np.argsort(first):
            groups = np.flatnonzero(layer_of == layer)
            self._orders.append(groups[np.argsort(scores[groups], kind="stable")])
            width = len(groups)
            block = width % round_to or round_to
            after = width - max(math.floor(width * max_pruning_ratio), block)
            stated = min_widths.get(graph.layers[groups[0]], 0)
            self._least.append(max(after, min(round_to, width), stated))
        self.next = [None] * len(self._orders)
        self._next_scores = np.full(len(self._orders), np.inf)
        for layer in range(len(self._orders)):
            self._advance(layer)

    def _advance(self, layer):
        order = self._orders[layer]
        size = len(order) % self.round_to or self.round_to
        if len(order) - size < self._least[layer]:
            self._close(layer)
        else:
            self.next[layer] = block = order[:size]
            self._next_scores[layer] = self.scores[block].sum()

    def _close(self, layer):
        self.next[layer], self._next_scores[layer] = None, np.inf

    def empties(self, layer):
        """Whether the next block of a layer would leave no channel somewhere."""
        return (self._left <= self._widths.along(self.next[layer])).any()

    def cheapest(self, saved):
        """The layer with the least score per cost that its next block saves, or ``None``."""
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.where(saved > 0, self._next_scores / saved, np.inf)
        while len(values) and values[layer := int(values.argmin())] < np.inf:
            if not self.empties(layer):
                return layer
            self._close(layer)  # for good: widths only fall
            values[layer] = np.inf
        return None

    def take(self, layer):
        """Take the next block of a layer."""
        block = self.next[layer]
        self.mask[block] = False
        self._left -= self._widths.along(block)
        self._orders[layer] = self._orders[layer][len(block) :]
        self._advance(layer)
        return block

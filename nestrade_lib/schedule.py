"""How small, along which path, and which channel groups go now.

A :class:`Budget` states shares of what the network costs at first. Along the way the
allowed cost falls as a cubic: fast while there is much to take, slowly at the end
(Zhu & Gupta 2017). :func:`choose` takes the groups with the least importance per unit
of cost saved, until the cost is allowed.

>>> budget = Budget(macs=0.1, params=0.05)
>>> [round(budget.path(u)["macs"], 3) for u in (0, 0.5, 1)]
[1.0, 0.213, 0.1]
"""

import math
from dataclasses import dataclass

import numpy as np

from nestrade_lib.checks import is_number, is_whole

COSTS = ("macs", "params", "activation_bytes", "latency")
SMALLEST = 0.02  # of the MACs: where a search for the smallest network ends


class Budget:
    """What may be left, as shares of the dense network's cost.

    Parameters
    ----------
    macs, params, activation_bytes, latency : float, optional
        Each in (0, 1]. Several hold together. Latency is that of a prediction of 64
        samples, measured on the machine that trains.
    max_accuracy_drop : float, optional
        As small as possible within these points (percent) of the validation accuracy
        that the network had before its first cut. Cutting ends at the first cut
        that loses more, which is taken back, or at the shares, where there are any.

    Raises
    ------
    ValueError
        If a number is out of range, none is given, or a cost is unknown.

    Examples
    --------
    >>> Budget(macs=0.25, params=0.2)
    Budget(macs=0.25, params=0.2)
    """

    def __init__(
        self,
        macs=None,
        params=None,
        activation_bytes=None,
        latency=None,
        max_accuracy_drop=None,
        **other,
    ):
        if other:
            raise ValueError(
                f"Budget: unknown cost {', '.join(map(repr, other))}. "
                f"It knows {', '.join(COSTS)}."
            )
        given = zip(COSTS, (macs, params, activation_bytes, latency), strict=True)
        self.shares = {cost: share for cost, share in given if share is not None}
        self.max_accuracy_drop = max_accuracy_drop
        if not self.shares and max_accuracy_drop is None:
            raise ValueError(
                "Budget: expected at least one share, as in Budget(macs=0.1)."
            )
        for cost, share in self.shares.items():
            if not is_number(share) or not 0 < share <= 1:
                raise ValueError(
                    f"Budget: expected {cost} to be a share in (0, 1], got {share!r}. "
                    "0.1 keeps a tenth; 1 cuts nothing."
                )
        if max_accuracy_drop is not None and not (
            is_number(max_accuracy_drop) and 0 < max_accuracy_drop < 100
        ):
            raise ValueError(
                "Budget: expected max_accuracy_drop to be points of accuracy between 0 and 100, "
                f"got {max_accuracy_drop!r}. 0.5 allows 98.5 % where there were 99.0 %."
            )

    @classmethod
    def of(cls, budget):
        """Take a number for a share of the MACs, and a Budget as it is.

        Examples
        --------
        >>> Budget.of(0.1)
        Budget(macs=0.1)
        """
        return budget if isinstance(budget, cls) else cls(macs=budget)

    def __repr__(self):
        given = self.shares | (
            {}
            if self.max_accuracy_drop is None
            else {"max_accuracy_drop": self.max_accuracy_drop}
        )
        return f"Budget({', '.join(f'{name}={x:g}' for name, x in given.items())})"

    def require_known(self, costs):
        """Refuse to cut toward a share of MACs that are not all known.

        Parameters
        ----------
        costs : nestrade_lib.CostTable
            Of the network before its first cut.

        Raises
        ------
        ValueError
            If a layer has no rule, and the budget is of MACs or of latency, which is
            estimated from them.
        """
        shares = {cost: self.shares.get(cost, 1) for cost in ("macs", "latency")}
        if costs.unknown and min(shares.values()) < 1:
            raise ValueError(
                f"{self}: expected the MACs of every layer to be known, but no rule "
                f"states those of {', '.join(map(repr, costs.unknown))}. State what each "
                "multiplies (call.multiplies) in a rule of nestrade_lib.register_rule, or "
                "give a budget of params or activation_bytes."
            )

    def path(self, progress):
        """Give the shares allowed after a part of the way.

        Parameters
        ----------
        progress : float
            From 0, where all is allowed, to 1, the budget.

        Returns
        -------
        dict of str to float
        """
        if self.max_accuracy_drop is not None and not self.shares:
            return {"macs": SMALLEST ** min(progress, 1)}  # each cut the same share
        left = (1 - min(progress, 1)) ** 3
        return {cost: share + (1 - share) * left for cost, share in self.shares.items()}


@dataclass(frozen=True)
class Schedule:
    """When the cuts fall, in shares of the whole run.

    The defaults were chosen on MNIST's validation split; ``benchmarks/README.md``
    keeps the experiments.

    Attributes
    ----------
    start, stop : float
        The first interval begins, the last cut falls.
    cuts : int
        Number of cuts between them.
    shrink : int
        Optimizer steps in which chosen groups go to zero, or two thirds of the
        interval where that is shorter.
    max_pruning_ratio : float
        Share of a layer that one cut may take: scores are of single groups, and a
        layer halved at once loses more than their sum. One channel, or one block of
        `round_to`, may always go.
    round_to : int
        Cut widths to multiples of this; a layer that is not cut keeps its own. 8 suits
        the matrix units of GPUs.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> Schedule(start=0.2, stop=0.6).cuts
    8
    """

    start: float = 0.05
    stop: float = 0.15
    cuts: int = 8
    shrink: int = 60
    max_pruning_ratio: float = 0.35
    round_to: int = 1

    def __post_init__(self):
        ends = is_number(self.start) and is_number(self.stop)
        rules = (
            (
                "start and stop",
                ends and 0 <= self.start < self.stop <= 1,
                "0 <= start < stop <= 1",
            ),
            ("cuts", is_whole(self.cuts), "a whole number of at least 1"),
            ("shrink", is_whole(self.shrink), "a whole number of at least 1"),
            (
                "max_pruning_ratio",
                is_number(self.max_pruning_ratio) and 0 < self.max_pruning_ratio <= 1,
                "a share in (0, 1]",
            ),
            ("round_to", is_whole(self.round_to), "a whole number of at least 1"),
        )
        for name, holds, expected in rules:
            if not holds:
                raise ValueError(f"Schedule: {name}: expected {expected}, got {self}.")


def choose(graph, costs, scores, allowed, max_pruning_ratio=1.0, round_to=1):
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

    Returns
    -------
    ndarray of bool, shape (graph.count,)
        True where a group stays. The costs may still be above what is allowed, if
        `max_pruning_ratio` or the last channel of each layer forbids more.

    Examples
    --------
    >>> import keras
    >>> from nestrade_lib import trace
    >>> from nestrade_lib.costs import ChannelCosts
    >>> network = keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(6), keras.layers.Dense(2)]
    ... )
    >>> graph = trace(network)
    >>> costs = ChannelCosts(graph)
    >>> choose(graph, costs, np.arange(6), {"macs": 12}).tolist()
    [False, False, False, False, True, True]
    """
    mask = np.ones(graph.count, bool)
    blocks = _Blocks(graph, scores, max_pruning_ratio, round_to)
    taken = []
    while True:
        pressure = _pressure(costs.total(mask), allowed)
        if not pressure:
            break
        savings = costs.savings(mask)
        price = sum(weight * savings[cost] for cost, weight in pressure.items())
        block = blocks.cheapest(price, mask)
        if block is None:
            break
        mask[block] = False
        taken.append(block)
    if not _pressure(costs.total(mask), allowed):
        # The last taken of a layer first: a smaller block before it would leave a
        # width that is no multiple.
        stays = set()
        for block in sorted(taken, key=lambda block: -scores[block].sum())[:50]:
            layer = graph.layers[block[0]]
            if round_to > 1 and layer in stays:
                continue
            mask[block] = True
            if _pressure(costs.total(mask), allowed):
                mask[block] = False
                stays.add(layer)
    return mask


def _pressure(total, allowed):
    """How much a unit of each cost that is too high counts."""
    return {
        cost: math.log(total[cost] / limit) / limit
        for cost, limit in allowed.items()
        if total[cost] > limit * (1 + 1e-9)
    }


class _Blocks:
    """The next groups of each layer to go, in order of their scores."""

    def __init__(self, graph, scores, max_pruning_ratio, round_to):
        self.graph = graph
        self.scores = scores
        self.round_to = round_to
        self.order, self.least = {}, {}
        for layer in dict.fromkeys(graph.layers.tolist()):
            groups = np.flatnonzero(graph.layers == layer)
            self.order[layer] = groups[np.argsort(scores[groups], kind="stable")]
            block = len(groups) % round_to or round_to
            least = len(groups) - max(
                math.floor(len(groups) * max_pruning_ratio), block
            )
            self.least[layer] = max(least, min(round_to, len(groups)))

    def cheapest(self, price, mask):
        """The block with the least score per price, taken off its layer's order."""
        best, best_value = None, math.inf
        for layer, order in list(self.order.items()):
            block = order[: len(order) % self.round_to or self.round_to]
            if len(order) - len(block) < self.least[layer] or self._empties(
                block, mask
            ):
                del self.order[layer]
                continue
            saved = price[block].sum()
            value = self.scores[block].sum() / saved if saved > 0 else math.inf
            if value < best_value or best is None:
                best, best_value = layer, value
        if best is None or best_value == math.inf:
            return None
        order = self.order[best]
        size = len(order) % self.round_to or self.round_to
        self.order[best] = order[size:]
        return order[:size]

    def _empties(self, block, mask):
        mask = mask.copy()
        mask[block] = False
        return bool(self.graph.emptied(mask))

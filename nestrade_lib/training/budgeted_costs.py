"""Costs beside a budget: those of the dense network, and of the network of the moment."""

import math
from functools import partial

import numpy as np

from nestrade_lib.arrays import input_shapes
from nestrade_lib.checks import is_number, require
from nestrade_lib.costs import ChannelCosts, count_costs
from nestrade_lib.costs.latency import Latency, Line, measure_latency
from nestrade_lib.dependency import group_channels
from nestrade_lib.dependency.labels import sized


class BudgetedCosts:
    """Counts the networks of a run, which it is given with their graphs, beside its budget.

    Attributes
    ----------
    budget : nestrade_lib.Budget
    now : nestrade_lib.costs.ChannelCosts
        Of any choice among the groups of the network of the moment.
    first : nestrade_lib.costs.ChannelCosts
        Of any choice among those of the network as it was given.
    dense : dict of str to float
        Of the network as it was given, by name.
    table : nestrade_lib.CostTable or None
        The same in full, once the shapes of the data are known.
    shapes : list of tuple or None
        Of one sample of each input, where those of the network are open.

    Examples
    --------
    >>> from nestrade_lib import Nestrade, create_loss, create_model
    >>> network = create_model((28, 28, 1), 10)
    >>> network.compile("adam", create_loss())
    >>> costs = Nestrade(network, 0.1).pruned.costs
    >>> costs.is_within_budget, costs.dense == costs.totals()
    (False, True)
    """

    def __init__(self, budget, engine, ignored_layers):
        self.budget = budget
        self.engine = engine
        self.ignored_layers = ignored_layers
        self.shapes = self.table = None

    def is_open(self, network):
        """Whether costs depend on shapes that only data will tell."""
        return self.shapes is None and any(None in x.shape[1:] for x in network.inputs)

    def begin(self, network, graph, smallest, sample=None):
        """Count the dense network; open shapes are those of a sample."""
        if sample is not None and self.is_open(network):
            shapes = input_shapes(network, sample)
            shapes = [tuple(map(int, self.engine.broadcast(each))) for each in shapes]
            sized(network.inputs, shapes)  # refuses what does not fit
            self.shapes = shapes
        self.first = self.now = self._counted(network, graph)
        if not self.is_open(network):
            self.table = count_costs(network, self.shapes)
            self.budget.require_known(self.table)
            if "latency" in self.budget.shares:
                self.now.latency = Latency(network, self.now, smallest, self._seconds)
        self.dense = self.totals()

    def follow(self, network, graph):
        """Costs of another network, which are to be those of ``now``."""
        latency = self.now.latency
        costs = self._counted(network, graph, latency)
        if latency is not None:
            latency.correct(network, costs)
        return costs

    def _counted(self, network, graph, latency=None):
        """Costs of a network with these channel groups, at the shapes of the data."""
        if self.shapes is not None:
            everything = graph, np.ones(graph.count, bool)
            parts = network, self.ignored_layers, everything, self.shapes
            graph = group_channels(*parts)
        return ChannelCosts(graph, latency)

    def totals(self):
        """Costs of the network as it is now, by name."""
        return self.now.total(np.ones(self.now.graph.count, bool))

    @property
    def narrowing(self):
        """MACs, or parameters where those are unknown: of the dense network, and now."""
        total = self.totals()
        cost = "macs" if total.get("macs") else "params"
        return self.dense[cost], total[cost]

    @property
    def is_within_budget(self):
        """Whether no cost is above its share."""
        total, dense = self.totals(), self.dense
        return all(
            share == 1 or c in total and total[c] <= share * dense[c] * (1 + 1e-9)
            for c, share in self.budget.shares.items()
        )

    def limits(self, progress):
        """What each cost may be at this part of the way to the budget."""
        allowed, dense = self.budget.path(progress).items(), self.dense
        return {cost: share * dense[cost] for cost, share in allowed if cost in dense}

    def unreachable(self, smallest):
        """The first cost that no cut brings within the budget, as shares; None if all do."""
        total = self.now.total(smallest)
        for cost, share in self.budget.shares.items():
            if cost in total and total[cost] / self.dense[cost] > share:
                return cost, share, total[cost] / self.dense[cost]
        return None

    @property
    def unknown(self):
        """Costs of the budget that depend on shapes of data, which are not known."""
        shares = self.budget.path(1).items()
        return [c for c, share in shares if share < 1 and c not in self.dense]

    # Where a budget of seconds was measured -----------------------------------

    def _seconds(self, network):
        """A prediction by the chief's clock: all workers have to decide alike."""
        measure = self.budget.measure or partial(measure_latency, shapes=self.shapes)
        seconds = measure(network)
        holds = is_number(seconds) and 0 < seconds < math.inf
        require(holds, "Budget: measure", "to be given seconds above 0", seconds)
        seconds = float(seconds)
        if self.engine.workers == 1:
            return seconds
        return float(self.engine.broadcast([round(1e8 * seconds)])[0]) / 1e8

    @property
    def timings(self):
        """What was measured (dict or None), so that a resumed run need not measure again."""
        if self.now.latency is None:
            return None
        return {**vars(self.now.latency.line), "dense": self.dense["latency"]}

    @timings.setter
    def timings(self, timings):
        if timings is not None and self.now.latency is not None:
            timings = dict(timings)
            self.dense["latency"] = timings.pop("dense")
            self.now.latency.line = Line(**timings)

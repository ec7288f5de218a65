"""A network's costs beside a budget; where its shapes are open, at those of the data."""

import math
from functools import partial
from typing import Any

import keras
import numpy as np

from nestrade_lib.arrays import input_shapes
from nestrade_lib.checks import is_number, require
from nestrade_lib.costs import ChannelCosts, count_costs
from nestrade_lib.costs.latency import Latency, Line, measure_latency
from nestrade_lib.dependency import ChannelGraph, group_channels
from nestrade_lib.dependency.labels import sized
from nestrade_lib.engines.engine import Engine
from nestrade_lib.schedule import Budget, Schedule


class PricedNetwork:
    """What the network of the moment costs: a part of ``PrunedNetwork``, which has one.

    Attributes
    ----------
    shapes : list of tuple or None
        Of one sample of each input, where those of the network are open.
    """

    network: keras.Model
    graph: ChannelGraph
    budget: Budget
    schedule: Schedule
    engine: Engine
    costs: ChannelCosts
    dense_totals: dict
    dense_widths: dict
    ignored_layers: tuple
    widths: Any
    smallest: Any
    shapes = _table = None

    @property
    def has_open_costs(self):
        """Whether costs depend on shapes that only data will tell."""
        is_open = any(None in x.shape[1:] for x in self.network.inputs)
        return is_open and self.shapes is None and self.widths == self.dense_widths

    def price(self, sample=None):
        """Count the costs of the network as it was given; open shapes are those of a sample."""
        network = self.network
        if sample is not None and self.has_open_costs:
            shapes = input_shapes(network, sample)
            shapes = [tuple(map(int, self.engine.broadcast(each))) for each in shapes]
            sized(network.inputs, shapes)  # refuses what does not fit
            self.shapes = shapes
        self.costs = self._costs_of(network, self.graph)
        if not self.has_open_costs:
            self._table = count_costs(network, self.shapes)
            self.budget.require_known(self._table)
            if "latency" in self.budget.shares:
                least = self.smallest()
                self.costs.latency = Latency(network, self.costs, least, self._seconds)
        self.dense_totals = self.totals()

    def _costs_of(self, network, graph, latency=None):
        """Costs of a network with these channel groups, at the shapes of the data."""
        if self.shapes is not None:
            everything = graph, np.ones(graph.count, bool)
            parts = network, self.ignored_layers, everything, self.shapes
            graph = group_channels(*parts)
        return ChannelCosts(graph, latency)

    @property
    def dense_table(self):
        """Costs of the network as it was given; where shapes are open, once data are known."""
        return self._table or count_costs(self.network)

    @property
    def is_within_budget(self):
        """Whether no cost is above its share."""
        total, dense = self.totals(), self.dense_totals
        return all(
            share == 1 or c in total and total[c] <= share * dense[c] * (1 + 1e-9)
            for c, share in self.budget.shares.items()
        )

    def totals(self):
        """Costs of the network as it is now, by name."""
        return self.costs.total(np.ones(self.graph.count, bool))

    def require_reachable(self):
        """Refuse a budget that even the smallest network is above, as far as that is known."""
        total = self.costs.total(self.smallest())
        for cost, share in self.budget.shares.items():
            if cost not in total:
                continue
            reached = total[cost] / self.dense_totals[cost]
            if reached > share:
                round_to = self.schedule.round_to
                least = "one channel" if round_to == 1 else f"{round_to} channels"
                raise ValueError(
                    f"Budget: {cost}={share:g} is below the least that "
                    f"{self.network.name!r} can reach with {least} a layer: "
                    f"{reached:.2g}. What keeps other channels: {self.graph.causes}. Ask "
                    "for at least that, or let more layers be cut."
                )

    def learn_shapes(self, sample):
        """Count at the shapes of inputs and labels of a few samples, or None of a generator."""
        self.price(sample and sample[0])
        self.require_reachable()
        shares = self.budget.path(1).items()
        unknown = [c for c, share in shares if share < 1 and c not in self.dense_totals]
        if unknown:
            shapes = [x.shape for x in self.network.inputs]
            raise ValueError(
                f"{self.budget}: {', '.join(unknown)} of {self.network.name!r} depend on the "
                f"shape of the data, for its inputs are open: {shapes}. Data that come only "
                "once, such as a generator's, are not read ahead: pass Nestrade a few samples "
                "as inputs=, or a budget of params."
            )

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
        if self.costs.latency is None:
            return None
        return {**vars(self.costs.latency.line), "dense": self.dense_totals["latency"]}

    @timings.setter
    def timings(self, timings):
        if timings is not None and self.costs.latency is not None:
            timings = dict(timings)
            self.dense_totals["latency"] = timings.pop("dense")
            self.costs.latency.line = Line(**timings)

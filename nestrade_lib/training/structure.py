"""A network on its way to a budget: its channel groups, and what they cost."""

import numpy as np

from nestrade_lib.choice import choose, smallest
from nestrade_lib.costs import ChannelCosts, count_costs
from nestrade_lib.costs.latency import Latency, Line, measure_latency
from nestrade_lib.dependency import group_channels, trace
from nestrade_lib.engines.engine import Engine
from nestrade_lib.names import layer_names
from nestrade_lib.surgery import cut, restructure


class Structure:
    """The network as it is now, its channel groups, and their costs beside a budget.

    Parameters
    ----------
    network : keras.Model
        The dense one.
    budget : nestrade_lib.Budget
    schedule : nestrade_lib.Schedule
        Its ``round_to``: layers are cut to multiples of it.
    ignored_layers : sequence of str or keras.layers.Layer
        Layers to leave as they are.
    engine : nestrade_lib.engines.Engine, optional
        What the network trains on.

    Attributes
    ----------
    network : keras.Model
        As it is now.
    graph : nestrade_lib.ChannelGraph
        Its channel groups.
    costs : nestrade_lib.costs.ChannelCosts
        Of any choice among them.
    dense_table : nestrade_lib.CostTable
    dense_totals, dense_widths : dict
        Of the network as it was given.
    reference : float or None
        In a search within points of accuracy, that of the network before its first cut.
    settled : bool
        Whether such a search has ended.

    Raises
    ------
    ValueError
        If the network cannot be traced, or no rule counts the budget's cost.

    Examples
    --------
    >>> from nestrade_lib import Budget, Schedule, create_model
    >>> network = create_model((28, 28, 1), 10)
    >>> structure = Structure(network, Budget(macs=0.1), Schedule())
    >>> mask = structure.choose(1, np.random.rand(structure.graph.count), max_pruning_ratio=1)
    >>> structure.cut(mask)
    >>> structure.met
    True
    """

    def __init__(self, network, budget, schedule, ignored_layers=(), engine=None):
        self.budget = budget
        self.schedule = schedule
        self.engine = Engine() if engine is None else engine
        self.reference = None
        self.settled = False
        self.network = network
        self.graph = trace(network, ignored_layers=ignored_layers)
        names = layer_names(network)  # an object is of this network, not of the next
        self.ignored_layers = tuple(
            names.get(id(layer), layer) for layer in ignored_layers
        )
        self._trained = _ids(network.trainable_variables)
        self.dense_table = count_costs(network)
        budget.require_known(self.dense_table)
        self.costs = ChannelCosts(self.graph)
        if "latency" in budget.shares:
            least = self.smallest()
            self.costs.latency = Latency(network, self.costs, least, self._seconds)
        self.dense_totals, self.dense_widths = self.totals(), self.widths

    @property
    def widths(self):
        """Channels left of each layer that can be cut (dict of str to int)."""
        layers, counts = np.unique(self.graph.layers, return_counts=True)
        found = dict(zip(layers.tolist(), counts.tolist(), strict=True))
        return {x: found[x] for x in dict.fromkeys(self.graph.layers.tolist())}

    @property
    def met(self):
        """Whether the budget is met, or the search within points of accuracy over."""
        if self.settled or self.budget.max_accuracy_drop is not None:
            return self.settled
        total, dense = self.totals(), self.dense_totals
        shares = self.budget.shares.items()
        return all(total[c] <= share * dense[c] * (1 + 1e-9) for c, share in shares)

    def totals(self):
        """Costs of the network as it is now, by name."""
        return self.costs.total(np.ones(self.graph.count, bool))

    def smallest(self):
        """The groups of the smallest network that cutting can reach."""
        return smallest(self.graph, self.schedule.round_to)

    def require_reachable(self):
        """Refuse a budget that even the smallest network is above."""
        total = self.costs.total(self.smallest())
        for cost, share in self.budget.shares.items():
            reached = total[cost] / self.dense_totals[cost]
            if reached > share:
                round_to = self.schedule.round_to
                least = "one channel" if round_to == 1 else f"{round_to} channels"
                raise ValueError(
                    f"Budget: {cost}={share:g} is below the least that "
                    f"{self.network.name!r} can reach with {least} a layer: "
                    f"{reached:.2g}. Ask for at least that, or let more layers be cut."
                )

    def require_cuttable(self):
        """Cut all that can be, and throw it away: its errors are wanted early."""
        with self.engine.cut_scope():
            cut(self.network, self.smallest(), self.graph)

    def choose(self, progress, scores, max_pruning_ratio):
        """The groups that stay at this part of the way to the budget, by their scores.

        Parameters
        ----------
        progress : float
            1 is the budget itself.
        scores : ndarray, shape (groups,)
        max_pruning_ratio : float
            The largest share of a layer that may go at once.

        Returns
        -------
        ndarray of bool, shape (groups,)
        """
        allowed = self.budget.path(progress).items()
        limits = {cost: share * self.dense_totals[cost] for cost, share in allowed}
        return choose(
            self.graph,
            self.costs,
            scores,
            limits,
            max_pruning_ratio,
            self.schedule.round_to,
        )

    def cut(self, kept, probe=None):
        """Go on with these groups only, verified on a batch of inputs."""
        with self.engine.cut_scope():
            network = restructure(self.network, kept, self.graph, probe)
        self.adopt(network)

    def adopt(self, network):
        """Go on with another network."""
        latency = self.costs.latency
        graph = group_channels(network, ignored_layers=self.ignored_layers)
        costs = ChannelCosts(graph, latency)
        if latency is not None:
            latency.correct(network, costs)
        self.network, self.graph, self.costs = network, graph, costs
        self._trained = _ids(network.trainable_variables)

    def follow_frozen(self):
        """Look again if a layer was frozen or thawed meanwhile."""
        if not self.met and _ids(self.network.trainable_variables) != self._trained:
            self.adopt(self.network)

    # Where a budget of seconds was measured -----------------------------------

    def _seconds(self, network):
        """A prediction by the chief's clock: all workers have to decide alike."""
        seconds = measure_latency(network)
        if self.engine.workers == 1:
            return seconds
        return float(self.engine.broadcast([round(1e8 * seconds)])[0]) / 1e8

    @property
    def timings(self):
        """What was measured, to be taken up by a run that goes on (dict or None)."""
        if self.costs.latency is None:
            return None
        return {**vars(self.costs.latency.line), "dense": self.dense_totals["latency"]}

    def take_up(self, timings):
        """Go on with what was measured before, whatever the clock would say now."""
        if timings is not None:
            timings = dict(timings)
            self.dense_totals["latency"] = timings.pop("dense")
            self.costs.latency.line = Line(**timings)


def _ids(variables):
    return [id(variable) for variable in variables]

"""A network on its way to a budget: its channel groups, their costs, and its cuts."""

import itertools
from collections import Counter
from functools import partial

import keras
import numpy as np

from nestrade_lib.arrays import input_shapes
from nestrade_lib.choice import choose, smallest
from nestrade_lib.costs import ChannelCosts, count_costs
from nestrade_lib.costs.latency import Latency, Line, measure_latency
from nestrade_lib.dependency import group_channels, trace
from nestrade_lib.dependency.frozen import frozen_slices
from nestrade_lib.dependency.labels import sized
from nestrade_lib.distillation import Teacher
from nestrade_lib.engines.engine import Engine
from nestrade_lib.names import layer_names
from nestrade_lib.optimizer_wrapper import unwrapped
from nestrade_lib.surgery import RefusedCut, restructure, unroll
from nestrade_lib.surgery.rehearsal import rehearse


class PrunedNetwork:
    """The network as it is now, its channel groups, and their costs beside a budget.

    Parameters
    ----------
    network : keras.Model
        The dense one.
    budget : nestrade_lib.Budget
    schedule : nestrade_lib.Schedule
        Its ``round_to``: layers are cut to multiples of it.
    ignored_layers : sequence of str or keras.layers.Layer
        Layers whose channels stay.
    engine : nestrade_lib.engines.Engine, optional
        What the network trains on.
    strict : bool
        Refuse layers whose channels cannot be followed.
    inputs : array or structure of them, optional
        What a subclassed network is called with: see :func:`nestrade_lib.unroll`.

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
    unsupported : dict of str to str
        Layers of that network that cannot be followed, with the reason: they are kept.
    teacher : nestrade_lib.distillation.Teacher or None
        A copy from before the first cut, where there is something to distil.

    Raises
    ------
    ValueError
        If the network cannot be traced, or no rule counts the budget's cost.

    Examples
    --------
    >>> from nestrade_lib import Budget, Schedule, create_model
    >>> network = create_model((28, 28, 1), 10)
    >>> pruned = PrunedNetwork(network, Budget(macs=0.1), Schedule())
    >>> mask = pruned.choose(1, np.random.rand(pruned.graph.count), max_pruning_ratio=1)
    >>> pruned.cut(mask)
    >>> pruned.is_within_budget
    True
    """

    def __init__(
        self,
        network,
        budget,
        schedule,
        ignored_layers=(),
        engine=None,
        strict=False,
        inputs=None,
    ):
        self.budget = budget
        self.schedule = schedule
        self.engine = Engine() if engine is None else engine
        self.teacher = None
        self.network = network = unroll(network, inputs)
        self.graph = trace(network, ignored_layers, strict)
        self.unsupported = self.graph.unsupported
        names = layer_names(network)  # an object is of this network, not of the next
        self.ignored_layers = tuple(
            names.get(id(layer), layer) for layer in ignored_layers
        )
        self._trained = _ids(network.trainable_variables)
        self.dense_widths = self.widths
        self.shapes = self._table = None
        self.price(inputs)

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
            sized(network.inputs, shapes)  # which refuses those that do not fit
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
    def widths(self):
        """Channels left of each layer that can be cut (dict of str to int)."""
        return dict(Counter(self.graph.layers.tolist()))

    @property
    def is_within_budget(self):
        """Whether no cost is above its share."""
        total, dense = self.totals(), self.dense_totals

        def is_met(cost, share):
            known = cost in total
            return share == 1 or known and total[cost] <= share * dense[cost] * (1 + 1e-9)

        return all(itertools.starmap(is_met, self.budget.shares.items()))

    def totals(self):
        """Costs of the network as it is now, by name."""
        return self.costs.total(np.ones(self.graph.count, bool))

    def smallest(self):
        """The groups of the smallest network that cutting can reach."""
        return smallest(self.graph, self.schedule.round_to)

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

    def require_cuttable(self, probe=None):
        """Try two cuts and discard them, so that their errors surface before training."""
        with self.engine.cut_scope():
            rehearse(self.network, self.smallest(), self.graph, probe)

    def choose(self, progress, scores, max_pruning_ratio):
        """The mask of the groups that stay at this part of the way to the budget."""
        allowed, dense = self.budget.path(progress).items(), self.dense_totals
        limits = {cost: share * dense[cost] for cost, share in allowed if cost in dense}
        return choose(
            self.graph,
            self.costs,
            scores,
            limits,
            max_pruning_ratio,
            self.schedule.round_to,
        )

    def cut(self, mask, probe=None):
        """Go on with these groups only, verified on a batch of inputs.

        What one worker refuses, all refuse: the error is returned, and nothing changed.
        """
        network = refusal = None
        try:
            with self.engine.cut_scope():
                network = restructure(self.network, mask, self.graph, probe)
        except ValueError as error:
            refusal = error
        if self.engine.gather([refusal is not None]).any():
            return refusal or RefusedCut("Another worker refused the cut.")
        self.adopt(network, (self.graph, mask))
        return None

    def adopt(self, network, before=None):
        """Go on with another network, or with this one after layers were frozen.

        ``before`` is the graph that it was cut from, and the mask.
        """
        latency = self.costs.latency
        graph = group_channels(network, self.ignored_layers, before)
        costs = self._costs_of(network, graph, latency)
        if latency is not None:
            latency.correct(network, costs)
        self.network, self.graph, self.costs = network, graph, costs
        self._trained = _ids(network.trainable_variables)

    def follow_frozen(self):
        """Trace again if a layer was frozen or thawed meanwhile."""
        if _ids(self.network.trainable_variables) != self._trained:
            self.adopt(self.network)

    def frozen(self, mask):
        """Triples (number of variable, axis, positions to be cut) of what does not train."""
        network, graph, goes = self.network, self.graph, np.append(~mask, False)
        numbers = {graph.path(v): n for n, v in enumerate(network.variables)}
        found = [
            (numbers[path], axis, goes[graph.labels[path][axis]])
            for path, axis in frozen_slices(graph, network.trainable_variables)
        ]
        return [each for each in found if each[2].any()]

    # While it trains -----------------------------------------------------------

    @property
    def variables(self):
        """The network's variables, and those of the optimizer that the user chose."""
        return [*self.network.variables, *unwrapped(self.network.optimizer).variables]

    @property
    def values(self):
        """Copies of the values of these variables (list of ndarray)."""
        return values_of(self.variables)

    @values.setter
    def values(self, values):
        assign(self.variables, values)

    def set_optimizer(self, optimizer):
        """Train with this optimizer, around that of the user, or with the latter."""
        self.network.optimizer = optimizer
        self.network.train_function = None  # it holds the one that it was made with

    def unwrap_optimizer(self):
        """Give the network back the user's optimizer; whether another one was there."""
        optimizer = unwrapped(self.network.optimizer)
        if optimizer is self.network.optimizer:
            return False
        self.set_optimizer(optimizer)
        return True

    def keep_teacher(self, distillation):
        """Copy the network, before its first cut, to learn from it; whether it is new."""
        if distillation is None or self.teacher is not None:
            return False
        with self.engine.cut_scope():
            self.teacher = Teacher(self.network, self.graph, distillation)
        return True

    def build_metrics(self, sample):
        """Make the metrics' variables, so that what was gathered can go on in them."""
        if sample:
            x, y = sample
            with self.engine.scope():
                predicted = self.network(x, training=False)
                if self.network.loss is not None:  # else the training step has its own
                    self.network.compute_loss(x, y, predicted)
                self.network.compute_metrics(x, y, predicted)

    # Where a budget of seconds was measured -----------------------------------

    def _seconds(self, network):
        """A prediction by the chief's clock: all workers have to decide alike."""
        measure = self.budget.measure or partial(measure_latency, shapes=self.shapes)
        seconds = float(measure(network))
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


def values_of(variables):
    """Copies of the values of variables, as NumPy arrays."""
    return [keras.ops.convert_to_numpy(v).copy() for v in variables]


def assign(variables, values):
    """Give variables these values, in order."""
    for variable, array in zip(variables, values, strict=True):
        variable.assign(array)


def _ids(variables):
    return [id(variable) for variable in variables]

"""A network on its way to a budget: its channel groups, their costs, and its cuts."""

from collections import Counter
from decimal import ROUND_CEILING, Context

import numpy as np

from nestrade_lib.arrays import map_arrays
from nestrade_lib.choice import choose, smallest
from nestrade_lib.costs import count_costs
from nestrade_lib.dependency import group_channels, trace
from nestrade_lib.dependency.frozen import frozen_slices
from nestrade_lib.distillation import Teacher
from nestrade_lib.engines.engine import Engine
from nestrade_lib.internals import compute_loss
from nestrade_lib.names import layer_names
from nestrade_lib.optimizer_wrapper import unwrapped
from nestrade_lib.surgery import RefusedCut, restructure, unroll
from nestrade_lib.surgery.rehearsal import rehearse
from nestrade_lib.training.budgeted_costs import BudgetedCosts
from nestrade_lib.variables import assign, values_of


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
    costs : nestrade_lib.training.budgeted_costs.BudgetedCosts
        Its costs and those of the dense network, beside the budget.
    dense_widths : dict
        Of the network as it was given.
    unsupported : dict of str to str
        Layers of that network that cannot be followed, with the reason: they are kept.
    teacher : nestrade_lib.distillation.Teacher or None
        A copy from before the first cut, where there is something to distil.

    Raises
    ------
    ValueError
        If the network cannot be traced, or the budget's cost is not known.

    Examples
    --------
    >>> from nestrade_lib import Budget, Schedule, create_model
    >>> network = create_model((28, 28, 1), 10)
    >>> pruned = PrunedNetwork(network, Budget(macs=0.1), Schedule())
    >>> mask = pruned.choose(1, np.random.rand(pruned.graph.count), max_pruning_ratio=1)
    >>> pruned.cut(mask)
    >>> pruned.costs.is_within_budget
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
        self.costs = BudgetedCosts(budget, self.engine, self.ignored_layers)
        self.costs.begin(network, self.graph, self.smallest(), inputs)

    @property
    def widths(self):
        """Channels left of each layer that can be cut (dict of str to int)."""
        return dict(Counter(self.graph.layers.tolist()))

    def smallest(self):
        """The groups of the smallest network that cutting can reach."""
        return smallest(self.graph, self.schedule.round_to)

    @property
    def dense_table(self):
        """Costs of the network as it was given; where shapes are open, once data are known."""
        return self.costs.table or count_costs(self.network)

    @property
    def has_open_costs(self):
        """Whether nothing was cut, and costs depend on shapes that only data will tell."""
        return self.costs.is_open(self.network) and self.widths == self.dense_widths

    def learn_shapes(self, sample):
        """Count at the shapes of inputs and labels of a few samples, or None of a generator."""
        network, costs = self.network, self.costs
        costs.begin(network, self.graph, self.smallest(), sample and sample[0])
        self.require_reachable()
        if costs.unknown:
            shapes = [x.shape for x in network.inputs]
            raise ValueError(
                f"{costs.budget}: {', '.join(costs.unknown)} of {network.name!r} depend on "
                f"the shape of the data, for its inputs are open: {shapes}. Data that come "
                "only once, such as a generator's, are not read ahead: pass Nestrade a few "
                "samples as inputs=, or a budget of params."
            )

    def require_reachable(self):
        """Refuse a budget that even the smallest network is above, as far as that is known."""
        above = self.costs.unreachable(self.smallest())
        if above is not None:
            cost, share, reached = above
            round_to = self.schedule.round_to
            least = "one channel" if round_to == 1 else f"{round_to} channels"
            rounding = Context(
                prec=2, rounding=ROUND_CEILING
            )  # to ask for it is enough
            reached = float(rounding.create_decimal_from_float(reached))
            raise ValueError(
                f"Budget: {cost}={share:g} is below the least that "
                f"{self.network.name!r} can reach with {least} a layer: "
                f"{reached:g}. What keeps other channels: {self.graph.causes}. Ask "
                "for at least that, or let more layers be cut."
            )

    def require_cuttable(self, probe=None):
        """Try two cuts and discard them, so that their errors surface before training."""
        with self.engine.cut_scope():
            rehearse(self.network, self.smallest(), self.graph, probe)

    def choose(self, progress, scores, max_pruning_ratio, min_width=0.0):
        """The mask of the groups that stay at this part of the way to the budget.

        No layer falls below this part of its width in an even cut of the dense network to
        the same costs, unless they cannot be reached so.
        """
        limits, round_to = self.costs.limits(progress), self.schedule.round_to
        parts = self.graph, self.costs.now, scores, limits, max_pruning_ratio, round_to
        share = min_width and min_width * self.costs.first.even_share(limits)
        widths = {name: int(share * n) for name, n in self.dense_widths.items()}
        mask = choose(*parts, widths)
        total = self.costs.now.total(mask)
        is_met = all(
            total[cost] <= limit * (1 + 1e-9) for cost, limit in limits.items()
        )
        return mask if is_met or not share else choose(*parts)

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
        graph = group_channels(network, self.ignored_layers, before)
        now = self.costs.follow(network, graph)
        self.network, self.graph, self.costs.now = network, graph, now
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
        # Of a few samples: a large network takes seconds for all of them.
        x, y = map_arrays(lambda array: array[:2], sample or (None, None))
        if x is not None and (y is not None or self.network.loss is None):
            with self.engine.scope():
                predicted = self.network(x, training=False)
                if y is not None and self.network.loss is not None:
                    compute_loss(self.network, x, y, predicted, None)
                self.network.compute_metrics(x, y, predicted, None)


def _ids(variables):
    return [id(variable) for variable in variables]

"""How small a network is to become, and along which path.

A :class:`Budget` states shares of what the network costs at first. Along the way the
allowed cost falls as a cubic: fast while there is much to take, slowly at the end
(Zhu & Gupta 2017).

>>> budget = Budget(macs=0.1, params=0.05)
>>> [round(budget.path(u)["macs"], 3) for u in (0, 0.5, 1)]
[1.0, 0.213, 0.1]
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nestrade_lib.checks import is_number, is_whole, require

if TYPE_CHECKING:
    import keras

COSTS = ("macs", "params", "activation_bytes", "latency")
SETTLED, LATEST = 6.0, 0.2  # start: times the root of the steps; share of the run
SEARCH_CUTS = 12  # of a search within points of accuracy
MOST_CUTS, STEPS_PER_CUT = 4, 100  # by default
OF_SINGLE_SCORES = 0.35  # of a layer, in one cut
OF_EVEN_WIDTH = 0.5  # that a layer keeps at least, with scores of the loss
SMALLEST = 0.02  # of the MACs: where a search for the smallest network ends


class Budget:
    """What may be left, as shares of the dense network's cost.

    Parameters
    ----------
    macs, params, activation_bytes, latency : float, optional
        Each in (0, 1]. Several hold together. Latency is that of a prediction of 64
        samples, measured on the machine that trains, unless you state `measure`.
    max_accuracy_drop : float, optional
        As small as possible within these points (percent) of the validation accuracy
        that the network had before its first cut. Cutting ends at the first cut
        that loses more, which is taken back, or at the shares, where there are any.
    measure : callable, optional
        ``measure(network) -> seconds``, what latency is then: of one sample, say, in the
        runtime that the network is exported to. It is called twice at first, and once
        per cut.

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
        macs: float | None = None,
        params: float | None = None,
        activation_bytes: float | None = None,
        latency: float | None = None,
        max_accuracy_drop: float | None = None,
        measure: Callable[[keras.Model], float] | None = None,
        **other,
    ) -> None:
        if other:
            raise ValueError(
                f"Budget: unknown cost {', '.join(map(repr, other))}. "
                f"It knows {', '.join(COSTS)}."
            )
        shares = zip(COSTS, (macs, params, activation_bytes, latency), strict=True)
        self.shares = {cost: share for cost, share in shares if share is not None}
        self.max_accuracy_drop = max_accuracy_drop
        self.measure = measure
        require(
            measure is None or callable(measure) and latency is not None,
            "Budget",
            "measure to be a function of a network that gives seconds, beside a share of "
            "latency=",
            measure,
        )
        if not self.shares and max_accuracy_drop is None:
            raise ValueError(
                "Budget: expected at least one share, as in Budget(macs=0.1)."
            )
        for cost, share in self.shares.items():
            holds = is_number(share) and 0 < share <= 1
            expected = f"{cost} to be a share in (0, 1]"
            advice = "0.1 keeps a tenth; 1 cuts nothing."
            require(holds, "Budget", expected, share, advice)
        drop = max_accuracy_drop
        require(
            drop is None or is_number(drop) and 0 < drop < 100,
            "Budget",
            "max_accuracy_drop to be points of accuracy between 0 and 100",
            drop,
            "0.5 allows 98.5 % where there were 99.0 %.",
        )

    @classmethod
    def of(cls, budget: float | Budget) -> Budget:
        """Take a number for a share of the MACs, and a Budget as it is."""
        return budget if isinstance(budget, Budget) else cls(macs=budget)

    def __repr__(self):
        limits = self.shares | {"max_accuracy_drop": self.max_accuracy_drop}
        stated = (f"{name}={x:g}" for name, x in limits.items() if x is not None)
        return f"Budget({', '.join(stated)})"

    def require_known(self, costs):
        """Refuse a share of MACs, or of latency estimated from them, not all known."""
        shares = {cost: self.shares.get(cost, 1) for cost in ("macs", "latency")}
        if costs.unknown and min(shares.values()) < 1:
            raise ValueError(
                f"{self}: expected the MACs of every layer to be known, but no rule "
                f"states those of {', '.join(map(repr, costs.unknown))}, and running its "
                "call on symbolic tensors does not show them. Write the call in keras.ops "
                "throughout; or state what it multiplies in a rule of "
                "nestrade_lib.register_rule (call.multiplies; with 0 for a matrix that is "
                "only added); or give a budget of params or activation_bytes."
            )

    def path(self, progress: float) -> dict[str, float]:
        """Give the shares allowed at this part of the way: 0 allows all, 1 the budget."""
        holds = is_number(progress) and progress >= 0
        require(holds, "progress", "a number of at least 0", progress)
        if self.max_accuracy_drop is not None and not self.shares:
            return {"macs": SMALLEST ** min(progress, 1)}  # each cut the same share
        left = (1 - min(progress, 1)) ** 3
        return {cost: share + (1 - share) * left for cost, share in self.shares.items()}


@dataclass(frozen=True)
class Schedule:
    """When the cuts fall, in shares of the whole run.

    The defaults were chosen on MNIST's validation split; ``appendix/what-was-tried.md``
    lists the experiments.

    Attributes
    ----------
    start : float, optional
        The first interval begins. By default after 6 √n of n steps, at most a fifth: a
        network settles in some steps, which are a smaller share of a longer run.
    stop : float, optional
        The last cut falls. By default three times as late as `start`, and at least a
        tenth of the run later.
    cuts : int, optional
        Number of cuts between them. By default one per 100 steps of the run, at least one
        and at most four: each costs as much as some dozen steps of a small network.
    shrink : int
        Optimizer steps in which chosen groups go to zero, or two thirds of the
        interval where that is shorter.
    max_pruning_ratio : float, optional
        Share of a layer that one cut may take. One channel, or one block of `round_to`,
        may always go. By default 1 with ``importance="kfac"``, whose scores count what
        the channels that stay can take over, and 0.35 with others: their scores are of
        single groups, and a layer halved at once loses more than their sum.
    min_width : float, optional
        The least width of a layer after each cut, as a share of what an even cut of all
        layers to the same costs would leave. Costs that cannot be met so are met without
        it. By default 0.5 with ``importance="kfac"`` and 0 with others. What the present
        network can do without does not tell what it has still to learn: scores of the loss
        alone can starve a layer that random choice would not.
    round_to : int
        Cut widths to multiples of this; a layer that is not cut keeps its own. 8 suits
        the matrix units of GPUs.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> schedule = Schedule()
    >>> [schedule.cuts_within(steps) for steps in (100, 200, 900, 10_000)]
    [1, 2, 4, 4]
    >>> [round(schedule.window(steps)[0] * steps) for steps in (100, 900, 10_000)]
    [20, 180, 600]
    """

    start: float | None = None
    stop: float | None = None
    cuts: int | None = None
    shrink: int = 60
    max_pruning_ratio: float | None = None
    round_to: int = 1
    min_width: float | None = None

    def __post_init__(self):
        start, stop = self.start, self.stop
        ends = [end for end in (start, stop) if end is not None]
        is_way = all(is_number(end) and 0 <= end <= 1 for end in ends)
        is_way = is_way and (0 if start is None else start) < (
            1 if stop is None else stop
        )
        ratio = self.max_pruning_ratio
        is_share = ratio is None or is_number(ratio) and 0 < ratio <= 1
        least = self.min_width
        is_part = least is None or is_number(least) and 0 <= least < 1
        rules = [
            ("start and stop", is_way, "0 <= start < stop <= 1"),
            ("max_pruning_ratio", is_share, "a share in (0, 1]"),
            ("min_width", is_part, "a share in [0, 1)"),
        ]
        for name in ("cuts", "shrink", "round_to"):
            count = getattr(self, name)
            is_count = is_whole(count) or (name == "cuts" and count is None)
            rules.append((name, is_count, "a whole number of at least 1"))
        for name, holds, expected in rules:
            require(holds, f"Schedule: {name}", expected, self)

    @classmethod
    def toward(cls, budget: Budget) -> Schedule:
        """Give the default toward a budget: a search for the smallest takes small steps.

        >>> Schedule.toward(Budget(max_accuracy_drop=0.5)).cuts
        12
        """
        is_search = Budget.of(budget).max_accuracy_drop is not None
        return cls(cuts=SEARCH_CUTS) if is_search else cls()

    def ratio(self, importance) -> float:
        """Give `max_pruning_ratio`, or what suits these scores."""
        if self.max_pruning_ratio is not None:
            return self.max_pruning_ratio
        return 1.0 if importance == "kfac" else OF_SINGLE_SCORES

    def least_width(self, importance) -> float:
        """Give `min_width`, or what suits these scores.

        >>> [Schedule().least_width(scores) for scores in ("kfac", "taylor")]
        [0.5, 0.0]
        """
        if self.min_width is not None:
            return self.min_width
        return OF_EVEN_WIDTH if importance == "kfac" else 0.0

    def cuts_within(self, steps: int) -> int:
        """Give `cuts`, or what suits a run of so many steps."""
        _require_steps(steps)
        if self.cuts is not None:
            return self.cuts
        return min(MOST_CUTS, max(1, steps // STEPS_PER_CUT))

    def window(self, steps: int) -> tuple[float, float]:
        """Give `start` and `stop` of a run of so many steps, as shares of it."""
        _require_steps(steps)
        start, stop = self.start, self.stop
        if start is None:
            start = min(LATEST, SETTLED / max(steps, 1) ** 0.5, (stop or 1) / 3)
        if stop is None:
            stop = min(max(3 * start, start + 0.1), (1 + start) / 2)
        return start, stop


def _require_steps(steps):
    holds = is_number(steps) and steps >= 0
    require(holds, "steps", "a number of at least 0", steps)

"""A whole run on many devices: how long it takes, and what Nestrade's cuts save of it."""

from dataclasses import dataclass

import numpy as np

from nestrade_lib.book.simulate.collectives import as_counts
from nestrade_lib.book.simulate.step import (
    SimulatedCluster,
    Workload,
    efficiency,
    step_seconds,
    throughput,
)
from nestrade_lib.schedule import Budget, Schedule


@dataclass(frozen=True)
class Plan:
    """What a run would take, dense and with Nestrade's cuts. Simulated.

    Attributes
    ----------
    devices, steps : int
    rate, small_rate : float
        Samples per second of all devices, with the dense and the small network.
    efficiency, small_efficiency : float
        Shares of the ideal.
    seconds, nestrade_seconds : float
        Of the whole run: dense, and cut on the way.
    """

    devices: int
    steps: int
    rate: float
    small_rate: float
    efficiency: float
    small_efficiency: float
    seconds: float
    nestrade_seconds: float

    def __repr__(self):
        return (
            f"simulated, {self.devices:,} devices, {self.steps:,} steps\n"
            f"dense     {self.rate:12,.0f} samples/s  efficiency {self.efficiency:4.0%}"
            f"  run {self.seconds / 60:8,.1f} min\n"
            f"Nestrade  {self.small_rate:12,.0f} samples/s  efficiency "
            f"{self.small_efficiency:4.0%}  run {self.nestrade_seconds / 60:8,.1f} min"
        )


def nestrade_seconds(
    workload: Workload,
    cluster: SimulatedCluster,
    devices: int,
    steps: int,
    budget: Budget | float,
    schedule: Schedule | None = None,
    retrace: float = 6.0,
) -> float:
    """Seconds of a run in which Nestrade cuts the network on the way. Simulated.

    The cuts fall where :class:`nestrade_lib.Nestrade` would make them; each leaves the
    shares that the budget's path allows.

    Parameters
    ----------
    workload : Workload
        Of the dense network.
    cluster : SimulatedCluster
    devices, steps : int
    budget : Budget or float
        With a share of the MACs. Parameters fall as the MACs do unless it has a share
        for them.
    schedule : Schedule, optional
        By default Nestrade's own.
    retrace : float
        Seconds that a cut stops the run: surgery, and the first step after it.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the budget has no share of the MACs, or a number is out of range.

    Examples
    --------
    >>> network = Workload(batch=64, rate=160, gradient_bytes=100e6)
    >>> setting = network, SimulatedCluster(), 1, 10_000
    >>> [round(nestrade_seconds(*setting, budget)) for budget in (1, 0.25)]
    [4024, 1273]
    """
    budget, schedule = Budget.of(budget), schedule or Schedule()
    if "macs" not in budget.shares:
        raise ValueError(
            f"A plan needs a budget with a share of the MACs, got {budget}: "
            "Budget(macs=0.25)."
        )
    if not 0 <= retrace < np.inf:
        raise ValueError(
            f"Expected retrace as seconds per cut, at least 0, got {retrace!r}."
        )
    for name, value in (("devices", devices), ("steps", steps)):
        if np.ndim(as_counts(value)):
            raise ValueError(f"A plan is for one number of {name}, got {value!r}.")
    ends = [*_cut_steps(schedule, steps), steps]
    seconds, begin, network = retrace * (len(ends) - 1), 0, workload
    count = schedule.cuts_within(steps)
    for cuts, end in enumerate(ends, start=1):
        seconds += (end - begin) * step_seconds(network, cluster, devices).item()
        network = _after(workload, budget, min(cuts / count, 1))
        begin = end
    return seconds


def plan(
    workload: Workload,
    cluster: SimulatedCluster,
    devices: int,
    steps: int,
    budget: Budget | float = 0.25,
    schedule: Schedule | None = None,
    retrace: float = 6.0,
) -> Plan:
    """Plan a run on many devices, dense and with Nestrade's cuts. Simulated.

    Parameters and errors are those of :func:`nestrade_seconds`. The batch per device
    stays as it is: memory that the cuts free is not used.

    Returns
    -------
    Plan

    Examples
    --------
    >>> resnet = Workload(batch=64, rate=219, gradient_bytes=102e6)
    >>> plan(resnet, SimulatedCluster(between=12.5e9, overlap=2), 1024, steps=8000)
    simulated, 1,024 devices, 8,000 steps
    dense          223,809 samples/s  efficiency 100%  run     39.0 min
    Nestrade       895,234 samples/s  efficiency 100%  run     12.9 min
    """
    budget = Budget.of(budget)
    cut = nestrade_seconds(workload, cluster, devices, steps, budget, schedule, retrace)
    small = _after(workload, budget, 1)
    return Plan(
        devices,
        steps,
        throughput(workload, cluster, devices).item(),
        throughput(small, cluster, devices).item(),
        efficiency(workload, cluster, devices).item(),
        efficiency(small, cluster, devices).item(),
        steps * step_seconds(workload, cluster, devices).item(),
        cut,
    )


def _cut_steps(schedule, steps):
    """Return the steps before which Nestrade cuts, as its timetable has them."""
    start, stop = schedule.window(steps)
    length, start = (stop - start) * steps, round(start * steps)
    count = schedule.cuts_within(steps)
    interval = max(1, round(length / count))
    shrink = max(1, min(schedule.shrink, 2 * interval // 3))
    cuts = [start + n * interval + shrink for n in range(count)]
    return [cut for cut in cuts if cut < steps]


def _after(workload, budget, progress):
    shares = budget.path(progress)
    return workload.pruned(shares["macs"], shares.get("params"))

"""A whole run: how many steps, how long, and what Nestrade's cuts save of it.

More devices make a step's batch larger, and a larger batch needs fewer steps, up to a
point. The gradient noise scale is that point: the batch at which a run needs twice the
fewest steps and twice the fewest samples (McCandlish et al. 2018).

>>> for batch in (1024, 8192, 65536):
...     steps = steps_to_loss(batch, fewest_steps=7000, noise_scale=8192)
...     print(f"{steps.item():6.0f} steps, {sample_efficiency(batch, 8192):.0%} of samples useful")
 63000 steps, 89% of samples useful
 14000 steps, 50% of samples useful
  7875 steps, 11% of samples useful
"""

from dataclasses import dataclass

import numpy as np

from nestrade_lib.book.simulate.collectives import as_counts
from nestrade_lib.book.simulate.step import efficiency, step_seconds, throughput
from nestrade_lib.schedule import Budget, Schedule


def amdahl(devices, serial):
    """Speed-up of one and the same work, of which a share cannot be divided.

    Parameters
    ----------
    devices : int or array of int
    serial : float
        The share, from 0 to 1.

    Returns
    -------
    ndarray of float
        1 / (serial + (1 − serial) / P), at most 1 / serial (Amdahl 1967).

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> amdahl([1, 10, 1000], serial=0.1).round(2).tolist()
    [1.0, 5.26, 9.91]
    """
    _share("amdahl", serial)
    return 1 / (serial + (1 - serial) / as_counts(devices))


def gustafson(devices, serial):
    """Speed-up of work that grows with the devices.

    Parameters
    ----------
    devices : int or array of int
    serial : float
        Share of the time on the devices that is not divided, from 0 to 1.

    Returns
    -------
    ndarray of float
        P − serial (P − 1) (Gustafson 1988).

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> gustafson([1, 10, 1000], serial=0.1).round(1).tolist()
    [1.0, 9.1, 900.1]
    """
    _share("gustafson", serial)
    devices = as_counts(devices)
    return devices - serial * (devices - 1)


def steps_to_loss(batch, fewest_steps, noise_scale):
    """Optimizer steps to a given loss, with the learning rate tuned to the batch.

    Parameters
    ----------
    batch : float or array of float
        Samples a step, of all devices together.
    fewest_steps : float
        Steps with a batch without end.
    noise_scale : float
        Samples: tr Σ / \\|G\\|², the gradient's variance over its square.

    Returns
    -------
    ndarray of float
        fewest_steps · (1 + noise_scale / batch) (McCandlish et al. 2018, eq. 2.7).

    Raises
    ------
    ValueError
        If a number is not positive.

    Examples
    --------
    >>> steps_to_loss([100, 1000], fewest_steps=50, noise_scale=1000).tolist()
    [550.0, 100.0]
    """
    given = {"batch": batch, "fewest_steps": fewest_steps, "noise_scale": noise_scale}
    for name, value in given.items():
        if not np.all(np.asarray(value, float) > 0):
            raise ValueError(f"steps_to_loss: expected positive {name}, got {value!r}.")
    return fewest_steps * (1 + noise_scale / np.asarray(batch, float))


def sample_efficiency(batch, noise_scale):
    """Share of a batch's samples that the smallest batch would have needed too.

    Parameters
    ----------
    batch, noise_scale : float or array of float
        Samples.

    Returns
    -------
    ndarray of float
        1 / (1 + batch / noise_scale).

    Examples
    --------
    >>> sample_efficiency(1000, noise_scale=1000).item()
    0.5
    """
    return 1 / (1 + np.asarray(batch, float) / noise_scale)


@dataclass(frozen=True)
class Plan:
    """What a run would take, dense and with Nestrade's cuts. Simulated.

    Attributes
    ----------
    devices, steps : int
    rate, small_rate : float
        Samples a second of all devices, with the dense and the small network.
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
    workload, cluster, devices, steps, budget, schedule=None, retrace=6.0
):
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
        Nestrade's own unless given.
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
    >>> from nestrade_lib.book.simulate import SimulatedCluster, Workload
    >>> network = Workload(batch=64, rate=160, gradient_bytes=100e6)
    >>> setting = network, SimulatedCluster(), 1, 10_000
    >>> [round(nestrade_seconds(*setting, budget)) for budget in (1, 0.25)]
    [4048, 1273]
    """
    budget, schedule = Budget.of(budget), schedule or Schedule()
    if "macs" not in budget.shares:
        raise ValueError(
            f"A plan needs a budget with a share of the MACs, got {budget}: "
            "Budget(macs=0.25)."
        )
    if not 0 <= retrace < np.inf:
        raise ValueError(
            f"Expected retrace as seconds a cut, at least 0, got {retrace!r}."
        )
    for name, value in (("devices", devices), ("steps", steps)):
        if np.ndim(as_counts(value)):
            raise ValueError(f"A plan is for one number of {name}, got {value!r}.")
    ends = [*_cut_steps(schedule, steps), steps]
    seconds, begin, network = retrace * (len(ends) - 1), 0, workload
    for turn, end in enumerate(ends, start=1):
        seconds += (end - begin) * step_seconds(network, cluster, devices).item()
        network = _after(workload, budget, min(turn / schedule.cuts, 1))
        begin = end
    return seconds


def plan(workload, cluster, devices, steps, budget=0.25, schedule=None, retrace=6.0):
    """Plan a run on many devices, dense and with Nestrade's cuts. Simulated.

    Parameters and errors are those of :func:`nestrade_seconds`. The batch a device
    stays as it is: memory that the cuts free is not used.

    Returns
    -------
    Plan

    Examples
    --------
    >>> from nestrade_lib.book.simulate import SimulatedCluster, Workload
    >>> resnet = Workload(batch=64, rate=219, gradient_bytes=102e6)
    >>> plan(resnet, SimulatedCluster(between=12.5e9, overlap=2), 1024, steps=8000)
    simulated, 1,024 devices, 8,000 steps
    dense          223,809 samples/s  efficiency 100%  run     39.0 min
    Nestrade       895,234 samples/s  efficiency 100%  run     12.8 min
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
    """The steps before which Nestrade cuts: as in `nestrade_lib.training.run`."""
    start = round(schedule.start * steps)
    length = (schedule.stop - schedule.start) * steps
    interval = max(1, round(length / schedule.cuts))
    shrink = max(1, min(schedule.shrink, 2 * interval // 3))
    cuts = [start + turn * interval + shrink for turn in range(schedule.cuts)]
    return [cut for cut in cuts if cut < steps]


def _after(workload, budget, progress):
    shares = budget.path(progress)
    return workload.pruned(shares["macs"], shares.get("params"))


def _share(function, value):
    if not 0 <= value <= 1:
        raise ValueError(
            f"{function}: expected a serial share from 0 to 1, got {value!r}."
        )

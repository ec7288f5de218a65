r"""How fast many devices train together: a simulator of synchronous data parallelism.

Every device computes the gradient of its own batch; all gradients are averaged; every
device takes the same step. The gradients go around while the backward pass still makes
them, so that a step is a pipeline with three stages: the devices compute, the gradients
are reduced inside each machine, and between the machines. It lasts

.. math:: t = t_0 + \left(t_{compute}^γ + t_{inside}^γ + t_{between}^γ\right)^{1/γ}

With γ = 1 the stages follow one another, with γ = ∞ the longest hides the others
(Qiao et al. 2021, Pollux). What nothing hides is :math:`t_0`: launches and barriers.
``benchmarks/simulate.py`` holds the model to published tables. Nothing is measured here:
all that these functions return is *simulated*.

>>> network = Workload(batch=64, rate=219, gradient_bytes=102e6)  # ResNet-50, one P100
>>> cluster = SimulatedCluster(per_machine=8, inside=20e9, between=1.25e9)
>>> throughput(network, cluster, [1, 8, 64]).round().astype(int).tolist()
[219, 1700, 9226]
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike

from nestrade_lib.book.simulate.collectives import (
    as_counts,
    is_count,
    ring_seconds,
    server_seconds,
)


@dataclass(frozen=True)
class Workload:
    """What one device computes in a step, and what it sends to the others.

    Attributes
    ----------
    batch : float
        Samples per device and step.
    rate : float
        Samples per second of one device on its own. It is taken to hold at other
        batches too, which flatters small ones.
    gradient_bytes : float
        Bytes of all gradients: 4 a trained parameter in float32.

    Raises
    ------
    ValueError
        If one is not a positive number.

    Examples
    --------
    >>> Workload(batch=64, rate=160, gradient_bytes=102e6).compute_seconds
    0.4
    """

    batch: float
    rate: float
    gradient_bytes: float

    def __post_init__(self):
        for field in fields(self):
            _check(self, field.name, "a positive number", lambda x: x > 0)

    @property
    def compute_seconds(self) -> float:
        """Seconds in which one device computes its gradients."""
        return self.batch / self.rate

    def pruned(self, macs: float, params: float | None = None) -> Workload:
        """Give the same work with a smaller network.

        Computing shrinks with the MACs, gradients with the parameters. The first is
        the best case: narrow layers use a device worse than wide ones.

        Parameters
        ----------
        macs, params : float
            Shares left, in (0, 1]. `params` is taken to be `macs` unless given.

        Returns
        -------
        Workload

        Examples
        --------
        >>> Workload(batch=64, rate=100, gradient_bytes=8e6).pruned(macs=0.25)
        Workload(batch=64, rate=400.0, gradient_bytes=2000000.0)
        """
        params = macs if params is None else params
        for name, share in (("macs", macs), ("params", params)):
            if not 0 < share <= 1:
                raise ValueError(
                    f"pruned: expected {name} to be a share in (0, 1], got {share!r}."
                )
        return replace(
            self, rate=self.rate / macs, gradient_bytes=self.gradient_bytes * params
        )


@dataclass(frozen=True)
class SimulatedCluster:
    """Machines of several devices: fast inside, slower between.

    Attributes
    ----------
    per_machine : int
        Devices per machine.
    inside, between : float
        Bytes per second, each way, of a device's link and of a machine's network card.
    latency : float
        Seconds a message between machines takes to start.
    overhead : float
        Seconds of each step with more than one device that nothing hides.
    overlap : float
        γ, at least 1: 1 hides nothing, ``inf`` all but the longest stage.
    servers : int, optional
        Parameter servers that hold the network between them, spread over the machines.
        Without: a ring. One server per machine moves as many bytes as the ring.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> SimulatedCluster(per_machine=4).machines([1, 4, 5, 512]).tolist()
    [1, 1, 2, 128]
    """

    per_machine: int = 8
    inside: float = 20e9
    between: float = 1.25e9
    latency: float = 0.0
    overhead: float = 0.0
    overlap: float = 1.0
    servers: int | None = None

    def __post_init__(self):
        _check(self, "per_machine", "a whole number, at least 1", is_count)
        for name in ("inside", "between"):
            _check(self, name, "positive bytes per second", lambda x: x > 0)
        for name in ("latency", "overhead"):
            _check(self, name, "finite seconds, at least 0", lambda x: 0 <= x < np.inf)
        _check(self, "overlap", "at least 1 (1 hides nothing)", lambda x: x >= 1)
        if self.servers is not None:
            _check(self, "servers", "None or a whole number, at least 1", is_count)

    def machines(self, devices: ArrayLike) -> np.ndarray:
        """Give how many machines hold so many devices."""
        return -(-as_counts(devices).astype(int) // self.per_machine)


def step_seconds(
    workload: Workload, cluster: SimulatedCluster, devices: ArrayLike
) -> np.ndarray:
    """Seconds of one training step. Simulated.

    Parameters
    ----------
    workload : Workload
    cluster : SimulatedCluster
    devices : int or array of int

    Returns
    -------
    ndarray of float

    Raises
    ------
    ValueError
        If `devices` are not whole numbers, at least 1.

    Examples
    --------
    >>> network = Workload(batch=64, rate=160, gradient_bytes=100e6)
    >>> slow, fast = (SimulatedCluster(between=1e9, overlap=n) for n in (1, 2))
    >>> [step_seconds(network, c, 16).round(4).item() for c in (slow, fast)]
    [0.5088, 0.4124]
    """
    devices = as_counts(devices)
    machines, nbytes = cluster.machines(devices), workload.gradient_bytes
    inside = ring_seconds(
        np.minimum(devices, cluster.per_machine), nbytes, cluster.inside
    )
    link = nbytes, cluster.between, cluster.latency
    if cluster.servers is None:
        between = ring_seconds(machines, *link)
    else:
        between = server_seconds(machines, cluster.servers, *link)
    longest = np.maximum(workload.compute_seconds, np.maximum(inside, between))
    stages = np.array([workload.compute_seconds + 0 * inside, inside, between])
    pipeline = longest * np.linalg.norm(stages / longest, cluster.overlap, axis=0)
    return pipeline + cluster.overhead * (devices > 1)


def throughput(
    workload: Workload, cluster: SimulatedCluster, devices: ArrayLike
) -> np.ndarray:
    """Samples per second of all devices together. Simulated.

    Parameters and errors are those of :func:`step_seconds`.

    Examples
    --------
    >>> network = Workload(batch=64, rate=160, gradient_bytes=100e6)
    >>> for between in (1e9, 10e9):  # a slider's two positions
    ...     cluster = SimulatedCluster(between=between)
    ...     print(throughput(network, cluster, [8, 64]).round())
    [1253. 7017.]
    [1253. 9609.]
    """
    devices = as_counts(devices)
    return devices * workload.batch / step_seconds(workload, cluster, devices)


def efficiency(
    workload: Workload, cluster: SimulatedCluster, devices: ArrayLike
) -> np.ndarray:
    """Share of the ideal: so many devices times the rate of one. Simulated.

    Parameters and errors are those of :func:`step_seconds`.

    Examples
    --------
    >>> network = Workload(batch=64, rate=160, gradient_bytes=100e6)
    >>> efficiency(network, SimulatedCluster(overlap=np.inf), 1024).item()
    1.0
    """
    return workload.compute_seconds / step_seconds(workload, cluster, devices)


def _check(settings, name, expected, holds):
    """Raise unless the attribute is a number for which `holds` holds."""
    value = getattr(settings, name)
    number = np.ndim(value) == 0 and np.asarray(value).dtype.kind in "iuf"
    if not number or not holds(value):
        kind = type(settings).__name__
        raise ValueError(f"{kind}: {name}: expected {expected}, got {value!r}.")

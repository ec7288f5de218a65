"""The simulator's free parameters, from measured throughputs.

One cluster has one overhead and one overlap, whatever it trains: they are fitted to all
its networks at once. What a data sheet tells, such as bandwidths, need not be fitted.

>>> points = published("ec2_k80")
>>> cluster = fit_cluster([p for p in points if p.devices <= 16], points[0].cluster)
>>> f"{cluster.overhead:.3f} s that nothing hides, overlap {cluster.overlap:.2f}"
'0.104 s that nothing hides, overlap 1.99'
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from nestrade_lib.book.simulate.step import SimulatedCluster, Workload, throughput

TABLES = Path(__file__).with_name("published_scaling.json")
GUESS = {"overlap": 2.0, "overhead": 0.01, "latency": 1e-5}
LEAST = {"overlap": 1.0}  # what a parameter cannot fall below; the others, 0


@dataclass(frozen=True)
class Measurement:
    """A throughput that somebody measured.

    Attributes
    ----------
    network : str
        Its name.
    workload : Workload
    cluster : SimulatedCluster
        What is known of the machines; `fit_cluster` estimates the rest.
    devices : int
    rate : float
        Samples per second of all devices together.
    """

    network: str
    workload: Workload
    cluster: SimulatedCluster
    devices: int
    rate: float

    def simulated(self, cluster: SimulatedCluster) -> float:
        """The rate of the same training on another cluster, by the simulator.

        Parameters
        ----------
        cluster : SimulatedCluster
            Gradients are summed as they were where this was measured: by rings, or by
            as many servers.

        Returns
        -------
        float
        """
        alike = replace(cluster, servers=self.cluster.servers)
        return throughput(self.workload, alike, self.devices).item()


def published(table: str) -> list[Measurement]:
    """Read a published table of throughputs over devices.

    Parameters
    ----------
    table : str
        "ec2_k80": five series at 1 to 64 GPUs in machines of 8, with parameter servers.
        "dgx1_p100": two at 1 to 8 GPUs. Both are the TensorFlow team's, of May 2017;
        the JSON file beside the data sets names pages and settings.

    Returns
    -------
    list of Measurement

    Raises
    ------
    ValueError
        If there is no such table.

    Examples
    --------
    >>> point = published("ec2_k80")[4]
    >>> point.network, point.devices, point.rate, point.cluster.servers
    ('InceptionV3', 64, 1783, 6)
    """
    tables = json.loads(TABLES.read_text(encoding="utf-8"))["throughput"]
    if table not in tables:
        raise ValueError(f"published: expected one of {list(tables)}, got {table!r}.")
    cluster = SimulatedCluster(**tables[table]["cluster"])
    points = []
    for series in tables[table]["series"]:
        rates = series["rates"]
        work = Workload(series["batch"], rates["1"], 4 * series["parameters"])
        for devices, rate in rates.items():
            servers = series.get("servers", {}).get(devices)  # None: one per machine
            own = replace(cluster, servers=servers)
            points.append(Measurement(series["network"], work, own, int(devices), rate))
    return points


def errors_percent(
    points: Sequence[Measurement], cluster: SimulatedCluster
) -> np.ndarray:
    """Give how far the simulated throughput is above the measured: signed.

    Parameters
    ----------
    points : sequence of Measurement
        With their own numbers of servers.
    cluster : SimulatedCluster

    Returns
    -------
    ndarray of float
        Percent of the measured throughput.

    Examples
    --------
    >>> points = published("ec2_k80")[:3]
    >>> errors_percent(points, SimulatedCluster(overhead=0.1)).round(1).tolist()
    [0.0, -1.2, -4.6]
    """
    return 100 * np.expm1(_log_errors(points, cluster))


def fit_cluster(
    points: Sequence[Measurement],
    cluster: SimulatedCluster,
    free: Sequence[str] = ("overhead", "overlap"),
) -> SimulatedCluster:
    """Fit parameters of a cluster to measured throughputs.

    Least squares of the relative errors, by Levenberg and Marquardt's method on
    logarithms, which keeps every parameter in its range.

    Parameters
    ----------
    points : sequence of Measurement
        Only those that the fit may see.
    cluster : SimulatedCluster
        All that is known of it. Its `free` parameters are where a search starts; another
        starts at guesses, and the better end is taken.
    free : sequence of str
        Names among "inside", "between", "latency", "overhead", "overlap".

    Returns
    -------
    SimulatedCluster

    Raises
    ------
    ValueError
        If a name is unknown, or points with more than one device are fewer than the
        free parameters.

    Examples
    --------
    >>> points = published("dgx1_p100")
    >>> fitted = fit_cluster([p for p in points if p.devices <= 4], points[0].cluster)
    >>> bool(fitted.overlap >= 1)
    True
    """
    names = {field.name for field in fields(SimulatedCluster)} - {
        "per_machine",
        "servers",
    }
    if not free or not set(free) <= names:
        raise ValueError(
            f"fit_cluster: expected free among {sorted(names)}, got {free!r}."
        )
    several = [point for point in points if point.devices > 1]
    if len(several) < len(free):
        raise ValueError(
            f"fit_cluster: {len(free)} free parameters need as many measurements with "
            f"more than one device, got {len(several)}."
        )
    least = np.array([LEAST.get(name, 0.0) for name in free])
    guess = np.array([GUESS.get(name, 1e10) for name in free])
    start = np.array([getattr(cluster, name) for name in free], float)
    start = np.where((start > least) & np.isfinite(start), start, guess)

    def at(logs):
        values = least + np.exp(np.clip(logs, -30, 30))
        return replace(cluster, **dict(zip(free, values.tolist())))

    def errors(logs):
        return _log_errors(several, at(logs))

    # Where γ is large nothing changes with it: a search that begins there stays there.
    ends = [_least_squares(errors, np.log(x - least)) for x in (start, guess)]
    return at(min(ends, key=lambda logs: np.sum(errors(logs) ** 2)))


def _log_errors(points, cluster):
    simulated = [point.simulated(cluster) for point in points]
    return np.log(np.array(simulated) / [point.rate for point in points])


def _least_squares(residuals, x, steps=200, width=1e-5):
    """Minimize by Levenberg and Marquardt's method: damped Gauss-Newton steps."""
    damping, error = 1e-2, residuals(x)
    for _ in range(steps):
        slopes = [
            (residuals(x + shift) - residuals(x - shift)) / (2 * width)
            for shift in width * np.eye(len(x))
        ]
        jacobian = np.stack(slopes, axis=1)
        curvature = jacobian.T @ jacobian
        trust = damping * (np.diag(np.diag(curvature)) + 1e-12 * np.eye(len(x)))
        step = np.linalg.solve(curvature + trust, -jacobian.T @ error)
        fresh = residuals(x + np.clip(step, -1, 1))
        if fresh @ fresh < error @ error:
            x, error, damping = x + np.clip(step, -1, 1), fresh, damping / 3
        else:
            damping *= 4
        if damping > 1e12:
            break
    return x

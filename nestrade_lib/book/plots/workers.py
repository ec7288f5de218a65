"""Workers that fail, drawn: a group's life, time lost to failures, many machines' speed.

>>> import matplotlib.pyplot as plt
>>> begins = [(1.0, 0, 1, 64), (1.0, 1, 1, 64), (2.0, 0, 2, 32), (2.0, 1, 2, 32)]
>>> figure = plot_lives(begins, stops=[3.0])
>>> plt.close(figure)
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from nestrade_lib.book.plots.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    RED,
    SKY,
    style,
)
from nestrade_lib.book.simulate import Measurement, SimulatedCluster


def plot_lives(
    begins: Sequence[tuple[float, int, int, int]],
    stops: Sequence[float],
    killed: tuple[float, int] | None = None,
) -> Figure:
    """Draw each worker's epochs over time, and where the group was stopped.

    Parameters
    ----------
    begins : list of (float, int, int, int)
        Seconds, worker, epoch, and how many units the network then has: the height of
        the epoch's bar. An epoch lasts until the worker's next one, or a stop.
    stops : list of float
        Seconds at which all workers were stopped, or done.
    killed : (float, int), optional
        Seconds, and the worker that was killed then.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    See the module's.
    """
    workers = sorted({worker for _, worker, _, _ in begins})
    widest = max(units for *_, units in begins)
    with style():
        figure, axes = plt.subplots(
            len(workers), 1, sharex=True, squeeze=False, figsize=(7, 1.3 * len(workers))
        )
        for axis, worker in zip(axes.flat, workers):
            own = [begin for begin in begins if begin[1] == worker]
            ends = [*(seconds for seconds, *_ in own), *stops]
            if killed and killed[1] == worker:
                ends.append(killed[0])
            for seconds, _, epoch, units in own:
                length = min(end for end in ends if end > seconds) - seconds
                colour = BLUE if units == widest else SKY
                axis.bar(seconds, units, length, align="edge", color=colour, ec="white")
                if length > stops[-1] / 60:  # there is room
                    axis.text(
                        seconds + length / 2, units / 2, epoch, ha="center", va="center",
                        color="white" if units == widest else INK,
                    )  # fmt: skip
            if killed and killed[1] == worker:
                axis.plot(killed[0], widest / 2, "X", color=RED, ms=11, zorder=3)
                # The line of the stop, to its right, is often next to it.
                axis.text(killed[0], widest * 1.02, "killed ", color=RED, ha="right")
            for stop in stops[:-1]:
                axis.axvline(stop, color=ORANGE, ls="--", lw=1.2)
                axis.text(stop, widest, "  all stopped,\n  started again", va="center")
            axis.set(ylabel=f"worker {worker}\nunits", ylim=(0, widest * 1.25))
            axis.set_yticks(sorted({units for *_, units in begins}))
        axes[-1, 0].set_xlabel("seconds since the start; numbers are epochs")
        figure.tight_layout()
    return figure


def plot_lost(
    intervals: np.ndarray, parts: Mapping[str, np.ndarray], best: float
) -> Figure:
    """Draw which share of the time failures and checkpoints cost, over the interval.

    Parameters
    ----------
    intervals : array of float
        Minutes between checkpoints.
    parts : dict of str to array of float
        By name, shares in the length of `intervals`, drawn on top of one another.
    best : float
        Minutes, to be marked.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> minutes = np.linspace(1, 60, 10)
    >>> figure = plot_lost(minutes, {"writing": 0.5 / minutes}, best=20)
    >>> plt.close(figure)
    """
    with style():
        figure, axis = plt.subplots(figsize=(7, 2.7))
        axis.stackplot(
            intervals,
            [100 * np.asarray(part) for part in parts.values()],
            labels=list(parts),
            colors=[ORANGE, SKY, GREY],
        )
        axis.axvline(best, color=INK, ls="--", lw=1.2)
        side = "right" if best > intervals[-1] / 5 else "left"
        axis.text(best, 37, f" best: {best:.0f} min ", color=INK, ha=side)
        axis.set(
            xscale="log",
            xlim=(intervals[0], intervals[-1]),
            ylim=(0, 40),
            xlabel="minutes between checkpoints",
            ylabel="time lost, %",
        )
        ticks = [t for t in (1, 3, 10, 30, 100, 300, 1000) if t <= intervals[-1]]
        axis.set_xticks(ticks, [str(t) for t in ticks])
        axis.minorticks_off()
        axis.legend(loc="upper center", ncols=len(parts), bbox_to_anchor=(0.5, 1.2))
        figure.tight_layout()
    return figure


def plot_published(
    points: Sequence[Measurement], cluster: SimulatedCluster, seen: int
) -> Figure:
    """Draw published throughputs and the simulator's, as shares of the ideal.

    Parameters
    ----------
    points : list of nestrade_lib.book.simulate.Measurement
        One panel per network and batch, each with a point of one device.
    cluster : nestrade_lib.book.simulate.SimulatedCluster
        As fitted.
    seen : int
        Most devices of the points that the fit has seen; the others are drawn hollow.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from nestrade_lib.book.simulate import published
    >>> points = published("dgx1_p100")
    >>> figure = plot_published(points, points[0].cluster, seen=4)
    >>> plt.close(figure)
    """
    series = {}
    for point in points:
        series.setdefault((point.network, point.workload.batch), []).append(point)
    with style():
        figure, axes = plt.subplots(
            1, len(series), sharey=True, squeeze=False, figsize=(7, 2.6)
        )
        for axis, ((network, batch), own) in zip(axes.flat, series.items()):
            devices = np.array([point.devices for point in own])
            ideal = devices * own[0].workload.rate
            measured = np.array([point.rate for point in own]) / ideal
            simulated = np.array([point.simulated(cluster) for point in own]) / ideal
            axis.plot(devices, 100 * simulated, color=INK, label="simulated")
            for fill, which in ((BLUE, devices <= seen), ("white", devices > seen)):
                label = "published, seen" if fill == BLUE else "published, held out"
                axis.plot(
                    devices[which], 100 * measured[which], "o", ms=6, color=BLUE,
                    mfc=fill, label=label,
                )  # fmt: skip
            axis.set(xscale="log", xlabel="devices")
            axis.set_title(f"{network}, {batch} each", fontsize=10)
            axis.set_xticks(devices, [str(n) for n in devices])
            axis.minorticks_off()
        axes[0, 0].set(ylabel="of the ideal, %", ylim=(0, 105))
        axes[0, 0].legend(loc="lower left")
        figure.tight_layout()
    return figure

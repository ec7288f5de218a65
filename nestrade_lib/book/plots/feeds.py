"""Feeder and device, drawn: who waits for whom, and which worker takes what.

A step needs a batch. Without prefetching the two take turns; with it the feeder makes
the next batches, up to `ahead` of them, while the device works.

>>> timeline(feed=2, step=3, batches=3)
([0.0, 5.0, 10.0], [2.0, 7.0, 12.0])
>>> timeline(feed=2, step=3, batches=3, ahead=1)
([0.0, 2.0, 5.0], [2.0, 5.0, 8.0])
"""

from collections.abc import Mapping, Sequence

import matplotlib.colors
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nestrade_lib.book.plots.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LIGHT_ORANGE,
    ORANGE,
    SKY,
    style,
)

YELLOW = "#F0E442"


def timeline(
    feed: float, step: float, batches: int, ahead: int = 0
) -> tuple[list[float], list[float]]:
    """Compute when each batch is begun by the feeder and by the device.

    Parameters
    ----------
    feed, step : float
        Time to make a batch, and to train on it.
    batches : int
    ahead : int
        Batches that may wait, made and unused; 0 is without prefetching.

    Returns
    -------
    (feeds, steps)
        Two lists of float: the times at which making and training begin.

    Examples
    --------
    See the module's.
    """
    feeds, steps = [], []
    for n in range(batches):
        made = feeds[-1] + feed if feeds else 0.0
        # There is room for batch n once batch n - ahead has been taken; without
        # prefetch the feeder is asked after the step.
        room = steps[n - ahead] if 0 < ahead <= n else 0.0
        turn = steps[-1] + step if ahead == 0 and steps else 0.0
        feeds.append(max(made, room, turn))
        idle = steps[-1] + step if steps else 0.0
        steps.append(max(feeds[-1] + feed, idle))
    return feeds, steps


def plot_timelines(
    cases: Mapping[str, tuple[float, int]], step: float, until: float
) -> Figure:
    """Draw feeder and device as bars over time, one panel per case.

    Parameters
    ----------
    cases : dict of str to (float, int)
        By the panel's title, the time to make a batch and the batches ahead.
    step : float
        The device's time for a batch, in milliseconds, as all times here.
    until : float
        Where the axis of time ends.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = plot_timelines({"slow feeder": (20, 2)}, step=5, until=100)
    >>> plt.close(figure)
    """
    with style():
        figure, axes = plt.subplots(
            len(cases), 1, sharex=True, squeeze=False, figsize=(7, 1.15 * len(cases) + 0.5)
        )  # fmt: skip
        for axis, (title, (feed, ahead)) in zip(axes.flat, cases.items(), strict=True):
            batches = int(until / min(feed, step)) + 2
            feeds, steps = timeline(feed, step, batches, ahead)
            for y, starts, length, colours in (
                (1, feeds, feed, (ORANGE, LIGHT_ORANGE)),
                (0, steps, step, (BLUE, SKY)),
            ):
                bars = [(start, length) for start in starts if start < until]
                axis.broken_barh(bars, (y - 0.38, 0.76), facecolors=colours)
            axis.set(title=title, ylim=(-0.6, 1.6), xlim=(0, until))
            axis.set_yticks([0, 1], ["device", "feeder"])
            axis.tick_params(left=False)
            axis.spines["left"].set_visible(False)
        axes[-1, 0].set_xlabel("milliseconds")
        figure.tight_layout()
    return figure


def plot_rates(
    rates: Mapping[str, float], unit: str = "thousand images per second"
) -> Figure:
    """Draw rates as dots on a logarithmic axis, where a bar would have no length.

    Parameters
    ----------
    rates : dict of str to float
        By the name of the feeder.
    unit : str

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = plot_rates({"one by one": 20, "all at once": 1400})
    >>> plt.close(figure)
    """
    names, values = list(rates), list(rates.values())
    with style():
        figure, axis = plt.subplots(figsize=(7, 0.42 * len(rates) + 0.8))
        axis.plot(values, names, "o", color=ORANGE, ms=8)
        for name, value in rates.items():
            axis.annotate(f"{value:,.0f}", (value, name), (8, 0), va="center",
                          textcoords="offset points")  # fmt: skip
        low, high = np.log10(min(values)), np.log10(max(values))
        axis.set(xscale="log", xlabel=unit, ylim=(len(rates) - 0.5, -0.5))
        axis.set_xlim(10 ** np.floor(low - 0.1), 10 ** np.ceil(high + 0.1))
        axis.xaxis.set_major_formatter("{x:,.0f}")
        axis.grid(axis="y", color=GREY)
        axis.tick_params(axis="y", length=0)
        figure.tight_layout()
    return figure


def plot_shares(
    shares: Mapping[str, Sequence[ArrayLike]], samples: int, columns: int = 24
) -> Figure:
    """Draw which worker takes each sample, one panel per way to share.

    Parameters
    ----------
    shares : dict of str to list of array of int
        By the panel's title, the samples that each worker takes.
    samples : int
        How many there are. Whoever takes a sample colours it; what nobody takes is
        left empty, and what several take has their number in it.
    columns : int
        Samples per row.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = plot_shares({"halves": [[0, 1], [2, 3]]}, samples=4)
    >>> plt.close(figure)
    """
    rows = -(-samples // columns)
    colours = [SKY, "#E69F00", GREEN, "#CC79A7", YELLOW, "#A6A6F7"]
    with style():
        figure, axes = plt.subplots(
            len(shares), 1, squeeze=False, figsize=(7, len(shares) * (0.27 * rows + 0.45))
        )  # fmt: skip
        for axis, (title, workers) in zip(axes.flat, shares.items(), strict=True):
            taken = [np.bincount(np.ravel(w), minlength=samples) for w in workers]
            times = np.sum(taken, axis=0)
            cells = np.full((rows * columns, 3), 1.0)
            for n in range(samples):
                owner = int(np.argmax([of[n] for of in taken]))
                colour = colours[owner % len(colours)] if times[n] == 1 else GREY
                cells[n] = matplotlib.colors.to_rgb(colour if times[n] else "white")
            axis.imshow(cells.reshape(rows, columns, 3), aspect="auto")
            for n in np.flatnonzero(times != 1)[:samples]:
                mark = "×" if times[n] == 0 else str(times[n])
                axis.text(
                    n % columns, n // columns, mark, ha="center", va="center", fontsize=8
                )  # fmt: skip
            axis.set_xticks(np.arange(columns + 1) - 0.5, [])
            axis.set_yticks(np.arange(rows + 1) - 0.5, [])
            axis.grid(color="white", lw=1.5)
            axis.tick_params(length=0)
            axis.spines[:].set_visible(False)
            axis.set_title(title, loc="left")
        figure.tight_layout()
    return figure


def plot_busy(step: float, feeds: ArrayLike) -> Figure:
    """Draw which share of the time a device works, over the feeder's time for a batch.

    Parameters
    ----------
    step : float
        The device's time for a batch.
    feeds : array of float
        The feeder's, in the same unit: milliseconds.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = plot_busy(5, np.linspace(1, 20, 20))
    >>> plt.close(figure)
    """
    feeds = np.asarray(feeds, float)
    with style():
        figure, axis = plt.subplots(figsize=(7, 2.6))
        axis.plot(feeds, 100 * step / np.maximum(feeds, step), label="with prefetching")
        axis.plot(feeds, 100 * step / (feeds + step), "--", label="taking turns")
        axis.axvline(step, color=INK, lw=1, ls=":")
        axis.text(step, 4, " feeder as fast as the device", color=INK)
        axis.set(xlabel="milliseconds to make a batch", ylabel="device busy, %")
        axis.set(ylim=(0, 104), xlim=(0, feeds.max()))
        axis.legend()
        figure.tight_layout()
    return figure

"""Methods beside each other: what each costs, and how often it errs."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from nestrade_lib.book.plots.style import BLUE, GREY, INK, style

_BESIDE = [(r * np.cos(a), r * np.sin(a)) for r in (10, 13, 17, 22) for a in
           np.pi * np.array([1, 3, -1, -3, 0, 4, 2, -2]) / 4]  # fmt: skip
_TICKS = [m * 10.0**n for n in range(-3, 6) for m in (1, 2, 3, 5, 7)]


def plot_fronts(
    panels: Mapping[str, Mapping[str, tuple[float, float]]], marked: str = "Nestrade"
) -> Figure:
    """Draw test errors over a cost, a panel per cost, with the Pareto front of each.

    Parameters
    ----------
    panels : dict of str to dict of str to (float, float)
        By the cost's name: of each method its cost and its test error.
    marked : str
        The method whose dot has a colour.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> points = {"Nestrade": (10, 1.5), "thinner": (10, 2.0), "dense": (100, 1.2)}
    >>> figure = plot_fronts({"% of the MACs": points})
    >>> plt.close(figure)
    """
    with style():
        figure, axes = plt.subplots(
            1, len(panels), figsize=(4 * len(panels), 4), sharey=True, squeeze=False
        )
        for axis, (cost, points) in zip(axes[0], panels.items(), strict=True):
            axis.plot(*zip(*_front(points)), color=GREY, lw=4, zorder=0)
            for name, point in points.items():
                axis.plot(*point, "o", ms=6, color=BLUE if name == marked else INK)
            axis.set(xlabel=cost, xscale="log")
            least, most = min(x for x, _ in points.values()), max(points.values())[0]
            ticks = [x for x in _TICKS if 0.9 * least <= x <= 1.1 * most]
            axis.set_xticks(ticks, [f"{x:g}" for x in ticks])
            axis.minorticks_off()
        axes[0, 0].set_ylabel("% test error")
        figure.tight_layout()
        for axis, points in zip(axes[0], panels.values(), strict=True):
            _number(axis, points, marked)
    return figure


def _number(axis, points, marked):
    """Write each point's place by its error beside it, where nothing else stands."""
    scale = 72 / axis.figure.dpi
    dots = {k: scale * axis.transData.transform(v) for k, v in points.items()}
    taken = [(x, y, 9, 7) for x, y in dots.values()]  # and how far to stay away
    places = sorted(points.items(), key=lambda item: item[1][1])
    for n, (name, point) in enumerate(places, start=1):
        x, y = dots[name]

        def room(offset, x=x, y=y):
            right, up = offset
            gaps = [
                max(abs(x + right - a) / width, abs(y + up - b) / height)
                for a, b, width, height in taken
            ]
            return min(1.0, *gaps)

        right, up = max(_BESIDE, key=room)
        taken.append((x + right, y + up, 13, 9))
        axis.annotate(str(n), point, (right, up), textcoords="offset points",
                      ha="center", va="center", fontsize=9,
                      color=BLUE if name == marked else INK)  # fmt: skip


def _front(points):
    """The points that no other one beats in both, by their cost."""
    best, front = float("inf"), []
    for cost, error in sorted(points.values()):
        if error < best:
            front.append((cost, error))
            best = error
    return front

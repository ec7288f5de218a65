"""Weights under penalties, drawn: units as pictures, their norms, and what a step does.

>>> import matplotlib.pyplot as plt
>>> figure = plot_steps({"halve": lambda x: x / 2})
>>> plt.close(figure)
"""

from collections.abc import Callable, Mapping

import matplotlib.colors
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from nestrade_lib.book.plots.style import BLUE, INK, ORANGE, style


def plot_kernels(
    kernels: Mapping[str, np.ndarray],
    shape: tuple[int, int] = (28, 28),
    columns: int = 10,
    limit: float | None = None,
) -> Figure:
    """Draw the weights into each unit as a picture, one row per kernel.

    Parameters
    ----------
    kernels : dict of str to numpy.ndarray, shape (inputs, units)
        By the label of their row. One scale of colours holds for all.
    shape : tuple of int
        How the inputs lie: height and width.
    columns : int
        Units drawn; those of the largest norm come first.
    limit : float, optional
        The weight that has the strongest colour; by default few weights exceed it.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = plot_kernels({"none": np.ones((4, 3))}, shape=(2, 2), columns=3)
    >>> plt.close(figure)
    """
    if limit is None:
        limit = max(float(np.quantile(np.abs(k), 0.99)) for k in kernels.values())
    colours = matplotlib.colors.LinearSegmentedColormap.from_list(
        "weights", [BLUE, "#FFFFFF", ORANGE]
    )
    norm = matplotlib.colors.Normalize(-limit, limit)
    with style():
        size = 1.5 + 0.55 * columns, 0.62 * len(kernels)
        figure, axes = plt.subplots(len(kernels), columns, figsize=size, squeeze=False)
        for row, (label, kernel) in zip(axes, kernels.items(), strict=True):
            order = np.argsort(-np.linalg.norm(kernel, axis=0), kind="stable")
            for axis, unit in zip(row, order, strict=False):
                picture = kernel[:, unit].reshape(shape)
                axis.imshow(picture, colours, norm, interpolation="nearest")
                axis.set(xticks=[], yticks=[])
                axis.spines[:].set_visible(False)
            row[0].set_ylabel(label, rotation=0, ha="right", va="center")
        figure.tight_layout(pad=0.3)
    return figure


def plot_steps(
    steps: Mapping[str, Callable[[np.ndarray], np.ndarray]], limit: float = 2.0
) -> Figure:
    """Draw what becomes of one number in a step, for several kinds of step.

    Parameters
    ----------
    steps : dict of str to callable
        Each takes an array of numbers and returns what they become.
    limit : float
        The axis goes from ``-limit`` to ``limit``.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = plot_steps({"halve": lambda x: x / 2})
    >>> plt.close(figure)
    """
    x = np.linspace(-limit, limit, 401)
    with style():
        figure, axis = plt.subplots(figsize=(7, 3.2))
        axis.plot(x, x, ":", color=INK, lw=1, label="no penalty")
        for (name, step), dash in zip(steps.items(), ("-", "--", "-."), strict=False):
            axis.plot(x, step(x), dash, label=name)
        axis.set(xlabel="before the step", ylabel="after")
        axis.legend()
        figure.tight_layout()
    return figure


def plot_norms(norms: Mapping[str, np.ndarray]) -> Figure:
    """Draw the norms of a layer's units, the largest first, one line per network.

    Parameters
    ----------
    norms : dict of str to numpy.ndarray, shape (units,)

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = plot_norms({"none": np.ones(8), "some": np.arange(8.0)})
    >>> plt.close(figure)
    """
    marks = ("-", "--", "-.", ":")
    with style():
        figure, axis = plt.subplots(figsize=(7, 2.8))
        for (name, values), mark in zip(norms.items(), marks, strict=False):
            axis.plot(np.sort(values)[::-1], mark, drawstyle="steps-mid", label=name)
        axis.set(xlabel="unit, by its norm", ylabel="norm", ylim=(0, None))
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
        figure.tight_layout()
    return figure

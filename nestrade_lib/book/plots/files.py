"""Files of one network beside each other: what each takes, of the disk and of the clock."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from nestrade_lib.book.plots.style import BLUE, GREY, INK, style


def plot_files(
    panels: Mapping[str, Mapping[str, Sequence[float]]], marked: str = "small"
) -> Figure:
    """Draw a bar per file, a panel per cost, with the value beside it.

    Parameters
    ----------
    panels : dict of str to dict of str to sequence of float
        By the cost's name: of each file its measurements. The bar is their median; where
        there are several, a line goes from the first quartile to the third.
    marked : str
        Files whose names begin so have a colour.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> taken = {"dense, float": [0.2, 0.21, 0.24], "small, int8": [0.05, 0.05, 0.06]}
    >>> figure = plot_files({"ms for one image": taken})
    >>> plt.close(figure)
    """
    with style():
        figure, axes = plt.subplots(
            1, len(panels), figsize=(4 * len(panels), 2.6), sharey=True, squeeze=False
        )
        for axis, (cost, files) in zip(axes[0], panels.items(), strict=True):
            for place, (name, values) in enumerate(files.items()):
                low, median, high = np.percentile(values, [25, 50, 75])
                colour = BLUE if name.startswith(marked) else GREY
                axis.barh(place, median, color=colour, height=0.7)
                if len(values) > 1:
                    axis.plot([low, high], [place, place], color=INK, lw=2)
                value = f"{median:,.0f}" if median >= 100 else f"{median:.3g}"
                axis.annotate(value, (max(median, high), place), (5, 0),
                              textcoords="offset points", va="center")  # fmt: skip
            axis.set_yticks(range(len(files)), list(files))
            axis.set(xlabel=cost)
            axis.margins(x=0.2)
            axis.locator_params(axis="x", nbins=4)
        axes[0, 0].invert_yaxis()
        figure.tight_layout()
    return figure

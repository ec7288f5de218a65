"""Channels, drawn: their labels on the way through a network, and how many stay.

A square is a channel. Squares of one number are one channel group: they are cut
together or not at all.

>>> import keras
>>> from nestrade_lib import trace
>>> network = keras.Sequential(
...     [keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)]
... )
>>> figure = plot_channels(network, trace(network))
>>> plt.close(figure)
"""

from collections.abc import Mapping

import keras
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from nestrade_lib.book.plots.style import GREEN, INK, SKY, style
from nestrade_lib.dependency import ChannelGraph
from nestrade_lib.internals import producer_of

# Light enough for the black number on them.
COLOURS = (SKY, "#E69F00", GREEN, "#CC79A7", "#F0E442", "#A6A6F7", "#F08A5D", "#BBDDBB")
GREY, DARK_GREY = "#D9D9D9", "#595959"


def plot_channels(
    network: keras.Model, graph: ChannelGraph, mask: np.ndarray | None = None
) -> Figure:
    """Draw the channels of each layer's output, coloured by the group they belong to.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential, of a few dozen channels at most.
    graph : nestrade_lib.ChannelGraph
        Of `network`.
    mask : array of bool, shape (graph.count,), optional
        Groups that stay; the others are drawn empty, with a dashed edge.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    See the module's.
    """
    mask = np.ones(graph.count, bool) if mask is None else graph.require_mask(mask)
    parents = _parents(network)
    column = {}
    for name, above in parents.items():
        column[name] = 1 + max((column[p] for p in above), default=-1)
    labels = _labels(network, graph)
    tallest = max(map(len, labels.values()))
    with style():
        figure, axis = plt.subplots(figsize=(7, 0.26 * tallest + 1))
        for name, above in parents.items():
            for parent in above:
                _arrow(axis, column[parent], column[name], len(labels[parent]))
            for place, group in enumerate(labels[name]):
                y = (len(labels[name]) - 1) / 2 - place
                _square(axis, column[name], y, group, group < 0 or mask[group])
            axis.text(column[name], -tallest / 2 - 0.3, name, ha="center", va="top")
        axis.set(xlim=(-0.5, len(labels) - 0.5), ylim=(-tallest / 2 - 1.4, None))
        axis.set_ylim(top=max(tallest / 2, 4) + 0.2)
        axis.axis("off")
        figure.tight_layout(pad=0.2)
    return figure


def plot_widths(
    widths: Mapping[str, Mapping[str, int]], dense: Mapping[str, int]
) -> Figure:
    """Draw how many channels each layer keeps, one panel per choice.

    Parameters
    ----------
    widths : dict of str to (dict of str to int)
        For each panel, by its title, the channels that each layer keeps.
    dense : dict of str to int
        Channels of each layer before.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = plot_widths({"half": {"conv": 5}}, {"conv": 10})
    >>> plt.close(figure)
    """
    with style():
        figure, axes = plt.subplots(
            1, len(widths), squeeze=False, sharey=True,
            figsize=(7, 0.4 * len(dense) + 0.7),
        )  # fmt: skip
        for axis, (title, kept) in zip(axes.flat, widths.items(), strict=True):
            axis.barh(list(dense), [100] * len(dense), color=GREY)
            shares = [100 * kept[layer] / dense[layer] for layer in dense]
            bars = axis.barh(list(dense), shares, color=DARK_GREY)
            labels = [f"{kept[layer]} of {dense[layer]}" for layer in dense]
            axis.bar_label(bars, labels, padding=4)
            axis.set(title=title, xlim=(0, 125), xticks=[])
            axis.spines["bottom"].set_visible(False)
        axes[0, 0].invert_yaxis()
        figure.tight_layout()
    return figure


def _calls(network):
    """Return the layers in the order of their calls, the inputs first."""
    return keras.Function(network.inputs, network.outputs).operations


def _parents(network):
    """For each layer, in the order of the calls, the layers whose outputs it reads."""
    return {
        layer.name: [
            producer_of(tensor).name for tensor in keras.tree.flatten(layer.input)
        ]
        for layer in _calls(network)
    }


def _labels(network, graph) -> dict[str, np.ndarray]:
    """The group of each channel of each layer's output; -1 where it is never cut."""
    groups = {layer: axes[-1] for layer, axes in graph.outputs.items()}
    return {
        layer.name: np.full(layer.output.shape[-1], -1)
        if groups.get(layer.name) is None
        else groups[layer.name]
        for layer in _calls(network)
    }


def _square(axis, x, y, group, stays):
    colour = GREY if group < 0 else COLOURS[group % len(COLOURS)]
    axis.add_patch(
        Rectangle(
            (x - 0.22, y - 0.44),
            0.44,
            0.88,
            facecolor=colour if stays else "white",
            edgecolor=INK,
            linestyle="-" if stays else "--",
            linewidth=0.8,
        )  # fmt: skip
    )
    if group >= 0:
        axis.text(x, y, group, ha="center", va="center", fontsize=8, color="#000000")


def _arrow(axis, start, end, channels):
    """A straight arrow to the next column, a bow over what lies between."""
    far = end - start > 1
    height = channels / 2 if far else 0
    shift = 0 if far else 0.25
    axis.add_patch(
        FancyArrowPatch(
            (start + shift, height),
            (end - shift, height),
            connectionstyle=f"arc3,rad={-0.25 if far else 0}",
            arrowstyle="-|>",
            mutation_scale=9,
            color=INK,
            linewidth=0.9,
        )  # fmt: skip
    )

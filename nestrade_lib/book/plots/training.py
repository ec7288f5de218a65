"""What networks cost, and how their training went."""

import itertools
from collections.abc import Mapping, Sequence

import keras
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from nestrade_lib.book.plots.style import COST_COLOURS, COST_NAMES, INK, style
from nestrade_lib.costs import CostTable
from nestrade_lib.trainer import Nestrade


def plot_costs(costs: CostTable) -> Figure:
    """Draw where the parameters sit and where the work is done, layer by layer.

    Parameters
    ----------
    costs : nestrade_lib.CostTable
        Layers without parameters and MACs are left out.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from nestrade_lib import count_costs, create_model
    >>> figure = plot_costs(count_costs(create_model((28, 28, 1), 10)))
    >>> plt.close(figure)
    """
    layers = [layer for layer in costs.layers if layer.params or layer.macs]
    names = [layer.name for layer in layers]
    shares = {
        f"of {costs.params:,} parameters": [x.params / costs.params for x in layers],
        f"of {costs.macs:,} MACs": [(x.macs or 0) / costs.macs for x in layers],
    }
    with style():
        figure, axes = plt.subplots(1, 2, figsize=(7, 0.4 * len(layers) + 0.6))
        for axis, color, (title, share) in zip(
            axes,
            (COST_COLOURS["params"], COST_COLOURS["macs"]),
            shares.items(),
            strict=True,
        ):
            bars = axis.barh(names, 100 * np.array(share), color=color)
            labels = ["< 1 %" if 0 < x < 0.01 else f"{100 * x:.0f} %" for x in share]
            axis.bar_label(bars, labels, padding=3)
            axis.invert_yaxis()
            axis.set(title=title, xlim=(0, 115), xticks=[])
            axis.spines["bottom"].set_visible(False)
        axes[1].tick_params(left=False, labelleft=False)
        figure.tight_layout()
    return figure


def plot_history(history: keras.callbacks.History, metric: str = "accuracy") -> Figure:
    """Draw a metric over the epochs, in training and in validation.

    Parameters
    ----------
    history : keras.callbacks.History
        What ``fit`` returned, with a validation set.
    metric : str
        The metric's name.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    KeyError
        If the history lacks the metric or its validation.

    Examples
    --------
    >>> import keras
    >>> history = keras.callbacks.History()
    >>> history.history = {"accuracy": [0.9, 0.95], "val_accuracy": [0.92, 0.94]}
    >>> figure = plot_history(history)
    >>> plt.close(figure)
    """
    with style():
        figure, axis = plt.subplots(figsize=(5.2, 2.6))
        epochs = range(1, len(history.history[metric]) + 1)
        axis.plot(epochs, history.history[metric], "o-", label="training")
        axis.plot(epochs, history.history[f"val_{metric}"], "s-", label="test")
        axis.set(xlabel="epoch", ylabel=metric, xticks=epochs)
        axis.legend()
        figure.tight_layout()
    return figure


def plot_run(trainer: Nestrade) -> Figure:
    """Draw how a Nestrade run went: widths and costs at each cut, accuracy each epoch.

    The first two panels end shortly after the last cut, the third with the run.

    Parameters
    ----------
    trainer : nestrade_lib.Nestrade
        After ``fit``.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If it has not been fitted.

    Examples
    --------
    >>> plot_run(trainer)  # doctest: +SKIP
    """
    if trainer.history is None or not trainer.history.epoch:
        raise ValueError("Nothing to draw yet: call fit first.")
    end = max(trainer.history.epoch) + 1
    last_cut = max((cut.epoch for cut in trainer.cuts), default=end)
    shown = min(1.3 * last_cut, end)
    moments = [0.0, *(cut.epoch for cut in trainer.cuts), end]

    def steps(axis, dense, after, **line):
        shares = [100 * n / dense for n in (dense, *after, *(after[-1:] or [dense]))]
        axis.step(moments, shares, where="post", **line)

    with style():
        figure, (left, middle, right) = plt.subplots(1, 3, figsize=(7, 2.4))
        lines = itertools.cycle(["-", "--", ":", "-."])
        for (layer, width), line in zip(trainer.dense_widths.items(), lines):
            after = [cut.widths.get(layer, width) for cut in trainer.cuts]
            steps(left, width, after, label=layer, color=INK, ls=line)
        left.set(title="channels left", ylabel="%")
        for cost in trainer.budget.shares:
            after = [cut.costs[cost] for cut in trainer.cuts]
            steps(middle, trainer.dense_totals[cost], after, color=COST_COLOURS[cost],
                  label=COST_NAMES[cost])  # fmt: skip
        middle.set(title="cost left")
        for axis in (left, middle):
            axis.set(xlabel="epoch", ylim=(0, 104), xlim=(0, shown))
        left.legend(loc="lower left", fontsize="small", handlelength=1.4)
        middle.legend()
        epochs = [n + 1 for n in trainer.history.epoch]
        for name, marker in (("accuracy", "o-"), ("val_accuracy", "s-")):
            if name in trainer.history.history:
                label = "test" if name.startswith("val") else "training"
                right.plot(
                    epochs, trainer.history.history[name], marker, label=label, ms=3
                )
        right.set(title="accuracy", xlabel="epoch")
        right.legend()
        figure.tight_layout()
    return figure


def plot_curve(
    errors: Mapping[str, Sequence[float]],
    deviations: Mapping[str, Sequence[float]],
    shares: Sequence[float],
    dense: float,
) -> Figure:
    """Draw the errors of several methods over the share of MACs that was allowed.

    Parameters
    ----------
    errors, deviations : dict of str to sequence of float
        Of each method the mean errors and their standard deviations, in percent.
    shares : sequence of float
        What was allowed at each point, in percent.
    dense : float
        Error of the dense network, in percent.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = plot_curve({"a": [1.0, 2.0]}, {"a": [0.1, 0.2]}, [50, 10], dense=0.7)
    >>> plt.close(figure)
    """
    with style():
        figure, axis = plt.subplots(figsize=(6, 3.2))
        axis.axhline(dense, color=INK, ls=":", lw=1)
        axis.annotate("dense", (min(shares), dense), (0, -12),
                      textcoords="offset points", ha="right")  # fmt: skip
        apart = np.geomspace(1.06, 1 / 1.06, len(errors))
        for name, factor, mark in zip(errors, apart, "os^DvP", strict=False):
            axis.errorbar(factor * np.array(shares), errors[name], deviations[name],
                          label=name, marker=mark, ms=4, lw=1.2, capsize=2)  # fmt: skip
        axis.set(xscale="log", yscale="log", xlabel="% of the MACs allowed",
                 ylabel="% test error")  # fmt: skip
        axis.set_xticks(shares, [f"{share:g}" for share in shares])
        axis.invert_xaxis()
        ticks = [0.5, 0.7, 1, 1.5, 2, 3, 5]
        axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
        axis.legend()
        figure.tight_layout()
    return figure

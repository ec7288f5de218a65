"""The book's figures: one palette, small, on paper that a dark page can hold.

Every function draws on new axes and returns the figure; ``plt.show()`` ends the cell.
The colours are Okabe and Ito's, which the colour-blind tell apart.
"""

import contextlib

import matplotlib.pyplot as plt
import numpy as np

BLUE, ORANGE, GREEN, RED, PURPLE, SKY = (
    "#0072B2", "#D55E00", "#009E73", "#CC3311", "#AA4499", "#56B4E9",
)  # fmt: skip
INK, PAPER = "#262626", "#FFFFFF"

_STYLE = {
    "axes.edgecolor": INK,
    "axes.facecolor": PAPER,
    "axes.labelcolor": INK,
    "axes.prop_cycle": plt.cycler(color=[BLUE, ORANGE, GREEN, PURPLE, RED, SKY]),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.dpi": 200,  # sharp on a phone; pages show an inch as 100 pixels
    "figure.facecolor": PAPER,
    "font.size": 10.5,
    "legend.frameon": False,
    "savefig.facecolor": PAPER,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


@contextlib.contextmanager
def style():
    """Draw in the book's style inside a ``with`` block.

    Examples
    --------
    >>> with style():
    ...     figure, axes = plt.subplots()
    >>> plt.close(figure)
    """
    with plt.rc_context(_STYLE):
        yield


def plot_digits(images, labels, predicted=None, columns=10):
    """Draw images in rows, each under its label.

    Parameters
    ----------
    images : numpy.ndarray, shape (n, height, width, 1)
        Bytes or floats; dark ink on light paper for high values.
    labels : sequence of length n
        What stands above each.
    predicted : sequence of length n, optional
        Shown beside the label, in orange where it differs.
    columns : int
        Images a row.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = plot_digits(np.zeros((4, 28, 28, 1)), [0, 1, 2, 3], columns=2)
    >>> plt.close(figure)
    """
    rows = -(-len(images) // columns)
    with style():
        figure, axes = plt.subplots(
            rows, columns, figsize=(0.7 * columns, 0.95 * rows), squeeze=False
        )
        for axis in axes.flat:
            axis.axis("off")
        for i, (axis, image) in enumerate(zip(axes.flat, images, strict=False)):
            axis.imshow(image[..., 0], cmap="gray_r", interpolation="nearest")
            if predicted is None or predicted[i] == labels[i]:
                axis.set_title(labels[i], fontweight="normal", pad=3)
            else:
                title = f"{labels[i]} → {predicted[i]}"
                axis.set_title(title, color=ORANGE, fontweight="normal", pad=3)
        figure.tight_layout(pad=0.3)
    return figure


def plot_costs(costs):
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
            axes, (BLUE, ORANGE), shares.items(), strict=True
        ):
            bars = axis.barh(names, 100 * np.array(share), color=color)
            axis.bar_label(bars, fmt="%.0f %%", padding=3)
            axis.invert_yaxis()
            axis.set(title=title, xlim=(0, 115), xticks=[])
            axis.spines["bottom"].set_visible(False)
        axes[1].tick_params(left=False, labelleft=False)
        figure.tight_layout()
    return figure


def plot_history(history, metric="accuracy"):
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


def plot_run(trainer):
    """Draw how a Nestrade run went: widths and costs at each cut, accuracy each epoch.

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
    if trainer.history is None:
        raise ValueError("Nothing to draw yet: call fit first.")
    moments = [
        0.0,
        *(cut.epoch for cut in trainer.cuts),
        max(trainer.history.epoch) + 1,
    ]
    with style():
        figure, (left, middle, right) = plt.subplots(1, 3, figsize=(7, 2.4))
        for layer, width in trainer.dense_widths.items():
            after = [cut.widths[layer] for cut in trainer.cuts]
            shares = [
                100 * n / width for n in (width, *after, *(after[-1:] or [width]))
            ]
            left.step(moments, shares, where="post", label=layer)
        left.set(title="channels left", xlabel="epoch", ylabel="%", ylim=(0, 104))
        left.legend()
        for cost in trainer.budget.shares:
            dense = trainer.dense_totals[cost]
            after = [cut.costs[cost] for cut in trainer.cuts]
            shares = [
                100 * n / dense for n in (dense, *after, *(after[-1:] or [dense]))
            ]
            middle.step(moments, shares, where="post", label=cost.replace("_", " "))
        middle.set(title="cost left", xlabel="epoch", ylabel="%", ylim=(0, 104))
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


def plot_curve(errors, deviations, shares, dense):
    """Draw the errors of several methods over what is left of the work.

    Parameters
    ----------
    errors, deviations : dict of str to sequence of float
        Of each method the mean errors and their standard deviations, in percent.
    shares : sequence of float
        What is left at each point, in percent.
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
    places = np.arange(len(shares))
    with style():
        figure, axis = plt.subplots(figsize=(6, 3.2))
        axis.axhline(dense, color=INK, ls=":", lw=1)
        axis.annotate("dense", (places[-1], dense), (0, -12), textcoords="offset points",
                      ha="right")  # fmt: skip
        spread = np.linspace(-0.12, 0.12, len(errors))
        for name, shift, mark in zip(errors, spread, "os^DvP", strict=False):
            axis.errorbar(places + shift, errors[name], deviations[name], label=name,
                          marker=mark, ms=4, lw=1.2, capsize=2)  # fmt: skip
        axis.set(yscale="log", xlabel="% of the MACs left", ylabel="% test error")
        axis.set_xticks(places, [f"{share:g}" for share in shares])
        ticks = [0.5, 0.7, 1, 1.5, 2, 3, 5]
        axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
        axis.legend()
        figure.tight_layout()
    return figure


def plot_answers(picture, answers):
    """Draw a digit, and what a network answers at several temperatures.

    Parameters
    ----------
    picture : ndarray, shape (height, width, 1)
    answers : dict of str to ndarray of shape (classes,)
        Probabilities, under what they are called.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = plot_answers(np.zeros((28, 28, 1)), {"T = 1": np.full(10, 0.1)})
    >>> plt.close(figure)
    """
    with style():
        figure, axes = plt.subplots(
            1, 1 + len(answers), figsize=(2 + 2.2 * len(answers), 1.9)
        )
        axes[0].imshow(picture.squeeze(), cmap="gray_r")
        axes[0].axis("off")
        for axis, (name, shares) in zip(axes[1:], answers.items(), strict=True):
            axis.bar(range(len(shares)), 100 * shares, color=BLUE)
            axis.set(title=name, xlabel="class", ylabel="%", ylim=(0, 100))
            axis.set_xticks(range(len(shares)))
        figure.tight_layout()
    return figure

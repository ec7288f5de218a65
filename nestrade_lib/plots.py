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

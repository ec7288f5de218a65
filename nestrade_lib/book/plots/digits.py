"""Images under their labels, and what a network answers to one."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from nestrade_lib.book.plots.style import (
    BLUE,
    ORANGE,
    style,
)


def plot_digits(
    images: np.ndarray,
    labels: Sequence,
    predicted: Sequence | None = None,
    columns: int = 10,
) -> Figure:
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
    >>> import numpy as np
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


def plot_answers(picture: np.ndarray, answers: Mapping[str, np.ndarray]) -> Figure:
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
    >>> import numpy as np
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

"""Replicas that share a batch, drawn: their gradients, the ring, and a simulated step.

>>> import matplotlib.pyplot as plt
>>> figure = plot_ring({"start": np.ones((2, 2)), "end": np.full((2, 2), 2)})
>>> plt.close(figure)
"""

from collections.abc import Mapping, Sequence

import matplotlib.colors
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from nestrade_lib.book.plots.style import BLUE, INK, LIGHT_ORANGE, ORANGE, style
from nestrade_lib.book.simulate import (
    SimulatedCluster,
    Workload,
    efficiency,
    ring_seconds,
    step_seconds,
    throughput,
)

SIGNED = matplotlib.colors.LinearSegmentedColormap.from_list(
    "signed", [BLUE, "#FFFFFF", ORANGE]
)


def plot_split(
    parts: Sequence[np.ndarray], gradients: Sequence[np.ndarray], whole: np.ndarray
) -> Figure:
    """Draw each replica's samples and gradient, their average, and the whole batch's.

    Parameters
    ----------
    parts : list of numpy.ndarray, shape (samples, height, width, 1)
        The images of each replica, as many for each.
    gradients : list of numpy.ndarray, shape (height, width)
        Each replica's gradient of the weights from the pixels to one output.
    whole : numpy.ndarray, shape (height, width)
        The gradient of all samples at once.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> image = np.zeros((2, 3, 4, 4, 1))
    >>> figure = plot_split(list(image), list(image[:, 0, ..., 0]), image[0, 0, ..., 0])
    >>> plt.close(figure)
    """
    rows, columns = len(parts), len(parts[0])
    norm = matplotlib.colors.Normalize(*(np.abs(gradients).max() * np.array([-1, 1])))
    widths = [1] * columns + [0.3, 2, 0.3, 2, 0.3, 2]
    with style():
        figure, axes = plt.subplots(
            rows, len(widths), figsize=(7, 1.15 * rows + 0.3), width_ratios=widths
        )
        for axis in axes.flat:
            axis.axis("off")

        def draw(axis, gradient, title):
            axis.imshow(gradient, SIGNED, norm, interpolation="nearest")
            axis.set_title(title, fontsize=10)

        for n, (row, images, gradient) in enumerate(
            zip(axes, parts, gradients, strict=True)
        ):
            for axis, image in zip(row, images, strict=False):
                axis.imshow(image[..., 0], cmap="gray_r", interpolation="nearest")
            row[columns].text(0.5, 0.5, "→", ha="center", va="center", fontsize=16)
            draw(row[columns + 1], gradient, f"device {n}")
        for column, sign, gradient, title in (
            (columns + 2, "→", np.mean(gradients, axis=0), "their average"),
            (columns + 4, "=", whole, "all at once"),
        ):
            corner, end = (
                axes[0, column].get_position(),
                axes[-1, column].get_position(),
            )
            middle = (corner.y1 + end.y0) / 2
            figure.text(
                (corner.x0 + corner.x1) / 2, middle, sign, ha="center", va="center",
                fontsize=16,
            )  # fmt: skip
            box = axes[0, column + 1].get_position()
            axis = figure.add_axes(
                (box.x0, middle - box.height / 2, box.width, box.height)
            )
            axis.axis("off")
            draw(axis, gradient, title)
    return figure


def plot_ring(rounds: Mapping[str, np.ndarray]) -> Figure:
    """Draw how many devices' numbers are added up in each piece, round by round.

    Parameters
    ----------
    rounds : dict of str to numpy.ndarray, shape (devices, pieces)
        By the title above it.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    See the module's.
    """
    first = next(iter(rounds.values()))
    devices, pieces = first.shape
    columns = min(len(rounds), 4)
    lines = -(-len(rounds) // columns)
    with style():
        width = 1.75 if len(rounds) > 1 else 2.6
        figure, axes = plt.subplots(
            lines, columns, squeeze=False,
            figsize=(width * columns + 0.4, lines * (0.36 * devices + 0.75)),
        )  # fmt: skip
        for axis in axes.flat[len(rounds) :]:
            axis.axis("off")
        for axis, (title, counts) in zip(axes.flat, rounds.items(), strict=False):
            shades = plt.get_cmap("Blues")(0.1 + 0.75 * (counts - 1) / (devices - 1))
            shades[counts == devices] = matplotlib.colors.to_rgba(INK)
            axis.imshow(shades, aspect="auto")
            for (row, column), count in np.ndenumerate(counts):
                ink = "white" if count > devices / 2 else INK
                axis.text(column, row, int(count), ha="center", va="center", color=ink)
            axis.set_xticks(np.arange(pieces + 1) - 0.5, [])
            axis.set_yticks(np.arange(devices), [f"{n}" for n in range(devices)])
            axis.grid(axis="x", color="white", lw=2)
            for edge in np.arange(1, devices) - 0.5:
                axis.axhline(edge, color="white", lw=2)
            axis.tick_params(length=0)
            axis.spines[:].set_visible(False)
            axis.set_title(title, fontsize=10)
        for axis in axes[:, 0]:
            axis.set_ylabel("device")
        figure.tight_layout()
    return figure


def plot_step(
    workload: Workload, cluster: SimulatedCluster, devices: int, until: float
) -> Figure:
    """Draw what one simulated step is made of.

    Parameters
    ----------
    workload : nestrade_lib.book.simulate.Workload
    cluster : nestrade_lib.book.simulate.SimulatedCluster
        With a ring.
    devices : int
    until : float
        Seconds at which the axis ends.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from nestrade_lib.book.simulate import SimulatedCluster, Workload
    >>> network = Workload(batch=64, rate=160, gradient_bytes=100e6)
    >>> figure = plot_step(network, SimulatedCluster(), devices=16, until=1)
    >>> plt.close(figure)
    """
    nbytes = workload.gradient_bytes
    inside = ring_seconds(min(devices, cluster.per_machine), nbytes, cluster.inside)
    machines = cluster.machines(devices)
    between = ring_seconds(machines, nbytes, cluster.between, cluster.latency)
    bars = {
        "compute": (workload.compute_seconds, BLUE),
        "exchange inside machines": (inside, LIGHT_ORANGE),
        "exchange between machines": (between, ORANGE),
        "the whole step": (step_seconds(workload, cluster, devices), INK),
    }
    share = efficiency(workload, cluster, devices)
    rate = throughput(workload, cluster, devices)
    with style():
        figure, axis = plt.subplots(figsize=(5.6, 1.8))
        seconds = [float(value) for value, _ in bars.values()]
        drawn = axis.barh(
            list(bars), seconds, color=[colour for _, colour in bars.values()]
        )
        axis.bar_label(drawn, [f"{value:.2f} s" for value in seconds], padding=3)
        axis.invert_yaxis()
        axis.set(xlim=(0, until), xticks=[])
        axis.spines["bottom"].set_visible(False)
        title = f"simulated: {rate:,.0f} images/s, efficiency {share:.0%}"
        figure.suptitle(title, x=0.02, ha="left", fontsize=11, weight="bold")
        figure.tight_layout()
    return figure


def plot_efficiency(
    cases: Mapping[str, tuple[Workload, SimulatedCluster]], devices: Sequence[int]
) -> Figure:
    """Draw simulated efficiency over the number of devices.

    Parameters
    ----------
    cases : dict of str to (Workload, SimulatedCluster)
        By the label in the legend.
    devices : sequence of int

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from nestrade_lib.book.simulate import SimulatedCluster, Workload
    >>> case = Workload(batch=64, rate=160, gradient_bytes=100e6), SimulatedCluster()
    >>> figure = plot_efficiency({"10 Gbit/s": case}, [1, 8, 64])
    >>> plt.close(figure)
    """
    with style():
        figure, axis = plt.subplots(figsize=(7, 2.8))
        marks = zip(("o-", "s--", "^-.", "v:", "D-"), cases.items(), strict=False)
        for mark, (label, case) in marks:
            axis.plot(
                devices, 100 * efficiency(*case, devices), mark, ms=4, label=label
            )
        axis.set(xscale="log", xlabel="devices", ylabel="efficiency, %", ylim=(0, 104))
        axis.set_xticks(devices, [f"{n:,}" for n in devices])
        axis.minorticks_off()
        axis.legend(loc="lower left")
        figure.tight_layout()
    return figure


def plot_rules(batches: Sequence[int], losses: Mapping[str, np.ndarray]) -> Figure:
    """Draw the loss after training over the batch, one line per learning rate rule.

    Parameters
    ----------
    batches : sequence of int
    losses : dict of str to numpy.ndarray, shape (batches, seeds)
        By the rule's name. The line is the mean, marks are the seeds.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = plot_rules([32, 64], {"unchanged": np.array([[0.2, 0.3], [0.4, 0.4]])})
    >>> plt.close(figure)
    """
    with style():
        figure, axis = plt.subplots(figsize=(7, 2.8))
        marks = zip(("o-", "s--", "^-.", "v:"), losses.items(), strict=False)
        for mark, (rule, values) in marks:
            (line,) = axis.plot(batches, values.mean(axis=1), mark, label=rule)
            for batch, seeds in zip(batches, values, strict=True):
                axis.plot(
                    [batch] * len(seeds), seeds, ".", color=line.get_color(), alpha=0.4
                )
        axis.set(xscale="log", yscale="log", xlabel="batch", ylabel="loss")
        axis.set_xticks(batches, [f"{n:,}" for n in batches])
        axis.set_yticks([0.2, 0.5, 1, 2], ["0.2", "0.5", "1", "2"])
        axis.minorticks_off()
        axis.legend()
        figure.tight_layout()
    return figure

"""Devices that train together: the ring, averages over parts, what a cut saves."""

from collections.abc import Callable

import numpy as np

from nestrade_lib.book.exercises.self_check import self_check
from nestrade_lib.book.simulate import (
    SimulatedCluster,
    Workload,
    efficiency,
    throughput,
)

# VGG-16 at 224 x 224: shares that its convolutions have; dense layers have the rest.
CONVOLUTIONS = {"params": 14_714_688 / 138_357_544, "macs": 15.347 / 15.470}


@self_check
def check_ring_traffic(answer: float) -> None:
    """Check the megabytes that each of 16 devices sends to add up gradients of 400 MB.

    Parameters
    ----------
    answer : float
        Megabytes.

    Examples
    --------
    >>> check_ring_traffic(375)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: after 375 MB each device has the sum of one piece only.
    """
    devices, size = 16, 400
    half = (devices - 1) / devices * size
    assert not np.isclose(answer, half), (
        f"Not yet: after {half:.0f} MB each device has the sum of one piece only."
    )
    assert not np.isclose(answer, (devices - 1) * size), (
        "Not yet: that is what sending everything to everyone takes."
    )
    assert np.isclose(answer, 2 * half), (
        f"Not yet: {answer!r} is not the number of megabytes."
    )
    print("Right: less than twice the gradients, however many devices.")


@self_check
def check_merged_statistics(
    function: Callable[..., tuple[np.ndarray, np.ndarray]],
) -> None:
    """Check a function that makes a batch's statistics from those of its parts.

    Parameters
    ----------
    function : callable
        ``(means, variances, counts) -> (mean, variance)``: of each part, its means and
        variances of shape ``(parts, channels)`` and its number of samples.

    Examples
    --------
    >>> check_merged_statistics(lambda m, v, n: (np.mean(m, 0), np.mean(v, 0)))
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: for parts of [4 4] samples the variance is off by 0.3.
    """
    rng = np.random.default_rng(0)
    for counts in ([4, 4], [16, 16, 16, 16], [4, 3], [1, 7, 20]):
        shifts = np.repeat(rng.normal(size=(len(counts), 3)), counts, axis=0)
        batch = rng.normal(size=(sum(counts), 3)) + shifts
        parts = np.split(batch, np.cumsum(counts)[:-1])
        means = np.stack([part.mean(axis=0) for part in parts])
        variances = np.stack([part.var(axis=0) for part in parts])
        got = function(means, variances, np.array(counts))
        for name, value, expected in zip(
            ("mean", "variance"),
            got,
            (batch.mean(axis=0), batch.var(axis=0)),
            strict=True,
        ):
            value = np.asarray(value)
            assert value.shape == expected.shape, (
                f"Not yet: expected a {name} for each of 3 channels, got shape "
                f"{value.shape}."
            )
            error = np.abs(value - expected).max()
            assert error < 1e-5, (
                f"Not yet: for parts of {np.array(counts)} samples the {name} is off "
                f"by {error:.1g}."
            )
    print("Right: the statistics of the whole batch, and no device has seen all of it.")


@self_check
def check_weighted_average(
    function: Callable[[list[np.ndarray], list[int]], np.ndarray],
) -> None:
    """Check a function from the gradients of parts of a batch to that of the batch.

    Parameters
    ----------
    function : callable
        ``(gradients, counts) -> gradient``: the gradient of each part's mean loss, and
        the samples in each part.

    Examples
    --------
    >>> check_weighted_average(lambda gradients, counts: np.mean(gradients, axis=0))
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: for parts of [4, 3] samples the gradient is off by 0.04.
    """
    rng = np.random.default_rng(0)
    for counts in ([4, 4], [4, 3], [1, 7, 20], [64, 0]):
        samples = rng.normal(size=(sum(counts), 3, 2))
        parts = np.split(samples, np.cumsum(counts)[:-1])
        gradients = [part.sum(axis=0) / max(len(part), 1) for part in parts]
        got, expected = np.asarray(function(gradients, counts)), samples.mean(axis=0)
        assert got.shape == expected.shape, (
            f"Not yet: expected a gradient of shape {expected.shape}, got {got.shape}."
        )
        error = np.abs(got - expected).max()
        assert error < 1e-5, (
            f"Not yet: for parts of {counts} samples the gradient is off by {error:.1g}."
        )
    print("Right: each part counts as much as it has samples.")


@self_check
def check_lighter_vgg(convolutions: float, dense: float) -> None:
    """Check cuts of VGG-16 that let 64 GPUs reach 80 %, at three times the rate.

    Simulated: 64 images per GPU, P100s of 154 images per second in machines of eight, with
    10 Gbit/s between the machines and an overlap of 2.

    Parameters
    ----------
    convolutions, dense : float
        Shares of their weights that are left of the convolutions and of the dense
        layers, at least a quarter and a twentieth.

    Examples
    --------
    >>> check_lighter_vgg(0.25, 0.25)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: 4.0 times as many images per second, at an efficiency of 47 %.
    """
    assert 0.25 <= convolutions <= 1 and 0.05 <= dense <= 1, (
        "Not yet: leave at least 0.25 of the convolutions and 0.05 of the dense layers."
    )
    whole = Workload(batch=64, rate=154, gradient_bytes=4 * 138_357_544)
    cluster = SimulatedCluster(per_machine=8, inside=20e9, between=1.25e9, overlap=2)
    left = {
        cost: share * convolutions + (1 - share) * dense
        for cost, share in CONVOLUTIONS.items()
    }
    smaller = whole.pruned(**left)
    share = float(efficiency(smaller, cluster, 64))
    faster = float(throughput(smaller, cluster, 64) / throughput(whole, cluster, 64))
    assert share >= 0.8 and faster >= 3, (
        f"Not yet: {faster:.1f} times as many images per second, at an efficiency of "
        f"{share:.0%}".replace("%", " %.")
    )
    print(
        f"Right: {faster:.1f} times as many images per second, and {share:.0%} of the ideal."
    )

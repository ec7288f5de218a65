"""Feeding a device: the rate it needs, what a batch costs, shares, whole batches."""

import sys
from collections.abc import Callable

import numpy as np

from nestrade_lib.book.exercises.self_check import self_check


@self_check
def check_needed_rate(answer: float) -> None:
    """Check the images per second that eight devices need, 256 each, in steps of 0.2 s.

    Parameters
    ----------
    answer : float
        Images per second, for all eight together.

    Examples
    --------
    >>> check_needed_rate(1280)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: 1,280 images per second feed one of the eight.
    """
    devices, batch, seconds = 8, 256, 0.2
    assert not np.isclose(answer, batch / seconds), (
        f"Not yet: {answer:,} images per second feed one of the eight."
    )
    assert not np.isclose(answer, devices * batch), (
        f"Not yet: {answer:,} images are the global batch. How many of them per second?"
    )
    assert np.isclose(answer, devices * batch / seconds), (
        f"Not yet: {answer!r} is not the number of images per second."
    )
    print("Right: the global batch divided by the time of a step.")


@self_check
def check_batch_costs(
    function: Callable[[np.ndarray, np.ndarray], tuple[float, float]],
) -> None:
    """Check a function that finds a feeder's cost per batch and per image from its rates.

    Parameters
    ----------
    function : callable
        ``(sizes, rates) -> (per_batch, per_image)``, in seconds: batch sizes, and the
        images per second measured with each.

    Examples
    --------
    >>> check_batch_costs(lambda sizes, rates: (0, np.mean(1 / rates)))
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: expected 0.001 s per batch, got 0 s.
    """
    for per_batch, per_image, sizes in (
        (1e-3, 1e-6, [16, 1024]),
        (2e-4, 5e-6, [1, 10, 100, 1000]),
        (0.0, 1e-5, [32, 64, 128]),
    ):
        sizes = np.array(sizes)
        rates = sizes / (per_batch + per_image * sizes)
        got = function(sizes.copy(), rates)
        for value, expected, of in zip(
            got, (per_batch, per_image), ("batch", "image"), strict=True
        ):
            assert np.isclose(value, expected, rtol=1e-6, atol=1e-9), (
                f"Not yet: expected {expected:.3g} s per {of}, got {value:.3g} s."
            )
    print("Right: a straight line, in seconds per batch over images per batch.")


@self_check
def check_worker_rows(function: Callable[..., list]) -> None:
    """Check a function that says which samples a worker takes, batch by batch.

    Parameters
    ----------
    function : callable
        ``(samples, batch_size, seed, epoch, index, count) -> list of rows``: for each
        step of the epoch, the samples of the global batch that worker `index` of
        `count` takes. `batch_size` divides `samples`, and `count` divides it.

    Examples
    --------
    >>> def unseeded(samples, batch_size, seed, epoch, index, count):
    ...     order = np.random.default_rng(index).permutation(samples)
    ...     return order[index::count].reshape(-1, batch_size // count)
    >>> check_worker_rows(unseeded)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: with 2 workers, sample 0 comes 2 times in epoch 0.
    """
    for count, batch_size, samples in [(2, 4, 24), (1, 5, 20), (3, 6, 60), (4, 4, 32)]:
        epochs = []
        for epoch in (0, 1):
            settings = samples, batch_size, 7, epoch
            shares = [function(*settings, index, count) for index in range(count)]
            shape = samples // batch_size, batch_size // count
            for share in shares:
                got = np.shape(share)
                assert got == shape, (
                    f"Not yet: for {samples} samples in batches of {batch_size} on "
                    f"{count} workers expected {shape[0]} rows of {shape[1]}, got "
                    f"shape {got}."
                )
            rows = np.concatenate(shares, axis=1)
            times = np.bincount(rows.ravel(), minlength=samples)
            assert len(times) == samples and (times == 1).all(), (
                f"Not yet: with {count} workers, sample {np.argmax(times != 1)} comes "
                f"{times[np.argmax(times != 1)]} times in epoch {epoch}."
            )
            whole = np.reshape(function(*settings, 0, 1), rows.shape)
            assert np.array_equal(np.sort(rows), np.sort(whole)), (
                f"Not yet: the global batches of {count} workers are not those of one."
            )
            epochs.append(rows)
        assert not np.array_equal(*epochs), "Not yet: both epochs have the same order."
        assert not np.array_equal(
            epochs[0].ravel(), np.concatenate(function(samples, batch_size, 8, 0, 0, 1))
        ), "Not yet: another seed has to give another order."
    print("Right: one order for all, and a part of it for each.")


@self_check
def check_shifted(function: Callable[[np.ndarray, int], np.ndarray]) -> None:
    """Check a function that moves each image of a batch by a random step, all at once.

    Parameters
    ----------
    function : callable
        ``(images, seed) -> images``: each image is moved by -2 to 2 pixels down and
        right, by an amount of its own; what comes in at the edges is 0. Shape
        ``(n, height, width, 1)`` and type stay.

    Examples
    --------
    >>> def rolled(images, seed):
    ...     return np.stack([np.roll(image, 1, axis=0) for image in images])
    >>> check_shifted(rolled)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: image 0 is not a shifted copy with zeros at its edges.
    """
    rng = np.random.default_rng(0)
    images = rng.integers(1, 256, (500, 12, 9, 1), dtype=np.uint8)
    function(images[:10].copy(), 0)  # imports happen once, and do not count
    few, _ = _counted(function, images[:100])
    all_at_once, moved = _counted(function, images)
    moved = np.asarray(moved)
    assert moved.shape == images.shape and moved.dtype == images.dtype, (
        f"Not yet: expected {images.dtype} of shape {images.shape}, got {moved.dtype} "
        f"of shape {moved.shape}."
    )
    shifts = [_shift(*pair) for pair in zip(images, moved, strict=True)]
    assert None not in shifts, (
        f"Not yet: image {shifts.index(None)} is not a shifted copy with zeros at its "
        "edges."
    )
    assert len(set(shifts)) == 25, (
        f"Not yet: {len(set(shifts))} of the 25 shifts occur among 500 images."
    )
    assert np.array_equal(moved, function(images.copy(), 0)), (
        "Not yet: the same seed has to move the images alike."
    )
    assert not np.array_equal(moved, function(images.copy(), 1)), (
        "Not yet: another seed has to move them differently."
    )
    assert all_at_once < few + 100, (
        f"Not yet: right, but one by one: {all_at_once:,} lines and calls for "
        f"{len(images)} images, {few:,} for 100."
    )
    print(f"Right: {len(images)} images, in as many lines and calls as 100.")


def _counted(function, images):
    """How many lines and calls of Python a function takes, and what it returns."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += event in ("call", "line")
        return trace

    def profile(frame, event, argument):
        nonlocal count
        count += event == "c_call"

    before = sys.gettrace(), sys.getprofile()
    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        returned = function(images.copy(), 0)
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
    return count, returned


def _shift(image, moved):
    """How far `moved` is `image` moved down and right, or None."""
    height, width, _ = image.shape
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)))
    for down in range(-2, 3):
        for right in range(-2, 3):
            window = padded[2 - down :, 2 - right :][:height, :width]
            if np.array_equal(window, moved):
                return down, right
    return None

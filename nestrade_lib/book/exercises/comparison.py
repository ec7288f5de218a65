"""Comparing methods: intervals of paired runs, Pareto fronts, and what a cut leaves of a time."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from nestrade_lib.book.exercises.self_check import self_check


@self_check
def check_fixed_time(milliseconds: float) -> None:
    """Check the part of 8 ms that no cut shortens, if a tenth of the MACs takes 3.5 ms.

    Parameters
    ----------
    milliseconds : float

    Examples
    --------
    >>> check_fixed_time(3.5)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: of 3.5 ms, a tenth of the work still takes its share.
    """
    assert not np.isclose(milliseconds, 3.5), (
        "Not yet: of 3.5 ms, a tenth of the work still takes its share."
    )
    assert np.isclose(milliseconds, 3.0), (
        f"Not yet: with {milliseconds} ms fixed, the two times do not fit."
    )
    print("Right: 3 ms fixed, 5 ms of work; a tenth of it leaves 3.5 ms.")


@self_check
def check_paired_interval(
    function: Callable[[np.ndarray, np.ndarray], tuple[float, float]],
) -> None:
    """Check a function that gives the 95 % interval of a paired difference of three seeds.

    Parameters
    ----------
    function : callable
        ``(errors, others) -> (low, high)`` of the mean of ``errors - others``, arrays of
        the same three seeds; Student's t for two degrees of freedom is 4.303.

    Examples
    --------
    >>> check_paired_interval(lambda errors, others: (0.0, 0.0))
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: for [1, 2, 3] and [0, 1, 2] expected 1 to 1, got 0 to 0.
    """
    for errors, others in (([1, 2, 3], [0, 1, 2]), ([1.0, 1.3, 1.6], [0.9, 1.4, 1.0])):
        low, high = function(np.array(errors), np.array(others))
        differences = np.subtract(errors, others)
        half = 4.303 * differences.std(ddof=1) / 3**0.5
        expected = differences.mean() - half, differences.mean() + half
        assert np.allclose((low, high), expected, rtol=1e-3), (
            f"Not yet: for {errors} and {others} expected {expected[0]:.3g} to "
            f"{expected[1]:.3g}, got {low:.3g} to {high:.3g}."
        )
    print("Right: what all runs of a seed have in common drops out.")


@self_check
def check_front(
    function: Callable[[Mapping[str, tuple[float, float]]], Iterable[str]],
) -> None:
    """Check a function that gives the names on a Pareto front.

    Parameters
    ----------
    function : callable
        ``points -> names``, where `points` are pairs of cost and error by name. A point
        is on the front unless another one is as good in both, and better in one.

    Examples
    --------
    >>> check_front(list)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: 'c' is not on the front, since 'b' is better in both.
    """
    points = {
        "a": (1, 5),
        "b": (2, 3),
        "c": (3, 4),
        "d": (4, 1),
        "e": (4, 2),
        "f": (3, 3),
        "g": (2, 3),
    }
    names = function(points)
    assert not isinstance(names, str), "Not yet: expected a list of names, got a text."
    names = set(names)
    assert "c" not in names, (
        "Not yet: 'c' is not on the front, since 'b' is better in both."
    )
    assert "e" not in names, "Not yet: 'd' costs as much as 'e' and errs less."
    assert "f" not in names, "Not yet: 'b' errs as little as 'f' and costs less."
    assert {"b", "g"} <= names, "Not yet: neither of 'b' and 'g' beats the other."
    assert names == {"a", "b", "d", "g"}, f"Not yet: {sorted(names)} is not the front."
    print("Right: each point of the front is the best for somebody.")


@self_check
def check_seeds_needed(seeds: int) -> None:
    """Check how many seeds bring a 95 % interval of ±0.05, if differences spread by 0.1.

    Parameters
    ----------
    seeds : int

    Examples
    --------
    >>> check_seeds_needed(16)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: 1.96 is the quantile of very many seeds. Take Student's t.
    """
    assert seeds not in (15, 16), (
        "Not yet: 1.96 is the quantile of very many seeds. Take Student's t."
    )
    assert seeds == 18, f"Not yet: {seeds} is not the smallest number that suffices."
    print("Right: half of the width costs four times the seeds, and a little more.")

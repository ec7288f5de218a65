"""Training to a budget: its path, scores of one's own, and results with their spread."""

from collections.abc import Callable, Sequence

import keras
import numpy as np

from nestrade_lib.book.exercises.accuracy import require_accuracy
from nestrade_lib.book.exercises.self_check import self_check
from nestrade_lib.costs import count_costs
from nestrade_lib.dependency import ChannelGraph, trace
from nestrade_lib.schedule import Budget


@self_check
def check_budget_path(macs: float, params: float) -> None:
    """Check what ``Budget(macs=0.25, params=0.05)`` allows halfway, in percent.

    Parameters
    ----------
    macs, params : float

    Examples
    --------
    >>> check_budget_path(62.5, 52.5)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: that is halfway along a straight path. This one is a cubic.
    """
    halfway = (62.5, 52.5)
    assert not np.allclose((macs, params), halfway), (
        "Not yet: that is halfway along a straight path. This one is a cubic."
    )
    allowed = Budget(macs=0.25, params=0.05).path(0.5)
    expected = 100 * allowed["macs"], 100 * allowed["params"]
    assert np.allclose((macs, params), expected), (
        f"Not yet: {macs} and {params} percent are not what is allowed."
    )
    print("Right: the first half removes most of what is to go.")


@self_check
def check_reading_scores(
    function: Callable[[keras.Model, ChannelGraph], np.ndarray],
) -> None:
    """Check scores by the L1 norm of the weights that read a channel.

    Parameters
    ----------
    function : callable
        ``(network, graph) -> scores``.

    Examples
    --------
    >>> check_reading_scores(lambda network, graph: np.ones(graph.count))
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: expected scores that sum to 15.0, got 5.0.
    """
    layers = [keras.Input((4,)), keras.layers.Dense(5), keras.layers.Dense(3)]
    network = keras.Sequential(layers)
    network.layers[1].kernel.assign(-np.ones((5, 3)))
    scores = np.asarray(function(network, trace(network)), float)
    assert np.isclose(scores.sum(), 15), (
        f"Not yet: expected scores that sum to 15.0, got {scores.sum()}."
    )
    network.layers[1].kernel.assign(np.arange(5)[:, None] * np.ones((5, 3)))
    scores = np.asarray(function(network, trace(network)), float)
    assert np.allclose(scores, 3.0 * np.arange(5)), (
        f"Not yet: for readers of weight 0 to 4 expected 0, 3, ... 12, got {scores}."
    )
    print("Right: a channel that nothing reads does not matter.")


@self_check
def check_mean_and_spread(
    function: Callable[[Sequence[float]], tuple[float, float]],
) -> None:
    """Check a function ``errors -> (mean, standard deviation)`` of a few runs.

    Parameters
    ----------
    function : callable
        Takes a sequence of at least two floats.

    Examples
    --------
    >>> check_mean_and_spread(lambda errors: (np.mean(errors), np.std(errors)))
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: for [0.5, 0.7] the spread is not 0.1. By what do you divide?
    """
    for errors in ([0.5, 0.7], [0.85, 0.79, 0.94, 0.9, 0.76]):
        mean, spread = map(float, function(list(errors)))
        assert np.isclose(mean, np.mean(errors)), (
            f"Not yet: for {errors} the mean is not {round(mean, 4)}."
        )
        assert np.isclose(spread, np.std(errors, ddof=1)), (
            f"Not yet: for {errors} the spread is not {round(spread, 4)}. "
            "By what do you divide?"
        )
    print("Right: the squares are divided by one less than the number of runs.")


@self_check
def check_two_budgets(
    network: keras.Model, x_test: np.ndarray, y_test: np.ndarray
) -> None:
    """Check a LeNet-5 with 6.7 % of the MACs and 1 % of the parameters that still reads 96 %.

    Parameters
    ----------
    network : keras.Model or Nestrade
        Trained, from images to ten logits.
    x_test, y_test : numpy.ndarray
        The test set.

    Examples
    --------
    >>> from nestrade_lib import create_model
    >>> check_two_budgets(create_model((28, 28, 1), 10), None, None)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: 2,293,000 MACs are more than 153,631.
    """
    costs = count_costs(network)
    for name, cost, limit in [
        ("MACs", costs.macs, int(0.067 * 2_293_000)),
        ("parameters", costs.params, int(0.01 * 431_080)),
    ]:
        assert cost <= limit, f"Not yet: {cost:,} {name} are more than {limit:,}."
    require_accuracy(network, x_test, y_test, 0.96)
    print("Right: within both budgets, and still above 96 % of the digits.")

"""Training to a budget: its path, and scores of one's own."""

from collections.abc import Callable

import keras
import numpy as np

from nestrade_lib.dependency import ChannelGraph, trace
from nestrade_lib.schedule import Budget


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
    AssertionError: Not yet: that is half of the way down. The path is a cubic.
    """
    halfway = (62.5, 52.5)
    assert not np.allclose((macs, params), halfway), (
        "Not yet: that is half of the way down. The path is a cubic."
    )
    allowed = Budget(macs=0.25, params=0.05).path(0.5)
    expected = 100 * allowed["macs"], 100 * allowed["params"]
    assert np.allclose((macs, params), expected), (
        f"Not yet: {macs} and {params} percent are not what is allowed."
    )
    print("Right: most of the way is gone in the first half.")


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
    print("Right: what nobody reads does not matter.")

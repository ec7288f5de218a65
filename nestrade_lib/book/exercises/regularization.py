"""What a penalty does to weights."""

from collections.abc import Callable, Sequence

import keras
import numpy as np

from nestrade_lib.book.exercises.accuracy import require_accuracy
from nestrade_lib.book.exercises.self_check import self_check


@self_check
def check_soft_threshold(answer: Sequence[float]) -> None:
    """Check what an L1 step of 0.5 makes of the weights 0.3, -1.2 and 0.8.

    Parameters
    ----------
    answer : sequence of three float

    Examples
    --------
    >>> check_soft_threshold([0.0, -1.2, 0.8])
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: the second weight is still -1.2. A step takes from each.
    """
    names = ("first", "second", "third")
    assert len(answer) == 3, f"Not yet: expected three numbers, got {len(answer)}."
    for name, got, before in zip(names, answer, (0.3, -1.2, 0.8), strict=True):
        assert got != before, (
            f"Not yet: the {name} weight is still {before}. A step takes from each."
        )
        expected = float(np.sign(before) * max(abs(before) - 0.5, 0))
        assert np.isclose(got, expected), f"Not yet: the {name} weight is not {got}."
    print("Right: half a unit closer to zero, and never past it.")


@self_check
def check_elastic_step(
    function: Callable[[np.ndarray, float, float], np.ndarray],
) -> None:
    """Check a step ``(x, t, s) -> z`` that minimizes ``½(z-x)² + t·|z| + ½s·z²``.

    Parameters
    ----------
    function : callable
        Takes an array and two floats of at least 0; returns an array.

    Examples
    --------
    >>> check_elastic_step(lambda x, t, s: x / (1 + s))
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: for x = 1.5, t = 0.5 and s = 1 there is a better z than 0.75.
    """
    z = np.linspace(-3, 3, 6001)
    for x, t, s in [(1.5, 0.5, 1), (-2, 1, 0.5), (0.2, 0.5, 1), (1, 0, 3), (2, 1, 0)]:
        got = np.asarray(function(np.array([float(x)]), t, s)).item()
        costs = [0.5 * (v - x) ** 2 + t * np.abs(v) + 0.5 * s * v**2 for v in (got, z)]
        assert costs[0] <= costs[1].min() + 1e-6, (
            f"Not yet: for x = {x}, t = {t} and s = {s} there is a better z "
            f"than {round(got, 4)}."
        )
    print("Right: first the length, then the share.")


@self_check
def check_dropout_variance(
    function: Callable[[np.ndarray, np.ndarray, float], float],
) -> None:
    """Check a function ``(weights, inputs, p) -> variance`` of a unit under dropout.

    Parameters
    ----------
    function : callable
        Takes two arrays of one length and the share that is dropped; returns a float.

    Examples
    --------
    >>> check_dropout_variance(lambda weights, inputs, p: 0.0)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: for weights [1.0], inputs [2.0] and p = 0.5 expected 4.0, got 0.0.
    """
    rng = np.random.default_rng(0)
    cases = [([1.0], [2.0], 0.5), (rng.normal(size=4), rng.normal(size=4), 0.2)]
    for weights, inputs, p in cases:
        weights, inputs = np.array(weights), np.array(inputs)
        expected = p / (1 - p) * (weights**2 * inputs**2).sum()
        got = np.asarray(function(weights, inputs, p)).item()
        assert np.isclose(got, expected), (
            f"Not yet: for weights {np.round(weights, 2).tolist()}, inputs "
            f"{np.round(inputs, 2).tolist()} and p = {p} expected "
            f"{np.round(expected, 4)}, got {np.round(got, 4)}."
        )
    print("Right: the squares of weight times input, times p over 1 - p.")


@self_check
def check_few_units(
    network: keras.Model, x_test: np.ndarray, y_test: np.ndarray
) -> None:
    """Check a network of at most 12 units in layer ``hidden`` that reads 89 % of digits.

    Parameters
    ----------
    network : keras.Model
        Trained, from 784 pixels to ten logits. Units count if their weights are not 0.
    x_test, y_test : numpy.ndarray
        The test set.

    Examples
    --------
    >>> hidden = keras.layers.Dense(64, name="hidden")
    >>> network = keras.Sequential([keras.Input((784,)), hidden])
    >>> check_few_units(network, None, None)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: 64 units of 'hidden' are at work, more than 12.
    """
    kernel = keras.ops.convert_to_numpy(network.get_layer("hidden").kernel)
    units = int(np.abs(kernel).any(axis=0).sum())
    assert units <= 12, f"Not yet: {units} units of 'hidden' are at work, more than 12."
    require_accuracy(network, x_test, y_test, 0.89)
    print("Right: few units, and nearly all of the accuracy.")

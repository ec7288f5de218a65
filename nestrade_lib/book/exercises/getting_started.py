"""What a layer costs, a penalty, a softmax, and a small network."""

from collections.abc import Callable

import keras
import numpy as np

from nestrade_lib.book.exercises.accuracy import require_accuracy
from nestrade_lib.book.exercises.self_check import self_check
from nestrade_lib.costs import count_costs


@self_check
def check_convolution_macs(answer: int) -> None:
    """Check the MACs of a 3×3 convolution with 32 filters, "same", on 28×28×1.

    Parameters
    ----------
    answer : int

    Examples
    --------
    >>> check_convolution_macs(3 * 3 * 32)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: 288 MACs are those of one output position.
    """
    layers = [keras.Input((28, 28, 1)), keras.layers.Conv2D(32, 3, padding="same")]
    macs = count_costs(keras.Sequential(layers)).macs
    assert answer != macs // (28 * 28), (
        f"Not yet: {answer:,} MACs are those of one output position."
    )
    assert answer != macs * 26 * 26 // (28 * 28), (
        f'Not yet: {answer:,} MACs are those of "valid" padding.'
    )
    assert answer == macs, f"Not yet: {answer!r} is not the number of MACs."
    print("Right: each weight is used once per position.")


@self_check
def check_l1_penalty(function: Callable[[np.ndarray, float], float]) -> None:
    """Check a function ``(kernel, strength) -> penalty`` against Keras' L1.

    Parameters
    ----------
    function : callable
        Takes an array of any shape and a float; returns a float.

    Examples
    --------
    >>> check_l1_penalty(lambda kernel, strength: strength * (kernel**2).sum())
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: for the kernel [-2.0] and strength 0.5 expected 1.0, got 2.0.
    """
    rng = np.random.default_rng(0)
    kernels = [
        np.array([-2.0]),
        *(rng.normal(size=s) for s in [(3,), (4, 5), (2, 2, 3)]),
    ]
    for kernel in kernels:
        expected = 0.5 * np.abs(kernel).sum()
        got = float(function(kernel, 0.5))
        assert np.isclose(got, expected), (
            f"Not yet: for the kernel {np.round(kernel, 2).tolist()} and strength 0.5 "
            f"expected {np.round(expected, 4)}, got {np.round(got, 4)}."
        )
    print("Right: the sum of all distances from zero.")


@self_check
def check_softmax(function: Callable[[np.ndarray], np.ndarray]) -> None:
    """Check a function from logits ``(batch, classes)`` to probabilities.

    Parameters
    ----------
    function : callable
        Takes an array and returns an array of the same shape.

    Examples
    --------
    >>> check_softmax(lambda logits: logits / logits.sum(axis=1, keepdims=True))
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: for the logits [0.0, 0.0] expected [0.5, 0.5], got [nan, nan].
    """
    rng = np.random.default_rng(0)
    batches = [
        [[0, 0]],
        [[1, 2, 3]],
        [[1000, 1000]],
        [[-1000, 0]],
        rng.normal(size=(4, 5)),
    ]
    for batch in batches:
        logits = np.array(batch, float)
        expected = np.exp(logits - logits.max(axis=1, keepdims=True))
        expected /= expected.sum(axis=1, keepdims=True)
        with np.errstate(all="ignore"):
            got = np.asarray(function(logits.copy()), float)
        assert got.shape == expected.shape, (
            f"Not yet: for logits of shape {expected.shape} the result has shape {got.shape}."
        )
        for row, want, have in zip(logits, expected, got, strict=True):
            assert np.allclose(want, have), (
                f"Not yet: for the logits {np.round(row, 2).tolist()} expected "
                f"{np.round(want, 3).tolist()}, got {np.round(have, 3).tolist()}."
            )
    print("Right: every row adds up to one, however large its logits are.")


@self_check
def check_small_network(
    model: keras.Model, x_test: np.ndarray, y_test: np.ndarray
) -> None:
    """Check a network with a tenth of LeNet-5's MACs that still reads 97 % of digits.

    Parameters
    ----------
    model : keras.Model
        Trained, from images to ten logits.
    x_test, y_test : numpy.ndarray
        The test set, pixels as the model was trained on.

    Examples
    --------
    >>> from nestrade_lib import create_model
    >>> check_small_network(create_model((28, 28, 1), 10), None, None)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: 2,293,000 MACs are more than 229,300.
    """
    macs = count_costs(model).macs
    assert macs <= 229_300, f"Not yet: {macs:,} MACs are more than 229,300."
    require_accuracy(model, x_test, y_test, 0.97)
    print("Right: small and good. The book makes such networks out of large ones.")

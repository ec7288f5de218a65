"""What belongs to a channel, and what cutting it saves."""

from collections.abc import Callable

import keras
import numpy as np

from nestrade_lib.book.exercises.self_check import self_check
from nestrade_lib.dependency import UnsupportedLayer, trace
from nestrade_lib.surgery import RefusedCut, restructure


@self_check
def check_channel_parameters(answer: int) -> None:
    """Check how many parameters go with one channel of LeNet-5's first convolution.

    Parameters
    ----------
    answer : int

    Examples
    --------
    >>> check_channel_parameters(26)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: 26 parameters produce the channel. What reads it?
    """
    made, read = 5 * 5 * 1 + 1, 5 * 5 * 1 * 50
    assert answer != made, (
        f"Not yet: {answer} parameters produce the channel. What reads it?"
    )
    assert answer != read + made - 1, (
        "Not yet: one number is missing. What else produces the channel?"
    )
    assert answer == made + read, (
        f"Not yet: {answer!r} is not the number of parameters."
    )
    print("Right: few numbers make a channel, many read it.")


@self_check
def check_lenet_macs(function: Callable[[int, int, int], int]) -> None:
    """Check a function ``(conv1, conv2, dense1) -> MACs`` of LeNet-5's widths.

    Parameters
    ----------
    function : callable
        Takes three whole numbers.

    Examples
    --------
    >>> check_lenet_macs(lambda conv1, conv2, dense1: 2_293_000)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: for widths 5, 10 and 16 expected 154,720, got 2,293,000.
    """
    for one, two, three in [(20, 50, 500), (5, 10, 16), (1, 1, 1), (7, 30, 45)]:
        expected = 24**2 * 25 * one + 8**2 * 25 * one * two
        expected += 4**2 * two * three + 10 * three
        got = function(one, two, three)
        assert got == expected, (
            f"Not yet: for widths {one}, {two} and {three} expected {expected:,}, "
            f"got {got:,}."
        )
    print("Right: you know the cost without building the network.")


@self_check
def check_kept_rows(function: Callable[[np.ndarray, int], np.ndarray]) -> None:
    """Check a function ``(mask, positions) -> rows`` that stay after a flatten.

    Parameters
    ----------
    function : callable
        Takes an array of bool, one per channel, and the number of positions; returns
        the indices of the features that stay.

    Examples
    --------
    >>> check_kept_rows(lambda mask, positions: np.flatnonzero(np.repeat(mask, positions)))
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: for the mask [True, False] and 2 positions expected [0, 2], got [0, 1].
    """
    for pattern, positions in [("10", 2), ("011", 4), ("1", 3), ("00", 2)]:
        mask = np.array([bit == "1" for bit in pattern])
        expected = np.flatnonzero(np.tile(mask, positions)).tolist()
        got = np.asarray(function(mask.copy(), positions)).tolist()
        assert got == expected, (
            f"Not yet: for the mask {mask.tolist()} and {positions} positions "
            f"expected {expected}, got {got}."
        )
    print("Right: the pattern of the channels repeats at every position.")


@self_check
def check_layer_rule(kind: type[keras.layers.Layer]) -> None:
    """Check that a layer class of your own has a rule under which a cut is exact.

    A network around it is traced, some of its channels are cut, and `restructure` compares
    the two.

    Parameters
    ----------
    kind : type
        A layer class, made without arguments, that keeps the shape of images.

    Examples
    --------
    >>> class Unknown(keras.layers.Layer):
    ...     def build(self, shape):
    ...         self.gain = self.add_weight(shape=shape[-1:])
    ...     def call(self, x):
    ...         return self.gain * x
    >>> check_layer_rule(Unknown)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: no rule is registered for Unknown.
    """
    assert not kind.__module__.startswith("keras."), (
        f"Not yet: {kind.__name__} is a layer of Keras. Write one of your own."
    )
    network = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(8, 3, activation="relu"),
            kind(),
            keras.layers.Flatten(),
            keras.layers.Dense(4),
        ]
    )
    try:
        graph = trace(network, strict=True)
    except UnsupportedLayer:
        raise AssertionError(
            f"Not yet: no rule is registered for {kind.__name__}."
        ) from None
    assert graph.count == 8, f"Not yet: {graph.count} of 8 channels may be cut."
    try:
        restructure(network, np.arange(8) % 3 > 0, graph)
    except RefusedCut as error:
        raise AssertionError(f"Not yet: {error}") from None
    print("Right: the smaller network computes the same function.")

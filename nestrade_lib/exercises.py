"""Self-checks for the book's exercises: they work offline and say what is off.

Each takes the reader's answer and returns nothing but praise, or raises an
`AssertionError` that tells what was expected and what came, without the solution.
"""

import keras
import numpy as np

from nestrade_lib.costs import count_costs
from nestrade_lib.dependency import trace
from nestrade_lib.schedule import Budget


def check_convolution_macs(answer):
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
    print("Right: one weight, one use a position.")


def check_l1_penalty(function):
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


def check_small_network(model, x_test, y_test):
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
    logits = model.predict(x_test, batch_size=1000, verbose=0)
    accuracy = float((logits.argmax(axis=1) == y_test).mean())
    assert accuracy >= 0.97, f"Not yet: {accuracy:.1%} of the test digits, not 97 %."
    print("Right: small and good. The book makes such networks out of large ones.")


def check_soft_threshold(answer):
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
    for name, got, before in zip(names, answer, (0.3, -1.2, 0.8), strict=True):
        assert got != before, (
            f"Not yet: the {name} weight is still {before}. A step takes from each."
        )
        expected = float(np.sign(before) * max(abs(before) - 0.5, 0))
        assert np.isclose(got, expected), f"Not yet: the {name} weight is not {got}."
    print("Right: half a unit nearer to zero, and never past it.")


def check_elastic_step(function):
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
        got = float(function(np.array([float(x)]), t, s)[0])
        costs = [0.5 * (v - x) ** 2 + t * np.abs(v) + 0.5 * s * v**2 for v in (got, z)]
        assert costs[0] <= costs[1].min() + 1e-6, (
            f"Not yet: for x = {x}, t = {t} and s = {s} there is a better z "
            f"than {round(got, 4)}."
        )
    print("Right: first the length, then the share.")


def check_few_units(network, x_test, y_test):
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
    logits = network.predict(x_test, batch_size=1000, verbose=0)
    accuracy = float((logits.argmax(axis=1) == y_test).mean())
    assert accuracy >= 0.89, f"Not yet: {accuracy:.1%} of the test digits, not 89 %."
    print("Right: few units, and nearly all of the accuracy.")


def check_channel_parameters(answer):
    """Check how many parameters go with one channel of LeNet-5's first convolution.

    Parameters
    ----------
    answer : int

    Examples
    --------
    >>> check_channel_parameters(26)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: 26 parameters make the channel. Who reads it?
    """
    made, read = 5 * 5 * 1 + 1, 5 * 5 * 1 * 50
    assert answer != made, (
        f"Not yet: {answer} parameters make the channel. Who reads it?"
    )
    assert answer != read + made - 1, (
        "Not yet: one number is missing. What else is made?"
    )
    assert answer == made + read, (
        f"Not yet: {answer!r} is not the number of parameters."
    )
    print("Right: few numbers make a channel, many read it.")


def check_lenet_macs(function):
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
    print("Right: nothing needs to be built to know what it would cost.")


def check_layer_rule(kind):
    """Check that a layer class of your own has a rule under which a cut is exact.

    A network around it is traced, half of its channels are cut, and the proof compares
    the two.

    Parameters
    ----------
    kind : type
        A layer class, made without arguments, that keeps the shape of images.

    Examples
    --------
    >>> class Unknown(keras.layers.Layer):
    ...     def call(self, x):
    ...         return x[..., ::-1]
    >>> check_layer_rule(Unknown)
    Traceback (most recent call last):
        ...
    AssertionError: Not yet: no rule is registered for Unknown.
    """
    from nestrade_lib.dependency import UnsupportedLayer, trace
    from nestrade_lib.surgery import RefusedCut, restructure

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
        graph = trace(network)
    except UnsupportedLayer:
        raise AssertionError(
            f"Not yet: no rule is registered for {kind.__name__}."
        ) from None
    assert graph.count == 8, f"Not yet: {graph.count} of 8 channels may be cut."
    try:
        restructure(network, np.arange(8) % 3 > 0, graph)
    except RefusedCut as error:
        raise AssertionError(f"Not yet: {error}") from None
    print("Right: the smaller network is the same function.")


def check_budget_path(macs, params):
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


def check_reading_scores(function):
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

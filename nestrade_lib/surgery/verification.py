"""Verification: outputs, gradients and the next step are those of the original.

The original is evaluated with the slices that produce cut channels at zero,
through Keras' stateless calls: neither network nor optimizer is changed.
"""

import itertools

import keras
import numpy as np

from nestrade_lib.arrays import require_inputs
from nestrade_lib.dependency import ChannelGraph, graph_of
from nestrade_lib.internals import trained_variables
from nestrade_lib.names import variable_paths
from nestrade_lib.surgery.evaluation import Evaluation, compiled, full_precision
from nestrade_lib.surgery.optimizer import decayed, replicate
from nestrade_lib.surgery.probes import parts_of, random_inputs
from nestrade_lib.surgery.rebuild import paired_variables
from nestrade_lib.surgery.rounding import (
    EXPLAINS,
    beyond_rounding,
    last_bit,
    nudged,
    tolerance,
)
from nestrade_lib.surgery.slices import EVERY_ROLE, Slices, values
from nestrade_lib.variables import value


def verify(
    original: keras.Model,
    smaller: keras.Model,
    mask: np.ndarray,
    probe=None,
    graph: ChannelGraph | None = None,
) -> dict[str, float]:
    """The largest relative differences between a cut network and its original.

    Parameters
    ----------
    original : keras.Model
        Compared with the slices that produce cut channels at zero.
    smaller : keras.Model
        What ``nestrade_lib.surgery.cut`` made of it.
    mask : array of bool, shape (graph.count,)
    probe : array or structure of arrays, optional
        Inputs, a few samples; random ones by default.
    graph : ChannelGraph, optional

    Returns
    -------
    dict of str to float
        ``outputs`` (inference); ``gradients`` of a random linear function of the
        outputs, in training mode unless the network draws random numbers or
        batch statistics amplify rounding;
        ``step``, the optimizer's next step given the same gradients, where there
        is one. Where the last bits of its own inputs and weights move the original by
        more than is allowed, a difference counts as the part of that which it is.

    Examples
    --------
    >>> import keras, numpy as np
    >>> from nestrade_lib.surgery import cut, verify
    >>> network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6),
    ...                             keras.layers.Dense(2)])
    >>> mask = np.arange(6) < 3
    >>> errors = verify(network, cut(network, mask), mask)
    >>> sorted(errors), max(errors.values()) < 1e-5
    (['gradients', 'outputs'], True)
    """
    return compare(original, smaller, mask, probe, graph)[0]


def compare(original, smaller, mask, probe=None, graph=None):
    """The differences of :func:`verify`; and of what, by how much, the last bits move too far."""
    comparison = Comparison(original, smaller, mask, probe, graph)
    with full_precision():
        errors = {"outputs": comparison.outputs()}
        gradients, errors["gradients"] = comparison.closest_gradients()
        if original.compiled and original.optimizer.built:
            errors["step"] = comparison.step(gradients)
    return errors, comparison.coarse


def compare_outputs(original, smaller, mask, probe=None, graph=None):
    """The same of the outputs alone, in a tenth of the time."""
    comparison = Comparison(original, smaller, mask, probe, graph)
    with full_precision():
        return {"outputs": comparison.outputs()}, comparison.coarse


class Comparison:
    """A network whose cut channels are zero beside the one without them."""

    def __init__(self, original, smaller, mask, probe=None, graph=None):
        graph = graph_of(original, graph)
        if probe is not None:
            require_inputs("probe", probe, original)
        self.original, self.smaller = original, smaller
        self.slices = Slices(graph, mask, original)
        self.pairs = list(paired_variables(original, smaller))
        paths = variable_paths(smaller.variables)
        self.twins = {self.slices.path(old): paths[id(new)] for old, new in self.pairs}
        self.weights = {
            path: self.slices.zeroed(path, array)
            for path, array in values(original).items()
        }
        self.kept_weights = values(smaller)
        self.expected, self.tested = Evaluation(original), Evaluation(smaller)
        # Few samples each: see parts_of. A wrong cut shows in each draw, a kink in one.
        self.draws = (random_inputs(original, seed=seed) for seed in range(4))
        self.probe = next(self.draws) if probe is None else probe
        self.allowed = tolerance(original)
        self.coarse = {}  # what rounds too coarsely to be compared

    def outputs(self):
        """The largest difference in inference mode, on the first inputs that settle it."""
        least = np.inf
        for probe in itertools.chain([self.probe], itertools.islice(self.draws, 1)):
            expected = self.expected.infer(self.weights, probe)
            found = self.tested.infer(self.kept_weights, probe)
            error = _largest_difference(expected, found)
            if error <= self.allowed:
                return error
            moved = self.moved(
                self.expected.infer, probe, expected, _largest_difference
            )
            if error > EXPLAINS * moved:
                return error
            least = min(least, self.judged("outputs", error, moved))
        return least

    def gradients(self, probe, training):
        """The original's gradients, and their largest difference."""
        gradients = self.expected.differentiate(self.weights, probe, training)
        found = self.tested.differentiate(self.kept_weights, probe, training)
        return gradients, _gradient_difference(
            [
                self.slices.of(path, gradient) / self.slices.factor(path)
                for path, gradient in gradients.items()
            ],
            [found[self.twins[path]] for path in gradients],
        )

    def closest_gradients(self):
        """The same of the first inputs and mode whose difference may be rounding."""
        probe = self.probe
        training = not draws_numbers(self.original)
        gradients, error = self.gradients(probe, training)
        if error <= self.allowed:
            return gradients, error
        # In a deep network on a small batch the batch statistics amplify the last bits
        # without bound: the gradients may then be compared in inference mode. A single
        # draw may miss the activation that sits on the kink of its ReLU.
        first, sizes = gradients, (1e-7, 1e-6) * 3
        moved = self.moved_gradients(first, probe, training, sizes, enough=error)
        others = [(part, training) for part in (*parts_of(probe), *self.draws)]
        if error <= EXPLAINS * moved:
            # One sample has no batch to take statistics of, and few terms to round.
            parts = probe, *parts_of(probe), *parts_of(probe, size=1)
            others = [(part, False) for part in parts] + others
        for attempt in others:
            gradients, error = self.gradients(*attempt)
            if error <= self.allowed:
                return gradients, error
        moved = self.moved_gradients(first, probe, training, sizes)
        if error <= EXPLAINS * moved:
            gradients, error = self.gradients(probe, False)
            moved = self.moved_gradients(gradients, probe, False)
            error = self.judged("gradients", error, moved)
        return gradients, error

    def moved_gradients(self, gradients, probe, training, sizes=None, enough=np.inf):
        """How far the last bits move the original's gradients."""

        def evaluate(weights, probe):
            moved = self.expected.differentiate(weights, probe, training)
            return moved.values()

        gradients = list(gradients.values())
        return self.moved(
            evaluate, probe, gradients, _gradient_difference, sizes, enough
        )

    def moved(self, evaluate, probe, expected, difference, sizes=None, enough=np.inf):
        """How far the last bits of weights and inputs move what the original computes.

        No more nudges are tried than explain an error of `enough`.
        """
        rng, moved = np.random.default_rng(0), 0.0
        for size in sizes or (last_bit(self.original),) * 3:
            nudge = nudged((self.weights, probe), size, rng)
            moved = max(moved, difference(expected, evaluate(*nudge)))
            if EXPLAINS * moved >= enough:
                break
        return moved

    def judged(self, what, error, moved):
        """An error beside the rounding of the original, which is noted where it is coarse."""
        error = beyond_rounding(error, moved, self.allowed)
        if error > self.allowed and error <= EXPLAINS * moved:
            self.coarse[what] = moved
        return error

    def step(self, gradients):
        """The largest difference of weights after the optimizers' next step."""
        # Both steps are those of copies: what a copy loses would show in neither.
        before, after = zip(*self.pairs)
        if decayed(self.original.optimizer, before) != decayed(
            self.smaller.optimizer, after
        ):
            return np.inf
        slices, twins = self.slices, self.twins
        expected = _step(
            self.original,
            slices.folded(self.weights),
            {p: slices.zeroed(p, g, EVERY_ROLE) for p, g in gradients.items()},
        )
        found = _step(
            self.smaller,
            self.kept_weights,
            {twins[p]: slices.of(p, g) for p, g in gradients.items()},
        )
        differences = (
            _difference(slices.of(path, expected[path]), found[twins[path]])
            for path in gradients
            # A rescaled weight takes its steps in another unit.
            if path not in slices.graph.scales
        )
        return max(differences, default=0.0)


def draws_numbers(network):
    """Whether training draws masks or noise, which differ between two widths."""
    return any("seed_generator" in v.path for v in network.variables)


def _step(network, weights, gradients):
    """Weights after a step of a copy of the optimizer, on copies of the weights."""
    paths = variable_paths(network.variables)
    originals = trained_variables(network.optimizer)
    copies, given = [], []
    for variable in originals:
        path = paths.get(id(variable))
        array = weights[path] if path in weights else value(variable)
        name, dtype = variable.path.replace("/", "_"), variable.dtype
        copies.append(keras.Variable(array, name=name, dtype=dtype))
        gradient = gradients.get(path)  # none where it is frozen
        if gradient is None:
            gradient = keras.ops.zeros(variable.shape, dtype)
        given.append(keras.ops.convert_to_tensor(gradient))
    optimizer = replicate(network.optimizer, list(zip(originals, copies)))
    if keras.backend.backend() == "jax":  # where apply may leak tracers (loss scaling)
        slots = [slot.value for slot in optimizer.variables]
        held = [copy.value for copy in copies]
        stepped, _ = compiled(optimizer.stateless_apply)(slots, given, held)
    else:
        optimizer.apply(given, copies)
        stepped = copies
    return {
        paths.get(id(v)): keras.ops.convert_to_numpy(w)
        for v, w in zip(originals, stepped)
    }


def _difference(expected, found, least_scale=0.0):
    """The largest difference, relative to the largest value expected.

    What is not finite in the original, as its answers to NaN are, is so in both.
    """
    if expected.shape != found.shape:
        return np.inf
    finite = np.isfinite(expected)
    if (finite != np.isfinite(found)).any():
        return np.inf
    expected, found = expected[finite], found[finite]
    scale = np.abs(expected).max(initial=0) or np.abs(found).max(initial=0)
    scale = max(scale, least_scale)
    return float(np.abs(expected - found).max(initial=0) / scale) if scale else 0.0


def _largest_difference(expected, found):
    """The largest ``_difference`` of several arrays."""
    return max(map(_difference, expected, found), default=0.0)


def _gradient_difference(expected, found):
    """As ``_difference``, for all gradients; the vanishing ones count little.

    A bias before a BatchNorm has a gradient of rounding errors alone: each is
    measured against a tenth of the largest gradient at least.
    """
    expected = list(expected)
    sizes = [np.abs(g[np.isfinite(g)]).max(initial=0) for g in expected]
    least = 0.1 * max(sizes, default=0)
    return max(
        (_difference(*pair, least) for pair in zip(expected, found)), default=0.0
    )

"""The proof: outputs, gradients and the next step are those of the original.

The original is evaluated with the slices that produce cut channels at zero,
through Keras' stateless calls: neither network nor optimizer is changed.
"""

import keras
import numpy as np

from nestrade_lib.dependency import ChannelGraph, trace
from nestrade_lib.names import variable_paths
from nestrade_lib.surgery.differentiate import Evaluation, compiled, full_precision
from nestrade_lib.surgery.optimizer import decayed, transplant
from nestrade_lib.surgery.rebuild import paired_variables
from nestrade_lib.surgery.slices import EVERY_ROLE, Slices, Whole, value, values

_ALLOWED = {"float64": 1e-6, "float32": 1e-5, "float16": 2e-2, "bfloat16": 1e-1}


def tolerance(network):
    """The relative difference that rounding may make, by compute dtype."""
    return max(_ALLOWED.get(layer.compute_dtype, 1e-5) for layer in network.layers)


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
        is one.

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
    graph = trace(original) if graph is None else graph
    slices = Slices(graph, mask, original)
    pairs = list(paired_variables(original, smaller))
    others = []
    if probe is None:
        # Few samples: see _parts. A wrong cut shows in each draw, a kink in one.
        probe = random_inputs(original)
        others = [random_inputs(original, seed=seed) for seed in (1, 2, 3)]
    paths = variable_paths(smaller.variables)
    twin = {slices.path(old): paths[id(new)] for old, new in pairs}
    large = {
        path: slices.zeroed(path, array) for path, array in values(original).items()
    }
    small = values(smaller)
    expected, tested = Evaluation(original), Evaluation(smaller)
    with full_precision():
        outputs = expected.infer(large, probe), tested.infer(small, probe)
        errors = {"outputs": max(map(_difference, *outputs), default=0.0)}

        def compare_gradients(training, probe):
            gradients = expected.differentiate(large, probe, training)
            found = tested.differentiate(small, probe, training)
            return gradients, _gradient_difference(
                [slices.of(p, g) / slices.factor(p) for p, g in gradients.items()],
                [found[twin[path]] for path in gradients],
            )

        training = not draws_numbers(original)
        gradients, error = compare_gradients(training, probe)
        attempts = [(training, part) for part in (*_parts(probe), *others)]
        if error > tolerance(original) and is_rounding(
            error, expected, large, probe, gradients
        ):
            # One sample has no batch to take statistics of, and few terms to round.
            singles = _parts(probe, size=1)
            attempts += [(False, part) for part in (probe, *_parts(probe), *singles)]
        while error > tolerance(original) and attempts:
            gradients, error = compare_gradients(*attempts.pop(0))
        errors["gradients"] = error
        if original.compiled and original.optimizer.built:
            whole = _step(
                original,
                slices.folded(large),
                {p: slices.zeroed(p, g, EVERY_ROLE) for p, g in gradients.items()},
            )
            cut = _step(
                smaller, small, {twin[p]: slices.of(p, g) for p, g in gradients.items()}
            )
            errors["step"] = max(
                (
                    _difference(slices.of(path, array), cut[twin[path]])
                    for path, array in whole.items()
                    # A rescaled weight takes its steps in another unit.
                    if path not in slices.graph.scales
                ),
                default=0.0,
            )
            # Both steps are those of copies: what a copy loses would show in neither.
            before, after = original.optimizer, smaller.optimizer
            if decayed(before, [v for v, _ in pairs]) != decayed(
                after, [v for _, v in pairs]
            ):
                errors["step"] = np.inf
    return errors


def draws_numbers(network):
    """Whether training draws masks or noise, which differ between two widths."""
    return any("seed_generator" in v.path for v in network.variables)


def is_rounding(error, evaluation, arrays, probe, gradients):
    """Whether the last bits of the weights move the gradients as much as that.

    In a deep network on a small batch the batch statistics amplify them without bound;
    the gradients may then be compared in inference mode. A single draw of the last bits
    may miss the activation that sits on the kink of its ReLU: several are tried.
    """
    rng = np.random.default_rng(0)
    for size in (1e-7, 1e-6) * 3:
        nudged = {
            path: (array * (1 + size * rng.normal(size=array.shape))).astype(
                array.dtype
            )
            for path, array in arrays.items()
        }
        found = evaluation.differentiate(nudged, probe, training=True)
        moved = _gradient_difference(list(gradients.values()), list(found.values()))
        if error <= 10 * moved:
            return True
    return False


def _parts(probe, size=4, most=4):
    """A few samples at a time.

    Where rounding takes an activation across the kink of its ReLU, that position's
    gradient is another: the more positions, the likelier. A wrong cut shows in every
    part of the samples, a kink in one.
    """
    samples = len(keras.tree.flatten(probe)[0])
    for start in range(0, min(samples, size * most) if samples > size else 0, size):
        rows = slice(start, start + size)
        yield keras.tree.map_structure(lambda a, rows=rows: a[rows], probe)


def _step(network, arrays, gradients):
    """Weights after a step of a copy of the optimizer, on copies of the weights."""
    originals, paths = network.trainable_variables, variable_paths(network.variables)
    copies = [
        keras.Variable(
            arrays[paths[id(v)]], name=v.path.replace("/", "_"), dtype=v.dtype
        )
        for v in originals
    ]
    pairs = list(zip(originals, copies))
    optimizer = transplant(network.optimizer, copies, pairs, Whole())
    given = [keras.ops.convert_to_tensor(gradients[paths[id(v)]]) for v in originals]
    if keras.backend.backend() == "jax":  # where apply may leak tracers (loss scaling)
        slots = [slot.value for slot in optimizer.variables]
        weights = [copy.value for copy in copies]
        after, _ = compiled(optimizer.stateless_apply)(slots, given, weights)
        return {paths[id(v)]: np.asarray(w) for v, w in zip(originals, after)}
    optimizer.apply(given, copies)
    return {paths[id(v)]: value(copy) for v, copy in zip(originals, copies)}


def _difference(expected, found):
    """The largest difference, relative to the largest value expected."""
    if expected.shape != found.shape:
        return np.inf
    scale = np.abs(expected).max(initial=0) or np.abs(found).max(initial=0)
    return float(np.abs(expected - found).max(initial=0) / scale) if scale else 0.0


def _gradient_difference(expected, found):
    """As ``_difference``, for all gradients; the vanishing ones count little.

    A bias before a BatchNorm has a gradient of rounding errors alone: each is
    measured against a tenth of the largest gradient at least.
    """
    largest = max((np.abs(g).max(initial=0) for g in expected), default=0)
    worst = 0.0
    for one, other in zip(expected, found):
        if one.shape != other.shape:
            return np.inf
        scale = max(np.abs(one).max(initial=0), 0.1 * largest) or 1.0
        worst = max(worst, float(np.abs(one - other).max(initial=0) / scale))
    return worst


def random_inputs(network, samples=4, unknown=16, seed=0):
    """Inputs of the network's shapes, standard normal, small numbers for integers.

    Dimensions that the network leaves open get ``unknown`` positions.
    """
    rng = np.random.default_rng(seed)
    arrays = []
    for tensor in keras.tree.flatten(network.inputs):
        shape = (samples, *(unknown if n is None else n for n in tensor.shape[1:]))
        if "string" in tensor.dtype:
            raise ValueError(f"{network.name!r} reads text: give the proof a probe=.")
        if "float" in tensor.dtype:
            arrays.append(rng.normal(size=shape).astype("float32"))
        else:
            arrays.append(rng.integers(0, 2, shape).astype(tensor.dtype))
    if isinstance(network, keras.Sequential):
        return arrays[0]
    names = iter(arrays)
    return _shaped_as(network.get_config()["input_layers"], names)


def _shaped_as(structure, arrays):
    """The arrays in the structure in which the network takes its inputs."""
    if isinstance(structure, dict):
        return {key: _shaped_as(structure[key], arrays) for key in sorted(structure)}
    if len(structure) == 3 and isinstance(structure[0], str):
        return next(arrays)
    return [_shaped_as(part, arrays) for part in structure]

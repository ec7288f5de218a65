"""The proof: outputs, gradients and the next step are those of the original.

The original is evaluated with the slices that produce cut channels at zero,
through Keras' stateless calls: neither network nor optimizer is changed.
"""

import keras
import numpy as np

from nestrade_lib.dependency import trace
from nestrade_lib.surgery.differentiate import evaluate, full_precision
from nestrade_lib.surgery.optimizer import transplant
from nestrade_lib.surgery.rebuild import paired_variables
from nestrade_lib.surgery.slices import Slices, Whole, values

_ALLOWED = {"float64": 1e-10, "float32": 1e-5, "float16": 2e-2, "bfloat16": 1e-1}


def tolerance(network):
    """The relative difference that rounding may make, by compute dtype."""
    return max(_ALLOWED.get(layer.compute_dtype, 1e-5) for layer in network.layers)


def verify(original, smaller, keep, probe=None, graph=None):
    """The largest relative differences between a cut network and its original.

    Parameters
    ----------
    original : keras.Model
        Compared with the slices that produce cut channels at zero.
    smaller : keras.Model
        What :func:`nestrade_lib.surgery.cut` made of it.
    keep : array of bool, shape (graph.count,)
    probe : array or structure of arrays, optional
        Inputs, a few samples; random ones by default.
    graph : ChannelGraph, optional

    Returns
    -------
    dict of str to float
        ``outputs`` (inference); ``gradients`` of a random linear function of the
        outputs, in training mode unless the network draws random numbers;
        ``step``, the optimizer's next step given the same gradients, where there
        is one.

    Examples
    --------
    >>> import keras, numpy as np
    >>> from nestrade_lib.surgery import cut, verify
    >>> network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6),
    ...                             keras.layers.Dense(2)])
    >>> keep = np.arange(6) < 3
    >>> errors = verify(network, cut(network, keep), keep)
    >>> sorted(errors), max(errors.values()) < 1e-5
    (['gradients', 'outputs'], True)
    """
    graph = trace(original) if graph is None else graph
    slices = Slices(graph, keep)
    pairs = list(paired_variables(original, smaller))
    probe = random_inputs(original) if probe is None else probe
    large = {
        key: slices.zeroed(key, array)
        for key, array in values(old for old, _ in pairs).items()
    }
    small = values(new for _, new in pairs)
    with full_precision():
        outputs, gradients = evaluate(original, large, probe)
        new_outputs, new_gradients = evaluate(smaller, small, probe)
        errors = {"outputs": max(map(_difference, outputs, new_outputs), default=0.0)}
        twin = {id(old): new for old, new in pairs}
        expected, found, by_variable = {}, {}, {}
        for variable, gradient in zip(original.trainable_variables, gradients):
            key = id(variable)
            by_variable[key] = slices.zeroed(key, gradient, ("produce", "consume", "carry"))
            expected[key] = slices.of(key, gradient) / slices.factor(key)
        for variable, gradient in zip(smaller.trainable_variables, new_gradients):
            found[id(variable)] = gradient
        errors["gradients"] = _gradient_difference(
            expected.values(), [found[id(twin[key])] for key in expected]
        )
        if original.compiled and original.optimizer.built:
            errors["step"] = _step_error(
                original, smaller, twin, slices, large, small, by_variable
            )
    return errors


def _step_error(original, smaller, twin, slices, large, small, gradients):
    """How far one step with the same gradients leads to other weights."""
    large = slices.folded(large)
    old, new = original.trainable_variables, smaller.trainable_variables
    keys = [id(variable) for variable in old]
    source = {id(twin[key]): key for key in keys}
    after = _step(original, large, keys, [gradients[key] for key in keys])
    cut_gradients = [
        slices.of(source[id(v)], gradients[source[id(v)]]) for v in new
    ]
    new_after = _step(smaller, small, [id(v) for v in new], cut_gradients)
    return max(
        (
            _difference(slices.of(key, after[key]), new_after[id(twin[key])])
            for key in keys
            # A rescaled weight takes its steps in another unit.
            if key not in slices.record.scales
        ),
        default=0.0,
    )


def _step(network, arrays, keys, gradients):
    """Weights after a step of a copy of the optimizer, on copies of the weights."""
    originals = network.trainable_variables
    copies = [
        keras.Variable(arrays[key], name=v.path.replace("/", "_"), dtype=v.dtype)
        for key, v in zip(keys, originals)
    ]
    sources = {id(copy): v for copy, v in zip(copies, originals)}
    optimizer = transplant(network.optimizer, copies, sources, Whole())
    convert = keras.ops.convert_to_tensor
    optimizer.apply([convert(gradient) for gradient in gradients], copies)
    after = values(copies)
    return {key: after[id(copy)] for key, copy in zip(keys, copies)}


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


def random_inputs(network, samples=4, unknown=16):
    """Inputs of the network's shapes, standard normal, small numbers for integers.

    Dimensions that the network leaves open get ``unknown`` positions.
    """
    rng = np.random.default_rng(0)
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

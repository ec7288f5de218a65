"""Nested arrays, as Keras takes data: tuples, lists, dicts, with None where there is none."""

import inspect

import keras
import numpy as np

from nestrade_lib.checks import require
from nestrade_lib.internals import mask_of, set_mask


def map_arrays(function, values):
    """Apply a function to each array, and leave None as it is.

    >>> import numpy as np
    >>> map_arrays(len, ({"a": np.arange(2)}, None))
    ({'a': 2}, None)
    """
    return keras.tree.map_structure(
        lambda a: None if a is None else function(a), values, none_is_leaf=True
    )


def arrays_of(values):
    """List the arrays of a nested structure, in order.

    >>> import numpy as np
    >>> [a.tolist() for a in arrays_of((np.arange(2), None, [np.ones(1)]))]
    [[0, 1], [1.0]]
    """
    return [a for a in keras.tree.flatten(values) if a is not None]


def rows_of(values, rows):
    """Take the same rows of each array.

    >>> import numpy as np
    >>> rows_of((np.arange(4), None), slice(1, 3))
    (array([1, 2]), None)
    """
    return map_arrays(lambda a: a[rows], values)


def in_larger_batches(batches, samples):
    """Join batches of arrays, in order, to some of at most so many samples.

    What has other shapes than the one before it, and what are no NumPy arrays, stay as they are.

    >>> import numpy as np
    >>> batches = [(np.full(n, n), None) for n in (2, 2, 3, 9)]
    >>> [len(x) for x, _ in in_larger_batches(batches, samples=6)]
    [4, 3, 9]
    """
    runs = []
    for batch in batches:
        count, kind = arrays_of(batch)[0].shape[0], _kind(batch)
        if runs and kind and kind == runs[-1][1] and runs[-1][2] + count <= samples:
            runs[-1][0].append(batch)
            runs[-1][2] += count
        else:
            runs.append([[batch], kind, count])
    return [_joined(run) if len(run) > 1 else run[0] for run, _, _ in runs]


def _kind(batch):
    """What two batches have in common that can be joined; None if these cannot."""
    arrays = arrays_of(batch)
    if not all(isinstance(a, np.ndarray) and a.ndim for a in arrays):
        return None
    kinds = map_arrays(lambda a: f"{a.dtype} {a.shape[1:]}", batch)
    return repr(kinds)


def _joined(batches):
    return keras.tree.map_structure(
        lambda *a: None if a[0] is None else np.concatenate(a),
        *batches,
        none_is_leaf=True,
    )


def require_arrays(name, values):
    """Refuse what is neither an array nor a structure of arrays.

    >>> require_arrays("y", [1, 2])
    Traceback (most recent call last):
        ...
    ValueError: y: expected an array, or a structure of arrays, got [1, 2].
    """
    leaves = arrays_of(values)
    holds = leaves and all(hasattr(a, "shape") and len(a.shape) for a in leaves)
    require(holds, name, "an array, or a structure of arrays", values)


def require_inputs(name, values, network):
    """Refuse arrays that are not of the shape of a network's one input.

    As Keras does, one axis of length one may be missing, or too many.
    """
    require_arrays(name, values)
    inputs = keras.tree.flatten(getattr(network, "inputs", None) or [])
    leaves = arrays_of(values)
    if len(inputs) != 1 or len(leaves) != 1:
        return
    shape, expected = tuple(leaves[0].shape[1:]), tuple(inputs[0].shape[1:])
    pairs = zip(shape, expected, strict=False)
    if len(shape) == len(expected):
        fits = all(wanted is None or n == wanted for n, wanted in pairs)
    else:
        fits = abs(len(shape) - len(expected)) == 1 and 1 in (*shape, *expected)
    require(fits, name, f"samples of shape {expected}", shape)


def input_structure(network):
    """The symbolic inputs of a functional network or a chain, nested as it takes them."""
    is_chain = isinstance(network, keras.Sequential)  # which may have no ``input``
    return network.inputs[0] if is_chain else network.input


def input_shapes(network, values):
    """The shape of one sample of each of a network's inputs; None where arrays have none.

    >>> x = keras.Input((None, 3))
    >>> input_shapes(keras.Model(x, x), np.zeros((2, 8, 3)))
    [(8, 3)]
    """
    if isinstance(values, dict):  # by the names that Keras finds them by
        names = [tensor.name for tensor in network.inputs]
        named = set(names) <= set(values)
        values = [values[name] for name in names] if named else values
    shapes = [tuple(a.shape[1:]) for a in arrays_of(values)]
    for n, (shape, tensor) in enumerate(zip(shapes, network.inputs, strict=False)):
        missing = len(tensor.shape) - 1 - len(shape)
        if missing == 1:  # Keras adds an axis, or takes some away
            shapes[n] = (*shape, 1)
        elif missing < 0:
            shapes[n] = shape[:missing]
    return shapes


def in_order(layer, args, kwargs):
    """List the arguments of a layer's call in the order of its signature.

    >>> in_order(keras.layers.MultiHeadAttention(1, 2), [1], {"key": 3, "value": 2})
    [1, 2, 3]
    """
    if not kwargs:
        return list(args)
    places = list(inspect.signature(layer.call).parameters)
    named = [kwargs[name] for name in places if name in kwargs]
    return [*args, *named, *(kwargs[name] for name in kwargs if name not in places)]


def copy_mask(tensor, *others):
    """Attach a tensor's mask, if it has one, to others."""
    if (mask := mask_of(tensor)) is not None:
        for other in others:
            set_mask(other, mask)

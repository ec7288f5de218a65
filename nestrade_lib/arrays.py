"""Nested arrays, as Keras takes data: tuples, lists, dicts, with None where there is none."""

import inspect

import keras


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

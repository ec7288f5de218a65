"""Rounding: how far the last bits of its numbers move what a network computes."""

import keras

# The relative difference that a cut may make, and the last bit of a number, by dtype.
_ALLOWED = {"float64": 1e-6, "float32": 1e-5, "float16": 2e-2, "bfloat16": 1e-1}
_LAST_BIT = {"float64": 2e-16, "float32": 1e-7, "float16": 1e-3, "bfloat16": 8e-3}

EXPLAINS = (
    10  # A cut sums in another order: its rounding is some times that of a nudge.
)
COARSEST = 0.03  # Where the last bits move more than this, nothing can be compared.


def tolerance(network):
    """The relative difference that rounding may make, by compute dtype."""
    return _by_dtype(_ALLOWED, network)


def last_bit(network):
    """The relative size of the last bit of a number, by compute dtype."""
    return _by_dtype(_LAST_BIT, network)


def nudged(arrays, size, rng):
    """Nested arrays, each floating-point number moved by about this part of itself.

    >>> import numpy as np
    >>> moved = nudged({"a": np.ones(3), "b": np.arange(2)}, 0.1, np.random.default_rng(0))
    >>> moved["a"].round(2).tolist(), moved["b"].tolist()
    ([1.01, 0.99, 1.06], [0, 1])
    """

    def nudge(array):
        array = keras.ops.convert_to_numpy(array)
        if array.dtype.kind not in "fV":  # NumPy has no kind of its own for bfloat16
            return array
        return (array * (1 + size * rng.normal(size=array.shape))).astype(array.dtype)

    return keras.tree.map_structure(nudge, arrays)


def beyond_rounding(error, moved, allowed):
    """An error beside what the last bits move: at most what is allowed if they explain it.

    >>> beyond_rounding(1e-3, moved=1e-3, allowed=1e-5)  # a tenth of what they explain
    1e-06
    >>> beyond_rounding(1e-3, moved=1e-5, allowed=1e-5)  # more than they explain
    0.001
    """
    explained = EXPLAINS * moved
    if error <= allowed or not error <= explained or moved > COARSEST:
        return error
    return error * allowed / explained


def _by_dtype(table, network):
    dtypes = (layer.compute_dtype for layer in network.layers)
    return max(table.get(dtype, table["float32"]) for dtype in dtypes)

"""Inputs on which networks are compared."""

import keras
import numpy as np

from nestrade_lib.arrays import input_structure
from nestrade_lib.internals import all_layers


def parts_of(probe, size=4, most=4):
    """A few samples at a time.

    Where rounding takes an activation across the kink of its ReLU, that position's
    gradient is another: the more positions, the likelier. A wrong cut shows in every
    part of the samples, a kink in one.
    """
    samples = len(keras.tree.flatten(probe)[0])
    for start in range(0, min(samples, size * most) if samples > size else 0, size):
        rows = slice(start, start + size)
        yield keras.tree.map_structure(lambda a, rows=rows: a[rows], probe)


def random_inputs(network, samples=4, unknown=16, seed=0):
    """Inputs of the network's shapes: standard normal, small whole numbers, known words.

    Dimensions that the network leaves open get ``unknown`` positions.
    """
    rng = np.random.default_rng(seed)
    arrays = []
    structure = input_structure(network)
    for tensor in keras.tree.flatten(structure):
        shape = (samples, *(unknown if n is None else n for n in tensor.shape[1:]))
        if "string" in tensor.dtype:
            arrays.append(random_words(network, shape, rng))
        elif "float" in tensor.dtype:
            arrays.append(rng.normal(size=shape).astype("float32"))
        else:
            arrays.append(rng.integers(0, 2, shape).astype(tensor.dtype))
    return keras.tree.pack_sequence_as(structure, arrays)


def random_words(network, shape, rng):
    """Texts of the words that the network's layers know, as an array of this shape."""
    layers = all_layers(network)
    known = [layer for layer in layers if hasattr(layer, "get_vocabulary")]
    words = [str(word) for layer in known for word in layer.get_vocabulary()] or ["a"]
    are_split = any(isinstance(each, keras.layers.TextVectorization) for each in known)
    texts = rng.choice(words, size=(*shape, 8 if are_split else 1))
    return np.apply_along_axis(" ".join, -1, texts) if are_split else texts[..., 0]

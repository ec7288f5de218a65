"""What layers keep beside variables and configuration: vocabularies, files of their own."""

import tempfile

import keras

from nestrade_lib.internals import inner_layers

_LOOKUPS = (
    keras.layers.StringLookup,
    keras.layers.IntegerLookup,
    keras.layers.TextVectorization,
)


def carry_adapted(old, new):
    """Give a network's counterpart, which has its variables, what ``adapt`` set in layers.

    >>> import numpy as np
    >>> old, new = (keras.layers.Normalization(axis=None) for _ in range(2))
    >>> old.adapt(np.array([1.0, 3.0]))
    >>> new.build(())
    >>> new.set_weights(old.get_weights())
    >>> carry_adapted(old, new)
    >>> float(np.ravel(new(np.array([3.0])))[0])
    1.0
    """
    for one, other in paired_layers(old, new):
        if isinstance(other, keras.layers.Normalization):
            if other.input_mean is None:
                other.finalize_state()  # works out its statistics from its variables
        elif isinstance(one, _LOOKUPS):
            _carry_vocabulary(one, other)
        elif hasattr(one, "save_assets"):
            with tempfile.TemporaryDirectory() as folder:
                one.save_assets(folder)
                other.load_assets(folder)


def paired_layers(old, new):
    """Each layer of a network with its counterpart, the outer before the inner.

    >>> old, new = (keras.Sequential([keras.layers.Dense(1, name="a")]) for _ in "ab")
    >>> [(one.name, other is new.layers[0]) for one, other in paired_layers(old, new)][1]
    ('a', True)
    """
    yield old, new
    for one, other in paired_parts(old, new):
        yield from paired_layers(one, other)


def paired_parts(old, new):
    """The layers that a layer holds itself, with their counterparts."""
    if not isinstance(old, keras.Model):
        return list(zip(inner_layers(old), inner_layers(new)))
    layers = {layer.name: layer for layer in new.layers}
    if all(layer.name in layers for layer in old.layers):
        return [(layer, layers[layer.name]) for layer in old.layers]
    return list(zip(old.layers, new.layers))  # their code named them anew


def _carry_vocabulary(old, new):
    # Not by its assets: a file of lines splits words that have a line break.
    if not old.get_vocabulary(include_special_tokens=False):
        return  # not adapted
    words = old.get_vocabulary()
    store = {}
    old.save_own_variables(store)
    weights = store.get("idf_weights")
    if weights is None:
        new.set_vocabulary(words)
    else:  # which Keras pads again
        new.set_vocabulary(words, idf_weights=weights[: len(words)])

"""What a layer without a rule multiplies: found by calling it on symbolic tensors."""

import keras
from keras import tree

from nestrade_lib.dependency.call import Call
from nestrade_lib.dependency.labels import Channels
from nestrade_lib.dependency.registry import find_products
from nestrade_lib.internals import replaced


def count_own_products(call):
    """Count the products of operations in a layer's ``call``; whether it could be followed.

    Layers inside it are listed with products of their own. What is made of weights alone,
    such as a norm of them, is made once per batch and counts as nothing.
    """
    args, kwargs = tree.map_structure(_symbolic, (call.args, call.kwargs))
    found = []

    def watching(symbolic_call):
        def watched(operation, *args, **kwargs):
            outputs = operation.compute_output_spec(*args, **kwargs)
            found.append((operation, args, kwargs, outputs))
            return outputs

        return watched

    def inside(_):
        return lambda layer, *args, **kwargs: layer.compute_output_spec(*args, **kwargs)

    try:
        with (
            keras.StatelessScope(),  # nothing that it assigns is kept
            replaced(keras.Operation, "symbolic_call", watching),
            replaced(keras.Layer, "__call__", inside),
            replaced(keras.Layer, "add_loss", lambda _: lambda layer, loss: None),
        ):
            call.layer.call(*args, **kwargs)
        for operation, *arguments, outputs in found:
            count = find_products(operation)
            if count is not None:
                args, kwargs = tree.map_structure(_as_channels, tuple(arguments))
                own = Call(call.walk, operation, (), args, kwargs)
                count(own, _as_channels(tree.flatten(outputs)[0]))
    except Exception:  # whatever its code raises where nothing is computed
        return False
    return True


def _symbolic(leaf):
    return leaf.spec if isinstance(leaf, Channels) else leaf


def _as_channels(leaf):
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
        return leaf
    return Channels(tuple(leaf.shape), (None,) * len(leaf.shape))

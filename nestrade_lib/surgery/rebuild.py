"""The smaller network: configuration, ``from_config``, sliced variables."""

import contextlib
from functools import reduce
from operator import getitem
from typing import Any

import keras
import numpy as np

from nestrade_lib.configuration import blank_variables, configuration
from nestrade_lib.dependency import trace
from nestrade_lib.surgery.adapted import carry_adapted, paired_layers, paired_parts
from nestrade_lib.surgery.compiled import carry_attributes, compile_like
from nestrade_lib.surgery.slices import Slices, values


def cut(network, mask, graph=None, compiled=True):
    """The smaller network, not yet verified: see :func:`nestrade_lib.restructure`.

    Parameters and errors are those of ``restructure``. Not `compiled`, it only answers.

    >>> import keras, numpy as np
    >>> from nestrade_lib.surgery import cut
    >>> network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(6),
    ...                             keras.layers.Dense(2)])
    >>> cut(network, np.arange(6) < 3).count_params()
    23
    """
    graph = trace(network) if graph is None else graph
    slices = Slices(graph, mask, network)
    empty = graph.emptied(mask)
    if empty:
        raise ValueError(
            f"This cut leaves no channel in {', '.join(map(repr, empty))}: each layer "
            "needs one at least."
        )
    config, objects = configuration(network)
    for path, edit in graph.edits.items():
        edit_in_place(network, config, path, edit, slices.stays)
    with strategy_scope(network):
        initializers = {}
        with blank_variables(initializers):
            smaller = from_configuration(type(network), config, objects)
        pairs = list(paired_variables(network, smaller))
        require_sharing(pairs)
        new = slices.carry(values(network))
        for old, variable in pairs:
            variable.assign(new[slices.path(old)])
            slice_attributes(old, variable, initializers.get(id(variable)), slices)
        carry_adapted(network, smaller)
        if compiled:
            compile_like(network, smaller, pairs, slices)
        carry_attributes(network, smaller, pairs, slices)
    return smaller


def edit_in_place(network, config, path, edit, stays):
    """Change one value of a network's configuration."""
    *parents, key = path
    place: Any = reduce(getitem, parents, config)
    try:
        place[key] = edit(stays, place[key])
    except KeyError:
        raise ValueError(
            f"Layer {place.get('name')!r} of {network.name!r}: expected {key!r} in its "
            "get_config, to make it smaller; it is not there. Give its class a get_config "
            "with all that its __init__ takes, or keep it with ignored_layers=."
        ) from None


def from_configuration(kind, config, objects):
    """The network of a configuration and of the objects that it refers to."""
    description = {
        "module": "builtins",
        "class_name": kind.__name__,
        "config": without_built_shapes(config),
        "registered_name": "the network",
    }
    with keras.saving.custom_object_scope({**objects, "the network": kind}):
        # Not read from a file: a kept Lambda's code is the network's own.
        return keras.saving.deserialize_keras_object(description, safe_mode=False)


def slice_attributes(old, new, initializer, slices):
    """What initializer, regularizer and constraint hold of a variable's shape is cut with it."""
    if tuple(old.shape) == tuple(new.shape):
        return
    for owner in (initializer, new.regularizer, new.constraint):
        for name, held in dict(getattr(owner, "__dict__", {})).items():
            if keras.ops.is_tensor(held) or isinstance(held, (np.ndarray, list)):
                array = keras.ops.convert_to_numpy(held)
                if array.shape == tuple(old.shape):
                    setattr(owner, name, slices.of(slices.path(old), array))


def without_built_shapes(config):
    """Build shapes are of the larger network: the calls in the graph build anew."""
    if isinstance(config, dict):
        return {
            key: without_built_shapes(value)
            for key, value in config.items()
            if key not in ("build_config", "compile_config")
        }
    if isinstance(config, (list, tuple)):
        return type(config)(without_built_shapes(part) for part in config)
    return config


def strategy_scope(network):
    """The scope of TensorFlow's distribution strategy, where the network has one."""
    strategy = getattr(network, "distribute_strategy", None)
    return strategy.scope() if strategy is not None else contextlib.nullcontext()


def paired_variables(old, new):
    """Each variable of the original with its counterpart; flags are carried over."""
    if isinstance(old, keras.Model):
        new.trainable = old.trainable
        for layer, counterpart in paired_parts(old, new):
            yield from paired_variables(layer, counterpart)
        return
    if isinstance(old, keras.layers.Wrapper) and isinstance(old.layer, keras.Model):
        new.trainable = old.trainable
        yield from paired_variables(old.layer, new.layer)
        return
    if len(old.variables) != len(new.variables):
        raise ValueError(
            f"Layer {old.name!r} has {len(old.variables)} variables, but from its "
            f"configuration {len(new.variables)}: its get_config is incomplete."
        )
    # Outermost first: a flag is handed down, and what is within may have another.
    for outer, counterpart in paired_layers(old, new):
        counterpart.trainable = outer.trainable
    for variable, counterpart in zip(old.variables, new.variables):
        counterpart.trainable = variable.trainable
        yield variable, counterpart


def require_sharing(pairs):
    """A configuration does not say that a wrapper shares its layer with another."""
    twin = {}
    for old, new in pairs:
        if twin.setdefault(id(old), new) is not new:
            raise ValueError(
                f"{old.path!r} belongs to two layers, one of them inside a wrapper: Keras' "
                "configuration does not keep this, so the smaller network would have two "
                "copies. Call the layer itself in both places, or a layer of its own."
            )

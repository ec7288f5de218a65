"""The smaller network: configuration, ``from_config``, sliced variables."""

import contextlib

import keras

from nestrade_lib.dependency import trace
from nestrade_lib.internals import (
    blank_variables,
    compile_arguments,
    function_arguments,
    wrapped_function,
)
from nestrade_lib.surgery.adapted import carry_adapted, paired_layers
from nestrade_lib.surgery.optimizer import require_trained, transplant
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
    config = network.get_config()
    for path, edit in graph.edits.items():
        *parents, key = path
        place = config
        for parent in parents:
            place = place[parent]
        place[key] = edit(slices.stays, place[key])
    with (
        strategy_scope(network),
        keras.saving.custom_object_scope(graph.custom_objects),
    ):
        description = keras.saving.serialize_keras_object(network)
        description = without_built_shapes({**description, "config": config})
        with blank_variables():
            # Not read from a file: a kept Lambda's code is the network's own.
            smaller = keras.saving.deserialize_keras_object(
                description, safe_mode=False
            )
        pairs = list(paired_variables(network, smaller))
        require_sharing(pairs)
        new = slices.carry(values(network))
        for old, variable in pairs:
            variable.assign(new[slices.path(old)])
        carry_adapted(network, smaller)
        if compiled:
            compile_like(network, smaller, pairs, slices)
    return smaller


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
        for layer in old.layers:
            yield from paired_variables(layer, new.get_layer(layer.name))
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


def compile_like(network, smaller, pairs, slices):
    """Loss, metrics, flags and the sliced optimizer of a compiled network."""
    if not network.compiled:
        return
    with blank_variables():  # but not the metrics', which start where they say
        require_trained(network.optimizer, network.trainable_variables)
        optimizer = transplant(network.optimizer, pairs, slices)
    if type(network).compile is not keras.Model.compile:
        smaller.compile_from_config(network.get_compile_config())
        smaller.optimizer = optimizer
        return
    arguments = compile_arguments(network)
    arguments["optimizer"] = optimizer
    for kind in ("metrics", "weighted_metrics"):
        arguments[kind] = keras.tree.map_structure(fresh_metric, arguments[kind])
    smaller.compile(**arguments)


def fresh_metric(metric):
    """A metric that gathers anew; the function in a wrapper is taken along as it is."""
    if not isinstance(metric, keras.Metric):
        return metric
    if type(metric) is keras.metrics.MeanMetricWrapper:
        return keras.metrics.MeanMetricWrapper(
            wrapped_function(metric),
            metric.name,
            metric.dtype,
            **function_arguments(metric),
        )
    try:
        return type(metric).from_config(metric.get_config())
    except Exception as error:
        raise ValueError(
            f"Metric {metric.name!r} ({type(metric).__name__}) cannot be made anew for "
            f"the smaller network: {error}. Give its class a get_config whose entries "
            "its __init__ takes, or compile without it."
        ) from error

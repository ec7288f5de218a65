"""What a network is trained with, carried to another: loss, metrics, optimizer, attributes."""

import contextlib

import keras

from nestrade_lib.configuration import blank_variables, own_attributes
from nestrade_lib.internals import (
    compile_arguments,
    copied,
    function_arguments,
    wrapped_function,
)
from nestrade_lib.surgery.adapted import paired_layers
from nestrade_lib.surgery.optimizer import recreate, require_trained, transplant


def compile_like(network, smaller, pairs, slices):
    """Loss, metrics, flags and the sliced optimizer of a compiled network."""
    if not network.compiled:
        return
    with blank_variables():  # but not the metrics', which start where they say
        require_trained(network.optimizer, network.trainable_variables)
        optimizer = transplant(network.optimizer, pairs, slices)
    compile_with(network, smaller, optimizer=optimizer, **fresh_metrics(network))


def compile_untrained(network, smaller):
    """The same with an optimizer that has not begun, whose slots take seconds to cut."""
    if not network.compiled:
        return
    require_trained(network.optimizer, network.trainable_variables)
    optimizer = recreate(network.optimizer)
    compile_with(network, smaller, optimizer=optimizer, **fresh_metrics(network))


def fresh_metrics(network):
    """The network's metrics as arguments of ``compile``, gathering anew."""
    arguments = compile_arguments(network)
    return {
        kind: keras.tree.map_structure(fresh_metric, arguments[kind])
        for kind in ("metrics", "weighted_metrics")
    }


def compile_with(network, other, **changes):
    """Compile another network as this one is, whatever a ``compile`` of its own does."""
    keras.Model.compile(other, **{**compile_arguments(network), **changes})


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
    if type(metric).get_config is not keras.Metric.get_config:
        with contextlib.suppress(Exception):
            return type(metric).from_config(metric.get_config())
    metric = copied(metric)  # its configuration does not have its arguments
    metric.reset_state()
    return metric


def carry_attributes(old, new, pairs, slices):
    """Give a model's counterpart what a class of one's own keeps beside layers and weights.

    Layers and variables among it are replaced by their counterparts.
    """
    twins = {id(one): other for one, other in (*paired_layers(old, new), *pairs)}

    def counterpart(part):
        if isinstance(part, keras.Optimizer) and id(part) not in twins:
            twins[id(part)] = transplant(part, pairs, slices)
        return twins.get(id(part), part)

    for name, value in own_attributes(old).items():
        setattr(new, name, keras.tree.map_structure(counterpart, value))

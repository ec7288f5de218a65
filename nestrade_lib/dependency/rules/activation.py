"""Layers that work on each element alone."""

import functools

import keras
import numpy as np
from keras import activations, layers

from nestrade_lib.dependency.call import Call
from nestrade_lib.dependency.labels import (
    Channels,
    refill_all,
    unknown,
    zero_or_unknown,
)
from nestrade_lib.dependency.observed import follow
from nestrade_lib.dependency.registry import is_elementwise, rule
from nestrade_lib.internals import class_beside

_ELEMENTWISE = """celu elu erf exp exponential gelu hard_shrink hard_sigmoid hard_silu
hard_swish hard_tanh hardshrink hardsigmoid hardswish hardtanh leaky_relu linear
log_sigmoid logsigmoid mish relu relu6 selu sigmoid silu sin soft_shrink softplus
softshrink softsign sparse_plus sparse_sigmoid square squareplus swish tanh tanh_shrink
tanhshrink threshold"""
_LAYERS = layers.ReLU, layers.LeakyReLU, layers.ELU
_MIXING = "softmax log_softmax sparsemax"


def apply_activation(call: Call, axes, function) -> tuple:
    """Axes after an activation function (or layer)."""
    if not any((axis.labels >= 0).any() for axis in axes if axis is not None):
        return tuple(axes)  # nothing that may be cut passes through it
    if function in _named(_MIXING):
        call.pin(axes[-1], "normalizes over them (softmax)")
        return refill_all(axes, unknown)
    is_known = isinstance(function, _LAYERS) or function in _named(_ELEMENTWISE)
    if function is None or is_known or is_elementwise(function):
        return elementwise(axes, function)
    shape = [None, *(5 if axis is None else len(axis) for axis in axes[1:])]
    made, reason = follow(call, function, [Channels(tuple(shape), tuple(axes))], {})
    if made is None:
        call.refuse(f"its activation {reason}")
    return made[0]


@functools.cache
def _named(names):
    """The functions of these names, of Keras and of its backend (``tf.nn.relu``)."""
    places = [activations, keras.ops]
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        places += [tf.nn, tf.math, tf]
    elif backend == "jax":
        import jax

        places += [jax.nn, jax.numpy, jax.lax]
    elif backend == "torch" and names != _MIXING:  # its softmax guesses the axis
        import torch

        places += [torch.nn.functional, torch]
    return {
        getattr(place, name)
        for place in places
        for name in names.split()
        if hasattr(place, name)
    }


def elementwise(axes, function):
    """Axes after a function of each element: it changes the fill values."""
    if function in (None, activations.linear):
        return tuple(axes)

    def at_constants(fill):
        values, where = np.unique(fill, return_inverse=True)
        return np.array([_at(function, value) for value in values], float)[where]

    return refill_all(axes, at_constants)


def _at(function, value):
    if np.isnan(value):
        return value
    return float(keras.ops.convert_to_numpy(function(keras.ops.full((1,), value)))[0])


@rule(layers.Activation, *_LAYERS)
def activation(call):
    function = getattr(call.layer, "activation", call.layer)
    return apply_activation(call, call.inputs[0].axes, function)


@rule(layers.PReLU)
def prelu(call):
    axes = call.inputs[0].axes
    shape = call.layer.alpha.shape
    slopes = {
        number: axis
        for number, axis in enumerate(axes[1:])
        if shape[number] > 1 or axis is None
    }
    call.carries(call.layer.alpha, slopes)
    return refill_all(axes, zero_or_unknown)


@rule(layers.Softmax)
def softmax(call):
    axes = call.inputs[0].axes
    normalized = call.layer.axis
    for number in [normalized] if isinstance(normalized, int) else normalized:
        call.pin(axes[number], "normalizes over them (softmax)")
    return refill_all(axes, unknown)


@rule(layers.Identity, layers.ActivityRegularization, layers.InputLayer)
def identity(call):
    return call.inputs[0].axes


@rule(
    layers.Dropout,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.SpatialDropout3D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.AlphaDropout,
    class_beside(keras.applications.ConvNeXtTiny, "StochasticDepth"),
)
def noise(call):
    """A random factor leaves zero as it is, and any other constant not constant."""
    return refill_all(call.inputs[0].axes, zero_or_unknown)

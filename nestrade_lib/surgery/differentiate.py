"""Outputs and gradients at given weights, on each backend, changing nothing."""

import contextlib

import keras
import numpy as np


def evaluate(network, arrays, inputs):
    """Inference outputs, and gradients of a fixed random function of the outputs.

    Parameters
    ----------
    network : keras.Model
    arrays : dict of int to ndarray
        A value for each of its variables, by ``id``.
    inputs : array or structure of arrays

    Returns
    -------
    list of ndarray, list of ndarray
        Floating-point outputs; one gradient a trainable variable.
    """
    convert = keras.ops.convert_to_tensor
    trainable = [convert(arrays[id(v)]) for v in network.trainable_variables]
    others = [convert(arrays[id(v)]) for v in network.non_trainable_variables]
    inputs = keras.tree.map_structure(convert, inputs)
    # Dropout draws other masks for other widths: such networks are compared in
    # inference mode, all others with the batch statistics of training.
    training = not any("seed_generator" in v.path for v in network.variables)

    def outputs(weights, training):
        found, _ = network.stateless_call(weights, others, inputs, training=training)
        return [y for y in keras.tree.flatten(found) if "float" in str(y.dtype)]

    def projection(weights):
        rng = np.random.default_rng(0)
        total = 0.0
        for y in outputs(weights, training):
            direction = convert(rng.normal(size=y.shape).astype("float32"))
            total = total + keras.ops.sum(keras.ops.cast(y, "float32") * direction)
        return total

    gradients = _GRADIENTS[keras.backend.backend()](projection, trainable)
    to_numpy = keras.ops.convert_to_numpy
    with _no_gradient():
        found = [to_numpy(y).astype("float64") for y in outputs(trainable, False)]
    return found, [
        np.zeros(w.shape, "float32") if g is None else to_numpy(g)
        for w, g in zip(trainable, gradients)
    ]


def _tensorflow_gradients(function, weights):
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weights)
        value = function(weights)
    return tape.gradient(value, weights)


def _jax_gradients(function, weights):
    import jax

    return jax.jit(jax.grad(function))(weights)


def _torch_gradients(function, weights):
    import torch

    weights = [w.detach().clone().requires_grad_() for w in weights]
    with torch.enable_grad():
        return torch.autograd.grad(function(weights), weights, allow_unused=True)


_GRADIENTS = {
    "tensorflow": _tensorflow_gradients,
    "jax": _jax_gradients,
    "torch": _torch_gradients,
}


def _no_gradient():
    if keras.backend.backend() != "torch":
        return contextlib.nullcontext()
    import torch

    return torch.no_grad()


@contextlib.contextmanager
def full_precision():
    """Products in full float32: a GPU's shortened ones would hide differences."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        short = tf.config.experimental.tensor_float_32_execution_enabled()
        tf.config.experimental.enable_tensor_float_32_execution(False)
        try:
            yield
        finally:
            tf.config.experimental.enable_tensor_float_32_execution(short)
    elif keras.backend.backend() == "jax":
        import jax

        with jax.default_matmul_precision("highest"):
            yield
    else:
        import torch

        flags = torch.backends.cudnn.flags
        short = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = False
        try:
            with flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False):
                yield
        finally:
            torch.backends.cuda.matmul.allow_tf32 = short

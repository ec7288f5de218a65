"""Outputs and gradients at given weights, on each backend, changing nothing."""

import contextlib

import keras
import numpy as np

from nestrade_lib.gradients import gradient_of
from nestrade_lib.names import variable_paths


def infer(network, arrays, inputs):
    """Floating-point outputs in inference mode (a list of ndarray).

    Parameters are those of :func:`differentiate`.
    """
    with _no_gradient():
        found = _outputs(network, *_tensors(network, arrays), inputs, False)
        return [keras.ops.convert_to_numpy(y).astype("float64") for y in found]


def differentiate(network, arrays, inputs, training):
    """Gradients of a fixed random linear function of the outputs.

    Parameters
    ----------
    network : keras.Model
    arrays : dict of str to ndarray
        A value for each of its variables, by path.
    inputs : array or structure of arrays
    training : bool
        Whether norms use the statistics of the batch.

    Returns
    -------
    dict of str to ndarray
        By path of the trainable variable.
    """
    trainable, others = _tensors(network, arrays)

    def projection(weights):
        rng = np.random.default_rng(0)
        total = 0.0
        for y in _outputs(network, weights, others, inputs, training):
            direction = rng.normal(size=y.shape)
            exact = "float64" if "float64" in str(y.dtype) else "float32"
            direction, y = direction.astype(exact), keras.ops.cast(y, exact)
            total = total + keras.ops.sum(y * keras.ops.convert_to_tensor(direction))
        return total

    gradients = gradient_of(projection)(trainable)
    to_numpy, paths = keras.ops.convert_to_numpy, variable_paths(network.variables)
    return {
        paths[id(v)]: np.zeros(v.shape, "float32") if g is None else to_numpy(g)
        for v, g in zip(network.trainable_variables, gradients)
    }


def _tensors(network, arrays):
    """The values as tensors: of the trainable variables, and of the others."""
    paths = variable_paths(network.variables)
    return [
        [keras.ops.convert_to_tensor(arrays[paths[id(v)]]) for v in variables]
        for variables in (network.trainable_variables, network.non_trainable_variables)
    ]


def _outputs(network, weights, others, inputs, training):
    inputs = keras.tree.map_structure(keras.ops.convert_to_tensor, inputs)
    found, _ = network.stateless_call(weights, others, inputs, training=training)
    return [y for y in keras.tree.flatten(found) if "float" in str(y.dtype)]


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

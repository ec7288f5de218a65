"""Outputs and gradients at given weights, on each backend, changing nothing."""

import contextlib
from collections.abc import Callable

import keras
import numpy as np

from nestrade_lib.gradients import gradient_of
from nestrade_lib.names import variable_paths


class Evaluation:
    """A network's outputs and gradients at any weights, given by variable path.

    >>> network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> evaluation = Evaluation(network)
    >>> weights = [np.ones((2, 1), "float32"), np.ones(1, "float32")]
    >>> arrays = dict(zip(evaluation.paths.values(), weights))
    >>> evaluation.infer(arrays, np.ones((3, 2)))[0].tolist()
    [[3.0], [3.0], [3.0]]
    >>> x = np.ones((3, 2), "float32")
    >>> [g.shape for g in evaluation.differentiate(arrays, x, training=True).values()]
    [(2, 1), (1,)]
    """

    def __init__(self, network):
        self.network = network
        self.paths = variable_paths(network.variables)
        self._outputs = compiled(self._call)
        self._gradients = {
            training: compiled(gradient_of(self._projection(training)))
            for training in (True, False)
        }

    def infer(self, arrays, inputs):
        """Floating-point outputs in inference mode (list of ndarray of float64)."""
        with _no_gradient():
            outputs = self._outputs(*self._tensors(arrays), _as_tensors(inputs))
            return [keras.ops.convert_to_numpy(y).astype("float64") for y in outputs]

    def differentiate(self, arrays, inputs, training):
        """Gradients of a fixed random linear function of the outputs, by variable path."""
        weights, others = self._tensors(arrays)
        gradients = self._gradients[training](weights, others, _as_tensors(inputs))
        return {
            self.paths[id(v)]: np.zeros(v.shape, "float32")
            if gradient is None
            else keras.ops.convert_to_numpy(gradient)
            for v, gradient in zip(self.network.trainable_variables, gradients)
        }

    def _call(self, weights, others, inputs, training=False):
        outputs, _ = self.network.stateless_call(
            weights, others, inputs, training=training
        )
        return [y for y in keras.tree.flatten(outputs) if "float" in str(y.dtype)]

    def _projection(self, training):
        def projection(weights, others, inputs):
            rng = np.random.default_rng(0)
            total = 0.0
            for y in self._call(weights, others, inputs, training):
                direction = rng.normal(size=y.shape)
                exact = "float64" if "float64" in str(y.dtype) else "float32"
                direction, y = direction.astype(exact), keras.ops.cast(y, exact)
                total = total + keras.ops.sum(
                    y * keras.ops.convert_to_tensor(direction)
                )
            return total

        return projection

    def _tensors(self, arrays):
        """The values as tensors: of the trainable variables, and of the others."""
        network = self.network
        return [
            [keras.ops.convert_to_tensor(arrays[self.paths[id(v)]]) for v in variables]
            for variables in (
                network.trainable_variables,
                network.non_trainable_variables,
            )
        ]


def _as_tensors(inputs):
    return keras.tree.map_structure(keras.ops.convert_to_tensor, inputs)


def compiled(function: Callable) -> Callable:
    """The function compiled as a whole on JAX, and quickly: it is called a few times."""
    if keras.backend.backend() != "jax":
        return function
    import jax

    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


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

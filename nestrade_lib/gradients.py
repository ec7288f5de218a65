"""The gradient of a function of weights, on each backend, and the loss as such a function."""

import keras

from nestrade_lib.internals import compute_loss
from nestrade_lib.onednn import safe_convolutions


def loss_of(network, trained, others, batch):
    """The loss of a batch in inference mode, by the values of the network's variables.

    Regularizers see these values, layers add their losses, and the means that a loss of
    several outputs keeps do not outlive the call.
    """
    x, y, sample_weight = batch
    variables = network.trainable_variables + network.non_trainable_variables
    values = zip(variables, [*trained, *others])
    with keras.StatelessScope(values, collect_losses=True):
        predicted = network(x, training=False)
        return compute_loss(network, x, y, predicted, sample_weight)


def gradient_of(function):
    """Return the gradient of ``function(weights, *others)`` by the list of its weights.

    It is None for a weight that the scalar does not depend on (zeros on JAX).

    >>> slope = gradient_of(lambda weights, x: keras.ops.sum(weights[0] ** 2) * x)
    >>> [g] = slope([keras.ops.array([1.0, 3.0])], 2.0)
    >>> keras.ops.convert_to_numpy(g).tolist()
    [4.0, 12.0]
    """
    return _BY_BACKEND[keras.backend.backend()](safe_convolutions()(function))


def _on_tensorflow(function):
    import tensorflow as tf

    def gradient(weights, *others):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            value = function(weights, *others)
        return tape.gradient(value, weights)

    return gradient


def _on_jax(function):
    import jax

    return jax.jit(jax.grad(function))


def _on_torch(function):
    import torch

    def gradient(weights, *others):
        weights = [w.detach().clone().requires_grad_() for w in weights]
        with torch.enable_grad():
            value = function(weights, *others)
            return torch.autograd.grad(value, weights, allow_unused=True)

    return gradient


_BY_BACKEND = {"tensorflow": _on_tensorflow, "jax": _on_jax, "torch": _on_torch}

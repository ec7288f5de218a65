"""What a Keras optimizer is beneath those that wrap it."""

import keras

from nestrade_lib.internals import configuration_and_rate


def innermost(optimizer):
    """The optimizer that trains, inside any that wrap it.

    Examples
    --------
    >>> adam = keras.optimizers.Adam()
    >>> innermost(keras.optimizers.LossScaleOptimizer(adam)) is adam
    True
    """
    while hasattr(optimizer, "inner_optimizer"):
        optimizer = optimizer.inner_optimizer
    return optimizer


def own_learning_rate(optimizer):
    """Its learning rate (float), or None if a schedule gives it.

    Examples
    --------
    >>> round(own_learning_rate(keras.optimizers.Adam(0.01)), 3)
    0.01
    """
    inner = innermost(optimizer)
    config, function = configuration_and_rate(inner)
    if function is not None or "learning_rate" not in config:  # of several in one
        return None
    return float(keras.ops.convert_to_numpy(inner.learning_rate))


def is_adaptive(optimizer):
    """Whether the size of its steps does not depend on that of the gradients.

    Examples
    --------
    >>> is_adaptive(keras.optimizers.RMSprop()), is_adaptive(keras.optimizers.SGD())
    (True, False)
    """
    return not isinstance(innermost(optimizer), keras.optimizers.SGD)


def averages_weights(optimizer):
    """Whether it keeps averages that become the weights when training ends."""
    return getattr(innermost(optimizer), "use_ema", False)

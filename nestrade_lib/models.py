"""The article's loss, optimizer and model, made as it meant them.

>>> model = create_nestrade_model((28, 28, 1), 10)
>>> model.network.output_shape
(None, 10)
"""

import math
from collections.abc import Sequence

import keras
from keras.optimizers.schedules import LearningRateSchedule

from nestrade_lib.checks import is_number, require
from nestrade_lib.networks import create_model
from nestrade_lib.schedule import Budget
from nestrade_lib.trainer import Nestrade


def create_loss() -> keras.losses.Loss:
    """Create the loss for integer labels and logits: cross-entropy.

    Returns
    -------
    keras.losses.SparseCategoricalCrossentropy
        Takes labels ``(batch,)``, integers from 0, and logits ``(batch, classes)``.
        One-hot labels ``(batch, classes)`` are refused when it is called.

    Examples
    --------
    >>> import numpy as np
    >>> labels, logits = np.array([1]), np.zeros((1, 2))  # no opinion: log 2
    >>> round(float(create_loss()(labels, logits)), 4)
    0.6931
    """
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def create_optimizer(
    learning_rate: float | LearningRateSchedule = 1e-3,
) -> keras.optimizers.Optimizer:
    """Create the Adam optimizer.

    Parameters
    ----------
    learning_rate : float or keras.optimizers.schedules.LearningRateSchedule
        Greater than 0.

    Returns
    -------
    keras.optimizers.Adam

    Raises
    ------
    ValueError
        If the learning rate is not a finite number above 0.

    References
    ----------
    Kingma, Ba (2015), "Adam: a method for stochastic optimization",
    arXiv:1412.6980.

    Examples
    --------
    >>> round(float(create_optimizer(0.01).learning_rate), 4)
    0.01
    """
    is_rate = is_number(learning_rate) and 0 < learning_rate < math.inf
    holds = is_rate or isinstance(learning_rate, LearningRateSchedule)
    expected = "a finite number above 0 or a Keras learning rate schedule"
    advice = "0.001 is a good start for Adam."
    require(holds, "learning_rate", expected, learning_rate, advice)
    return keras.optimizers.Adam(learning_rate)


def create_nestrade_model(
    input_shape: Sequence[int],
    num_classes: int,
    *,
    budget: float | Budget = 1.0,
    learning_rate: float | LearningRateSchedule = 1e-3,
    l1: float = 1e-5,
) -> Nestrade:
    """Build and compile the article's model, ready to become smaller while it learns.

    Parameters
    ----------
    input_shape, num_classes
        As in :func:`create_model`.
    budget : float or Budget
        What to keep, as in :class:`nestrade_lib.Nestrade`. 1 cuts nothing.
    learning_rate : float or keras.optimizers.schedules.LearningRateSchedule
        As in :func:`create_optimizer`.
    l1 : float
        Weight of the L1 penalty on the hidden `Dense` layers, in loss per unit of
        absolute weight. The article's 0.01 would drown the loss: the 400,000 weights
        of LeNet-5's hidden layer cost 136 at the start, the cross-entropy 2.3.

    Returns
    -------
    Nestrade
        Has Keras' ``fit``, ``evaluate``, ``predict`` and ``summary``; the plain Keras
        model is its ``.network``, compiled with Adam, cross-entropy on integer
        labels, and accuracy.

    Raises
    ------
    ValueError
        As in the functions it is made of, or if `l1` is negative or not finite.

    Examples
    --------
    >>> model = create_nestrade_model((28, 28, 1), 10, budget=0.1)
    >>> model.network.get_layer("dense1").kernel_regularizer.__class__.__name__
    'L1'
    """
    holds = is_number(l1) and 0 <= l1 < math.inf
    require(holds, "l1", "a finite number of at least 0", l1)
    network = create_model(
        input_shape,
        num_classes,
        kernel_regularizer=keras.regularizers.L1(l1) if l1 else None,
        name="nestrade",
    )
    network.compile(
        optimizer=create_optimizer(learning_rate),
        loss=create_loss(),
        metrics=["accuracy"],
    )
    return Nestrade(network, budget)

"""A training that has diverged goes no further, and its network is left usable."""

import keras
import numpy as np


def require_finite(network, logs, state, step):
    """Stop where losses or weights are no longer finite.

    Parameters
    ----------
    network : keras.Model
    logs : dict of str to float
        Of the steps that were just trained.
    state : list of (keras.Variable, ndarray)
        What to go back to: the values from before these steps.
    step : int
        The first of them, for the message.

    Raises
    ------
    FloatingPointError
        After every variable has its value of before.

    Examples
    --------
    >>> weight = keras.Variable(1.0)
    >>> require_finite(keras.Sequential(), {"loss": 0.1}, [(weight, 2.0)], step=1)
    >>> float(weight)
    1.0
    """
    # A ReLU can hide NaN weights from the loss, so both are looked at.
    weights = network.trainable_variables
    spoilt = [v.path for v in weights if not _is_finite(v)]
    # A training step of the user's own may name its losses as it likes.
    losses = {k: v for k, v in logs.items() if k == "loss" or k.endswith("_loss")}
    if np.isfinite(list(losses.values())).all() and not spoilt:
        return
    for variable, value in state:
        variable.assign(value)
    told = ", ".join(f"{name} {value}" for name, value in losses.items())
    where = f"; weights not finite: {', '.join(spoilt[:3])}" if spoilt else ""
    raise FloatingPointError(
        f"The training diverged before step {step}: {told}{where}. The network is back at "
        "its last good state. Lower the learning rate, clip gradients, or look for extreme "
        "values in the data."
    )


def _is_finite(variable):
    return np.isfinite(keras.ops.convert_to_numpy(variable)).all()

"""Validation data: given to ``fit``, or held out of the training data as Keras does."""

import math

from nestrade_lib.arrays import arrays_of, rows_of


def split(x, y, sample_weight, share):
    """Hold out the last share of the arrays.

    Returns
    -------
    tuple
        What is left of the three, and what is held out of them.

    Raises
    ------
    ValueError
        If they are no arrays.

    Examples
    --------
    >>> import numpy as np
    >>> split(np.arange(4), None, None, 0.25)
    (array([0, 1, 2]), None, None, (array([3]), None, None))
    """
    values = x, y, sample_weight
    if not all(hasattr(a, "shape") for a in arrays_of(values)):
        raise ValueError(
            "validation_split: expected arrays, of which the last part is held out, got "
            f"{type(x).__name__}. Pass validation_data= instead."
        )
    at = math.floor(len(arrays_of(values)[0]) * (1 - share))
    return *rows_of(values, slice(0, at)), rows_of(values, slice(at, None))


def validate(trainer, data, options, callbacks=None):
    """The logs of a trainer's network on these data, named as Keras names them.

    Parameters
    ----------
    trainer : nestrade_lib.Nestrade
    data : array, data set, or tuple of up to three arrays
    options : dict
        Batch size and steps.
    callbacks : keras.callbacks.CallbackList, optional
        Told of the beginning and end of it, and of each batch.

    Returns
    -------
    dict of str to float
    """
    is_tuple = isinstance(data, (tuple, list))
    names = zip(
        ("x", "y", "sample_weight"), data if is_tuple else (data,), strict=False
    )
    logs = trainer.engine.evaluate(trainer.network, callbacks, **dict(names), **options)
    return {f"val_{name}": value for name, value in logs.items()}

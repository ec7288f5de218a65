"""Labels that do not fit the loss: found before training, not deep inside it."""

import keras
import numpy as np

from nestrade_lib.internals import function_arguments


def check_labels(network, y):
    """Check array labels of a one-output classifier against its loss.

    Other losses, several outputs and data sets are left to Keras.

    Parameters
    ----------
    network : keras.Model
        Compiled.
    y : array

    Raises
    ------
    ValueError
        If one-hot labels meet the sparse loss or integers the categorical one, or a
        label names no output.

    Examples
    --------
    >>> from nestrade_lib import create_model, create_loss
    >>> network = create_model((4,), 3)
    >>> network.compile("adam", create_loss())
    >>> check_labels(network, np.array([0, 2, 3]))
    Traceback (most recent call last):
        ...
    ValueError: y: expected integer labels from 0 to 2 for 3 outputs, got 0 to 3.
    """
    loss = network.loss
    sparse = loss == "sparse_categorical_crossentropy" or isinstance(
        loss, keras.losses.SparseCategoricalCrossentropy
    )
    one_hot = loss == "categorical_crossentropy" or isinstance(
        loss, keras.losses.CategoricalCrossentropy
    )
    is_array = hasattr(y, "shape") and len(y)
    if not (sparse or one_hot) or not is_array or len(network.outputs) != 1:
        return
    if function_arguments(loss).get("axis", -1) not in (
        -1,
        len(network.output_shape) - 1,
    ):
        return
    classes = network.output_shape[-1]
    shape = tuple(y.shape)
    rank = len(network.output_shape)
    if sparse and len(shape) == rank and shape[-1] == classes and classes > 1:
        raise ValueError(
            f"y: expected integer labels for the sparse loss, got shape {shape}, which "
            "looks one-hot. Pass y.argmax(axis=-1), or use CategoricalCrossentropy."
        )
    if one_hot and shape[-1:] != (classes,):
        raise ValueError(
            f"y: expected one-hot labels of {classes} columns for the categorical loss, "
            f"got shape {shape}. Use SparseCategoricalCrossentropy for integer labels."
        )
    if sparse:
        values = keras.ops.convert_to_numpy(y)
        ignored = getattr(loss, "ignore_class", None)
        values = values if ignored is None else values[values != ignored]
        if not values.size:
            return
        if values.dtype.kind not in "iub" and not (values == np.round(values)).all():
            raise ValueError(
                f"y: expected integer labels from 0 to {classes - 1} for the sparse loss, "
                f"got numbers such as {values.ravel()[0]!r}."
            )
        if values.min() < 0 or values.max() >= classes:
            raise ValueError(
                f"y: expected integer labels from 0 to {classes - 1} for {classes} "
                f"outputs, got {values.min():g} to {values.max():g}."
            )

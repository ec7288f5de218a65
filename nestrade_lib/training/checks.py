"""What the arguments of a trainer and its ``fit`` are held to, before anything runs."""

import keras
import numpy as np

from nestrade_lib.arrays import arrays_of, require_inputs
from nestrade_lib.checks import is_list_of, is_number, is_whole, require, require_whole
from nestrade_lib.distillation import has_own_step
from nestrade_lib.engines.engine import Engine
from nestrade_lib.internals import function_arguments
from nestrade_lib.schedule import Schedule
from nestrade_lib.training.annealing import KINDS
from nestrade_lib.training.data.array_adapter import count_samples

IMPORTANCES = ("kfac", "taylor")


def check_trainer(schedule, importance, ignored_layers, anneal, growth, engine):
    """Refuse settings of a trainer that are out of range, and name what was expected."""
    require(isinstance(schedule, Schedule), "schedule", "a Schedule", schedule)
    holds = callable(importance) or _is_one_of(IMPORTANCES, importance)
    names = " or ".join(map(repr, IMPORTANCES))
    expected = f"{names}, or a function (network, graph) -> scores"
    require(holds, "importance", expected, importance)
    names = " or ".join(map(repr, KINDS))
    expected = f"{names}, or None to leave the learning rate to others"
    require(anneal is None or _is_one_of(KINDS, anneal), "anneal", expected, anneal)
    holds = _is_one_of(["auto"], growth) or is_whole(growth)
    require(holds, "growth", 'a whole number of at least 1, or "auto"', growth)
    if isinstance(ignored_layers, str):
        raise ValueError(
            "ignored_layers: expected a list of layer names, got the string "
            f"{ignored_layers!r}. Pass ignored_layers=[{ignored_layers!r}]."
        )
    holds = isinstance(engine, (Engine, type(None)))
    expected = "the engine that nestrade_lib.engines.start() returns"
    require(holds, "engine", expected, engine)


def _is_one_of(names, value):
    return isinstance(value, str) and value in names


def check_compiled(network):
    """Refuse a network that has no optimizer and loss to train with."""
    require(isinstance(network, keras.Model), "network", "a Keras model", network)
    if not network.compiled:
        raise ValueError(
            f"Network {network.name!r} is not compiled. Call network.compile("
            "optimizer, loss) first: Nestrade trains with the optimizer you chose."
        )


def check_fit(
    *,
    batch_size=None,
    steps_per_epoch=None,
    epochs=1,
    initial_epoch=0,
    validation_split=0.0,
    validation_freq=1,
    validation_steps=None,
    validation_batch_size=None,
    class_weight=None,
    callbacks=None,
):
    """Refuse arguments of ``fit`` that are out of range, and name what was expected."""
    optional = {
        "batch_size": batch_size,
        "steps_per_epoch": steps_per_epoch,
        "validation_steps": validation_steps,
        "validation_batch_size": validation_batch_size,
    }
    counts = [(name, value, 1) for name, value in optional.items() if value is not None]
    counts += [("epochs", epochs, 0), ("initial_epoch", initial_epoch, 0)]
    for name, value, least in counts:
        require_whole(name, value, least)
    holds = is_number(validation_split) and 0 <= validation_split < 1
    expected = "a share of at least 0 and below 1"
    require(holds, "validation_split", expected, validation_split)
    is_listed = isinstance(validation_freq, (list, tuple, set, range))
    holds = all(map(is_whole, validation_freq if is_listed else [validation_freq]))
    expected = "a whole number of at least 1, or a list of epochs counted from 1"
    require(holds, "validation_freq", expected, validation_freq)
    if class_weight is not None:
        holds = isinstance(class_weight, dict)
        holds = holds and all(is_whole(label, 0) for label in class_weight)
        holds = holds and all(map(_is_weight, class_weight.values()))
        expected = "a dict from class, a whole number, to weight, a finite one"
        require(holds, "class_weight", expected, class_weight)
    kinds = keras.callbacks.Callback, keras.callbacks.CallbackList
    holds = callbacks is None or isinstance(callbacks, kinds)
    holds = holds or is_list_of(keras.callbacks.Callback, callbacks)
    require(holds, "callbacks", "a list of Keras callbacks", callbacks)


def _is_weight(value):
    return is_number(value) and 0 <= value < np.inf


def check_inputs(network, inputs):
    """Refuse samples for a trace that do not fit the network, or are none."""
    if inputs is not None:
        require_inputs("inputs", inputs, network)
        holds = all(len(array) for array in arrays_of(inputs))
        require(holds, "inputs", "at least one sample", inputs)
        _refuse_text("inputs", inputs, network)


def check_data(network, x, y=None, sample_weight=None, where=""):
    """Refuse what are no data, or do not fit the network; whether they are arrays."""
    leaves = keras.tree.flatten(x)
    if leaves and all(hasattr(a, "shape") and hasattr(a, "dtype") for a in leaves):
        require_inputs(f"{where}x", x, network)
        _refuse_text(f"{where}x", x, network)
        _check_weights(f"{where}sample_weight", sample_weight)
        has_labels = y is not None or not network.loss or has_own_step(network)
        require(has_labels, f"{where}y", "labels, which the loss needs", y)
        check_labels(network, y, f"{where}y")
        return True
    holds = any(hasattr(x, name) for name in ("__iter__", "__getitem__", "to_numpy"))
    holds = holds and not isinstance(x, (str, bytes, dict, list, tuple))
    require(holds, f"{where}x", "arrays, a data set or a generator", x)
    return False


def check_validation(network, data):
    """Refuse validation data before training, which would end at them."""
    is_tuple = isinstance(data, (tuple, list))
    x, y, weight = data = (*(data if is_tuple else (data,)), None, None)[:3]
    expected = "(x, y), (x, y, sample_weight) or a data set"
    require(x is not None, "validation_data", expected, data)
    if check_data(network, x, y, weight, "validation_data: "):
        try:
            count_samples(x, y, weight)
        except ValueError as error:
            raise ValueError(f"validation_data: {error}") from None


def check_labels(network, y, name="y"):
    """Refuse array labels that the loss of a classifier with one output cannot take.

    Other losses, several outputs and data sets are left to Keras.

    >>> from nestrade_lib import create_model, create_loss
    >>> network = create_model((4,), 3)
    >>> network.compile("adam", create_loss())
    >>> check_labels(network, np.array([0, 2, 3]))
    Traceback (most recent call last):
        ...
    ValueError: y: expected integer labels from 0 to 2 for 3 outputs, got 0 to 3.
    """
    _refuse_text(name, y)
    loss, kinds = network.loss, keras.losses
    sparse = loss == "sparse_categorical_crossentropy"
    sparse = sparse or isinstance(loss, kinds.SparseCategoricalCrossentropy)
    one_hot = loss == "categorical_crossentropy"
    one_hot = one_hot or isinstance(loss, kinds.CategoricalCrossentropy)
    is_array = hasattr(y, "shape") and len(y.shape) and len(y)
    outputs = getattr(network, "outputs", None) or []  # unknown of a subclassed model
    if not (sparse or one_hot) or not is_array or len(outputs) != 1:
        return
    shape, rank = tuple(y.shape), len(network.output_shape)
    axis = function_arguments(loss).get("axis", -1)
    if axis not in (-1, rank - 1):
        return
    classes = network.output_shape[-1]
    if sparse and len(shape) == rank and shape[-1] == classes and classes > 1:
        raise ValueError(
            f"{name}: expected integer labels for the sparse loss, got shape {shape}, which "
            "looks one-hot. Pass y.argmax(axis=-1), or use CategoricalCrossentropy."
        )
    if one_hot and shape[-1:] != (classes,):
        raise ValueError(
            f"{name}: expected one-hot labels of {classes} columns for the categorical loss, "
            f"got shape {shape}. Use SparseCategoricalCrossentropy for integer labels."
        )
    if sparse:
        values = keras.ops.convert_to_numpy(y)
        ignored = getattr(loss, "ignore_class", None)
        values = values if ignored is None else values[values != ignored]
        if not values.size:
            return
        expected = f"{name}: expected integer labels from 0 to {classes - 1} for"
        if values.dtype.kind not in "iub" and not (values == np.round(values)).all():
            raise ValueError(
                f"{expected} the sparse loss, got numbers such as {values.ravel()[0]!r}."
            )
        if values.min() < 0 or values.max() >= classes:
            raise ValueError(
                f"{expected} {classes} outputs, got {values.min():g} to {values.max():g}."
            )


def _check_weights(name, weights):
    """Refuse weights of samples that are no finite numbers of at least 0."""
    _refuse_text(name, weights)
    for array in arrays_of(weights):
        if hasattr(array, "dtype"):
            values = keras.ops.convert_to_numpy(array)
            wrong = values[~((values >= 0) & (values < np.inf))].ravel()
            require(not wrong.size, name, "finite numbers of at least 0", wrong[:1])


def _refuse_text(name, values, network=None):
    """Refuse arrays of no real numbers, unless a network may take others."""
    inputs = keras.tree.flatten(getattr(network, "inputs", None) or [])
    if network is not None and not (inputs and all(map(_is_real, inputs))):
        return
    for array in keras.tree.flatten(values):
        if hasattr(array, "dtype") and not _is_real(array):
            hint = (
                " Number labels first: numpy.unique(y, return_inverse=True)[1], or "
                "keras.layers.StringLookup."
            )
            raise ValueError(
                f"{name}: expected numbers, got {array.dtype}."
                + hint * name.endswith("y")
            )


def _is_real(array):
    return any(kind in str(array.dtype) for kind in ("int", "float", "bool"))

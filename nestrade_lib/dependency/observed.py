"""What observation finds of a call, written down as a rule would."""

from dataclasses import replace

import keras
import numpy as np
from keras import tree

from nestrade_lib.dependency.labels import Axis, Channels
from nestrade_lib.dependency.observation import observe
from nestrade_lib.dependency.observation.edits import Edit
from nestrade_lib.internals import from_keras, operation_class


def follow(call, operation, args, kwargs):
    """The axes of the outputs of an operation run on the tensors of a call.

    They are ``None``, and the reason is given, where it could not be run.
    """
    tensors = [x for x in tree.flatten((args, kwargs)) if isinstance(x, Channels)]
    args, kwargs = tree.map_structure(
        lambda x: x.spec if isinstance(x, Channels) else x, (args, kwargs)
    )
    labels = [axis.labels for x in tensors for axis in x.axes if axis is not None]
    known, inverse = np.unique(np.concatenate([[-1], *labels]), return_inverse=True)
    # Calls that are alike but for the numbers of their labels are observed once.
    numbers = iter(np.split(inverse[1:] - 1, np.cumsum(list(map(len, labels)))[:-1]))
    axes = [
        tuple(None if a is None else Axis(next(numbers), a.fill) for a in x.axes)
        for x in tensors
    ]
    record, place = call.record, call.path + call.node
    choice = record.choices.get(place, 0)
    key = _key((_identity(operation), args, kwargs, axes, choice))
    if key not in record.observations:
        record.observations[key] = observe(operation, args, kwargs, axes, choice)
    observation = record.observations[key]
    known = np.append(known[1:], -1).astype(int)  # the last is found by -1
    if choice + 1 < observation.choices:
        record.ambiguous[place] = known[:-1]
    for one, other in observation.merges:
        record.labels.merge(known[one], known[other])
    for some, reason in observation.pins:
        record.labels.pin(known[some], call.name, reason)
    if observation.outputs is None:
        return None, observation.pins[0][1]
    for edit in observation.edits:
        call.follows_cut(replace(edit, labels=known[edit.labels]))
    return [
        tuple(a and Axis(known[a.labels], a.fill) for a in output.axes)
        for output in observation.outputs
    ], None


def zeros_of(call):
    """The axes of an array that is zero everywhere, which may go with channels they meet."""
    if not isinstance(call.layer, operation_class(keras.ops.where)):
        return None
    condition, _, other = call.args
    if isinstance(condition, Channels) or isinstance(other, Channels):
        return None
    condition, other = map(keras.ops.convert_to_numpy, (condition, other))
    if condition.any() or other.any() or condition.ndim < 2:
        return None
    axis = call.fresh(condition.shape[-1])
    last = condition.ndim - 1
    call.follows_cut(Edit(("args", 0), axis.labels, last))
    return *(None,) * last, axis


def _identity(operation):
    """What two operations that do the same have in common."""
    if isinstance(operation, keras.Operation) and from_keras(type(operation)):
        try:
            config = operation.get_config()
        except NotImplementedError:
            return operation
        return type(operation), {k: v for k, v in config.items() if k != "name"}
    return operation


def _key(value):
    """Nested arguments as a key: arrays by their content, the rest by identity or text."""
    if isinstance(value, dict):
        return tuple((key, _key(part)) for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return type(value).__name__, *map(_key, value)
    if isinstance(value, keras.KerasTensor):
        return value.shape, value.dtype
    if isinstance(value, Axis):
        return value.labels.tobytes(), value.fill.tobytes()
    if keras.ops.is_tensor(value):
        value = keras.ops.convert_to_numpy(value)
    if isinstance(value, np.ndarray):
        return value.shape, str(value.dtype), value.tobytes()
    if isinstance(value, (slice, str, int, float, bool, type(None), type(...))):
        return repr(value)
    return value if value.__hash__ else id(value)

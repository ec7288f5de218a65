"""What a call of a layer is: its tensors, its masks, whether it trains."""

import functools
import inspect
import math

import keras
import numpy as np
from keras import tree

from nestrade_lib import internals


class CannotUnroll(Exception):
    """Why a call is no graph of layers and operations: ends the sentence "it ..."."""


def reason_of(error):
    if isinstance(error, CannotUnroll):
        return str(error)
    if "a TensorFlow function" in str(error):
        return (
            "calls a function of TensorFlow in a way that is not known here (take one of "
            "keras.ops, or call it in a layer of its own, which is kept)"
        )
    lines = [line for line in str(error).splitlines() if line.strip()] or [""]
    return f"does not run ({type(error).__name__}: {lines[0][:200]})"


def tensors_of(structure):
    """The symbolic tensors of a structure."""
    return [x for x in tree.flatten(structure) if isinstance(x, keras.KerasTensor)]


class AsksPhase(CannotUnroll):
    """Python code has to know whether it is training."""


class _Phase:
    """Stands for ``training``, which is decided when the network runs.

    What depends on it in Python is followed as in training, then as in inference: layers
    such as Dropout decide by themselves, and with them the two are often the same.
    """

    answer: bool | None = None

    def __bool__(self):
        if self.answer is None:
            raise AsksPhase("asks in Python whether it is training")
        return self.answer

    def __eq__(self, other):
        return bool(self)

    __hash__ = object.__hash__


PHASE = _Phase()


class _Open(int):
    """The batch in ``ops.shape``: one for constants, which broadcast; open in a target shape."""


OPEN = _Open(1)


def in_each_phase(make):
    """The method, tried with the phase left open, then as in training, then in inference."""

    @functools.wraps(make)
    def tried(*args):
        before, refusal = PHASE.answer, None
        for answer in (before, True, False):
            PHASE.answer = answer
            try:
                return make(*args)
            except CannotUnroll as error:
                refusal = refusal or error
                if not isinstance(refusal, AsksPhase):
                    break
            finally:
                PHASE.answer = before
        raise refusal

    return tried


def without_phase(x):
    return None if x is PHASE else x


def place_of(item, items):
    """The place of this very object, ``None`` where it has none."""
    return next((n for n, other in enumerate(items) if other is item), None)


def is_graph(layer):
    kinds = internals.is_functional(layer) or isinstance(layer, keras.Sequential)
    return kinds and internals.from_keras(type(layer).call)


def is_as_built(graph, args):
    """Whether a graph is called on the shapes that it has: Keras lets it run on others."""
    pairs = zip(tree.flatten(getattr(graph, "inputs", None) or []), tensors_of(args))
    return all(
        m == n or None in (m, n)
        for symbol, x in pairs
        if len(symbol.shape) == len(x.shape)
        for m, n in zip(symbol.shape, x.shape)
    )


def identity_of(x):
    """What makes an argument that is no tensor the same as another."""
    return x if isinstance(x, (int, float, str, bool, type(None))) else id(x)


def as_taken(layer, x):
    """As a layer casts what it is called on."""
    if not isinstance(x, keras.KerasTensor):
        return x
    mask = internals.mask_of(x)
    y = layer.dtype_policy.convert_input(x, layer.autocast, layer.input_dtype)
    if mask is not None:
        internals.set_mask(y, mask)
    return y


def code_of(layer):
    """A layer's ``call`` as Python code: without a ``tf.function`` around it."""
    written = getattr(type(layer).call, "python_function", None)
    return layer.call if written is None else written.__get__(layer)


def masks_of(layer, args, kwargs):
    """The masks that Keras adds to a call (a dict), from the tensors that carry them."""
    signature = inspect.signature(code_of(layer))
    try:
        given = signature.bind(*args, **kwargs).arguments
    except TypeError:
        return {}
    carriers = {name: x for name, x in given.items() if tensors_of(x)}
    alone = len(carriers) == 1
    names = {"mask" if alone else f"{name}_mask": x for name, x in carriers.items()}
    masks = {
        name: tree.map_structure(internals.mask_of, x)
        for name, x in names.items()
        if name in signature.parameters and given.get(name) is None
    }
    return {name: mask for name, mask in masks.items() if tensors_of(mask)}


def as_followed(operation, args):
    """An operation and its arguments as a graph has them: for batches of any size."""
    if not args:
        return operation, args
    kind, (x, *others) = type(operation), args
    if kind is internals.operation_class(keras.ops.reshape):
        return _reshape(operation, x), args
    if kind is internals.operation_class(keras.ops.get_item):
        (key,) = others
        return operation, (x, key if isinstance(key, (int, list, tuple)) else (key,))
    if kind is internals.operation_class(keras.ops.concatenate):
        return operation, (_in_batches(operation, x), *others)
    is_broadcast = kind is internals.operation_class(keras.ops.broadcast_to)
    if is_broadcast and asks_for_batch(operation) and x.shape[:1] == (None,):
        zeros = np.zeros((1, *operation.shape[1:]), x.dtype)
        same = keras.ops.logical_or if x.dtype == "bool" else keras.ops.add
        return internals.operation_class(same)(), (x, zeros)
    return operation, args


def _reshape(operation, x):
    """An open batch in a target shape is whatever the tensor has: -1."""
    if isinstance(operation.newshape, int):
        return operation
    target: list = [None if size is OPEN else size for size in operation.newshape]
    if target[:1] == [None] and -1 in target and None not in x.shape[1:]:
        others = math.prod(size for size in target[1:] if size != -1)
        target[target.index(-1)] = math.prod(x.shape[1:]) // others
    if target.count(None) == 1 and -1 not in target:
        target = [-1 if size is None else size for size in target]
    return type(operation)(tuple(target))


def _in_batches(operation, parts):
    """What is joined with batches is there once per sample: a batch of one is repeated."""
    batches = [x for x in tensors_of(parts) if x.shape[0] is None]
    if not batches or operation.axis in (0, -len(batches[0].shape)):
        return parts
    return [per_sample(x, batches[0]) if x.shape[0] == 1 else x for x in parts]


def per_sample(x, like):
    """The tensor once per sample, as many as another has."""
    zero = _zero_per_sample(x, like)
    if zero.dtype == "bool":
        return keras.ops.logical_or(zero, x)
    return keras.ops.add(zero, x)


def zeros_per_sample(zeros, like):
    """An array of zeros once per sample: all of it is taken from zero, which shows."""
    nowhere = np.zeros(zeros.shape, bool)
    return keras.ops.where(nowhere, _zero_per_sample(zeros, like), 0.0)


def _zero_per_sample(x, like):
    zero = keras.ops.zeros_like(like)
    zero = keras.ops.sum(zero, tuple(range(1, len(zero.shape))), keepdims=True)
    zero = keras.ops.reshape(zero, (-1, *(1 for _ in x.shape[1:])))
    return keras.ops.cast(zero, keras.utils.standardize_dtype(x.dtype))


def require_description(operation):
    """Refuse an operation that no configuration, and so no file, can have."""
    try:
        operation.get_config()
    except NotImplementedError:
        raise CannotUnroll(
            f"calls {operation.name}, which Keras cannot save as an operation (call it in a "
            "layer of its own, which is kept)"
        ) from None


def asks_for_batch(operation):
    """Whether an operation repeats something for each sample of the batch."""
    if isinstance(operation, internals.operation_class(keras.ops.reshape)):
        return False
    firsts = (
        value[:1] if isinstance(value, (list, tuple)) else [value]
        for value in vars(operation).values()
    )
    return any(OPEN is value for first in firsts for value in first)

"""TensorFlow's functions called on symbolic tensors: Keras' operations that do the same.

A functional network is made of Keras' layers and operations, while the ``call`` of many a
subclassed model has ``tf.nn.relu`` and ``tf.reduce_mean``. Parameters have TensorFlow's names;
what is not here, or asked for in a way that Keras lacks, ends the unrolling.
"""

import contextlib
import functools
import inspect

import keras
from keras import ops

from nestrade_lib import tensorflow_internals
from nestrade_lib.dependency.unrolling.calls import tensors_of

_OF_ELEMENTS = """
abs add cos divide equal exp floor greater greater_equal less less_equal logical_and logical_not
logical_or maximum minimum multiply not_equal ones_like round sigmoid sign sin sqrt square
stop_gradient subtract tanh where zeros_like
math.abs math.add math.cos math.divide math.erf math.exp math.floor math.log math.log1p
math.maximum math.minimum math.multiply math.rsqrt math.sigmoid math.sign math.sin math.softplus
math.sqrt math.square math.subtract math.tanh
nn.elu nn.relu nn.relu6 nn.selu nn.sigmoid nn.silu nn.softplus nn.softsign nn.swish nn.tanh
""".split()
_REDUCTIONS = "all any max mean min prod std sum variance logsumexp".split()


def _others(tf):
    """The functions whose parameters differ from those of Keras."""
    return {
        tf.argmax: lambda input, axis=0: ops.argmax(input, axis),
        tf.argmin: lambda input, axis=0: ops.argmin(input, axis),
        tf.broadcast_to: lambda input, shape: ops.broadcast_to(input, tuple(shape)),
        tf.cast: lambda x, dtype: ops.cast(x, tf.as_dtype(dtype).name),
        tf.clip_by_value: lambda t, clip_value_min, clip_value_max: ops.clip(
            t, clip_value_min, clip_value_max
        ),
        tf.concat: lambda values, axis: ops.concatenate(values, axis),
        tf.einsum: lambda equation, inputs: ops.einsum(equation, *inputs),
        tf.expand_dims: lambda input, axis: ops.expand_dims(input, axis),
        tf.gather: lambda params, indices, axis=0: ops.take(params, indices, axis),
        tf.identity: lambda input: input,
        tf.image.resize: lambda images, size, method="bilinear": ops.image.resize(
            images, size, interpolation=method
        ),
        tf.matmul: _matmul,
        tf.nn.embedding_lookup: lambda params, ids: ops.take(params, ids, axis=0),
        tf.nn.gelu: lambda features, approximate=False: ops.gelu(features, approximate),
        tf.nn.leaky_relu: lambda features, alpha=0.2: ops.leaky_relu(features, alpha),
        tf.nn.log_softmax: lambda logits, axis=-1: ops.log_softmax(logits, axis),
        tf.nn.softmax: lambda logits, axis=-1: ops.softmax(logits, axis),
        tf.pad: lambda tensor, paddings: ops.pad(tensor, paddings),
        tf.pow: lambda x, y: ops.power(x, y),
        tf.repeat: lambda input, repeats, axis=None: ops.repeat(input, repeats, axis),
        tf.reshape: lambda tensor, shape: ops.reshape(tensor, tuple(shape)),
        tf.shape: lambda input, out_type=None: ops.shape(input),
        tf.split: _split,
        tf.squeeze: lambda input, axis=None: ops.squeeze(input, axis),
        tf.stack: lambda values, axis=0: ops.stack(values, axis),
        tf.tile: lambda input, multiples: ops.tile(input, tuple(multiples)),
        tf.transpose: lambda a, perm=None: ops.transpose(a, perm),
        tf.unstack: lambda value, axis=0: ops.unstack(value, axis=axis),
    }


def _matmul(a, b, transpose_a=False, transpose_b=False):
    a, b = (
        ops.swapaxes(x, -1, -2) if is_turned else x
        for x, is_turned in ((a, transpose_a), (b, transpose_b))
    )
    return ops.matmul(a, b)


def _split(value, num_or_size_splits, axis=0):
    parts = num_or_size_splits
    if not isinstance(parts, int):
        parts = [sum(parts[:n]) for n in range(1, len(parts))]
    return ops.split(value, parts, axis)


def _name(function):
    return getattr(function, "__name__", "").removesuffix("_v2")


@functools.cache
def _functions():
    """What takes the place of each function of TensorFlow, by its name.

    What is dispatched is now the public function, now one that it calls.
    """
    import tensorflow as tf

    table = {_name(function): same for function, same in _others(tf).items()}
    for path in _OF_ELEMENTS:
        function = functools.reduce(getattr, path.split("."), tf)
        same = getattr(ops, path.split(".")[-1])
        table[_name(function)] = lambda same=same, **kwargs: same(*kwargs.values())
    for name in _REDUCTIONS:
        reduce = getattr(ops, {"variance": "var"}.get(name, name))
        table[f"reduce_{name}"] = (
            lambda input_tensor, axis=None, keepdims=False, reduce=reduce: reduce(
                input_tensor, axis, keepdims=keepdims
            )
        )
    return table


def _handle(function, args, kwargs):
    """Keras' operation on these arguments, or ``NotImplemented``."""
    same = _functions().get(_name(function))
    if same is None or not tensors_of((args, kwargs)):
        return NotImplemented
    signature = inspect.signature(function)
    arguments = signature.bind(*args, **kwargs).arguments
    arguments.pop("name", None)
    defaults = {key: x.default for key, x in signature.parameters.items()}
    given = {key: x for key, x in arguments.items() if x is not defaults[key]}
    try:
        inspect.signature(same).bind(**given)
    except TypeError:  # it is asked for what Keras' operation does not do
        return NotImplemented
    return same(**given)


@contextlib.contextmanager
def as_operations():
    """Within the context, TensorFlow's functions take symbolic tensors of Keras."""
    if keras.backend.backend() != "tensorflow":
        yield
        return
    with tensorflow_internals.dispatched(_handle):
        yield

"""Attention: whole heads, and the dimensions inside them."""

import numpy as np
from keras import layers

from nestrade_lib.dependency.labels import refill, repeat_each, unknown
from nestrade_lib.dependency.registry import rule
from nestrade_lib.dependency.rules.dense import affected


@rule(layers.MultiHeadAttention)
def multi_head_attention(call):
    layer = call.layer
    query, value, key = _query_value_key(call)
    config = call.config
    heads = call.fresh(config["num_heads"])
    key_dim = call.fresh(config["key_dim"])
    value_dim = call.fresh(config["value_dim"])
    if config["key_dim"] == config["value_dim"]:
        # Fused attention on JAX takes heads of one size only: it stays one.
        call.merge(key_dim, value_dim)
    parts = _parts(layer)
    _project(call, parts["query"], query, heads, key_dim)
    _project(call, parts["key"], key, heads, key_dim)
    _project(call, parts["value"], value, heads, value_dim)
    if "gate" in parts:
        _project(call, parts["gate"], query, heads, value_dim)
    kernel, bias = parts["attention_output"]
    made = [call.fresh(size) for size in kernel.shape[2:]]
    _gather(call, kernel, bias, query, heads, value_dim, made)
    call.resize("num_heads", heads)
    call.resize("value_dim", value_dim)
    _shrink_key_dim(call, "key_dim", key_dim, parts["query"])
    sizes = kernel.shape[2:]
    call.rewrite(
        "output_shape",
        lambda kept: [n if a is None else kept(a) for n, a in zip(sizes, made)],
    )
    pairs = query[1:-1], value[1:-1]
    call.multiplies(None, *pairs, heads, key_dim)
    call.multiplies(None, *pairs, heads, value_dim)
    return _outputs(call, query, heads, made)


@rule(layers.GroupQueryAttention)
def grouped_query_attention(call):
    """A key's head and the query heads that read it are cut together."""
    query, value, key = _query_value_key(call)
    config = call.config
    readers = config["num_query_heads"] // config["num_key_value_heads"]
    heads = call.fresh(config["num_key_value_heads"])
    query_heads = repeat_each(heads, readers)
    head_dim = call.fresh(config["head_dim"])
    parts = _parts(call.layer)
    _project(call, parts["query"], query, query_heads, head_dim)
    _project(call, parts["key"], key, heads, head_dim)
    _project(call, parts["value"], value, heads, head_dim)
    if "gate" in parts:
        _project(call, parts["gate"], query, query_heads, head_dim)
    features = query.axes[-1]  # the layer writes as many features as it reads
    made = [refill(features, np.zeros_like)]
    kernel, bias = parts["attention_output"]
    _gather(call, kernel, bias, query, query_heads, head_dim, made)
    call.resize("num_key_value_heads", heads)
    call.resize("num_query_heads", query_heads)
    _shrink_key_dim(call, "head_dim", head_dim, parts["query"])
    for _ in ("queries with keys", "scores with values"):
        call.multiplies(None, query[1:-1], value[1:-1], query_heads, head_dim)
    return _outputs(call, query, query_heads, made)


def _query_value_key(call):
    named = [call.kwargs.get(name) for name in ("query", "value", "key")]
    placed = list(call.args) + [None] * 3
    query, value, key = (a if a is not None else b for a, b in zip(placed, named))
    key = key if key is not None else value
    for tensor in (query, value, key):
        call.pin_all(tensor.axes[:-1], "attends over them")
    return query, value, key


def _parts(layer):
    """(kernel, bias) of each projection by its name; the bias may be missing."""
    parts = {}
    for variable in layer.weights:
        *_, part, kind = variable.path.split("/")
        kernel, bias = parts.get(part, (None, None))
        parts[part] = (variable, bias) if kind == "kernel" else (kernel, variable)
    return parts


def _project(call, part, tensor, heads, size):
    kernel, bias = part
    call.consumes(kernel, 0, tensor.axes[-1], bias)
    call.produces(kernel, {1: heads, 2: size})
    call.multiplies(kernel, tensor[1:-1])
    call.activates(tensor[1:-1], heads, size)
    if bias is not None:
        call.produces(bias, {0: heads, 1: size})


def _gather(call, kernel, bias, query, heads, size, made):
    call.consumes(kernel, 0, heads)
    call.consumes(kernel, 1, size)
    call.produces(kernel, dict(enumerate(made, start=2)))
    call.multiplies(kernel, query[1:-1])
    if bias is not None:
        call.produces(bias, dict(enumerate(made)))


def _shrink_key_dim(call, key, axis, query):
    """Keras divides scores by sqrt(key_dim): the query makes up for the change."""
    call.resize(key, axis)
    if axis is None:
        return
    whole = len(axis)
    for variable in query:
        if variable is not None:
            call.scales(variable, lambda kept: np.sqrt(kept(axis) / whole))


def _outputs(call, query, heads, made):
    output = (*(None for _ in query.axes[:-1]), *made)
    between = [None] * (2 * (len(query.axes) - 2))
    scores = (None, refill(heads, unknown), *between)
    if not call.kwargs.get("return_attention_scores"):
        return output
    return [output, scores]


@rule(layers.Attention, layers.AdditiveAttention)
def dot_product_attention(call):
    """Query and key have the same channels, which end in the score."""
    query, value, *keys = call.args[0] if call.args else call.kwargs["inputs"]
    key = keys[0] if keys else value
    for tensor in (query, value, key):
        call.pin_all(tensor.axes[:-1], "attends over them")
    features = call.merge(query.axes[-1], key.axes[-1])
    call.absorbs(query.axes[-1])
    call.absorbs(key.axes[-1])
    scale = call.layer.scale
    if scale is not None and len(scale.shape):
        call.carries(scale, {0: features})
    call.multiplies(None, query[1:], value[1:-1])
    call.multiplies(None, query[1:-1], value[1:])
    output = affected(call, value.axes, None)
    if call.kwargs.get("return_attention_scores"):
        return [output, (None, None, None)]
    return output

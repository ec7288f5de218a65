"""Attention: whole heads, and the dimensions inside them."""

import numpy as np
from keras import layers

from nestrade_lib.dependency.labels import refill, repeat_each, unknown
from nestrade_lib.dependency.registry import rule
from nestrade_lib.dependency.rules.dense import affected


@rule(layers.MultiHeadAttention)
def multi_head_attention(call):
    tensors, parts, config = _query_value_key(call), _parts(call.layer), call.config
    heads = call.fresh(config["num_heads"])
    key_dim = call.fresh(config["key_dim"])
    value_dim = call.fresh(config["value_dim"])
    if config["key_dim"] == config["value_dim"]:
        # Fused attention on JAX takes heads of one size only: it stays one.
        call.merge(key_dim, value_dim)
    made = [call.fresh(size) for size in parts["attention_output"][0].shape[2:]]
    call.resize("num_heads", heads)
    call.resize("key_dim", key_dim)
    call.resize("value_dim", value_dim)
    call.rewrite("output_shape", lambda kept: list(map(kept, made)))
    return _attend(call, tensors, parts, heads, heads, key_dim, value_dim, made)


@rule(layers.GroupQueryAttention)
def grouped_query_attention(call):
    """A key's head and the query heads that read it are cut together."""
    tensors, parts, config = _query_value_key(call), _parts(call.layer), call.config
    heads = call.fresh(config["num_key_value_heads"])
    readers = config["num_query_heads"] // config["num_key_value_heads"]
    query_heads = repeat_each(heads, readers)
    head_dim = call.fresh(config["head_dim"])
    # The layer writes as many features as it reads.
    made = [refill(tensors[0].axes[-1], np.zeros_like)]
    call.resize("num_key_value_heads", heads)
    call.resize("num_query_heads", query_heads)
    call.resize("head_dim", head_dim)
    return _attend(call, tensors, parts, heads, query_heads, head_dim, head_dim, made)


def _attend(call, tensors, parts, heads, query_heads, key_dim, value_dim, made):
    """The axes of the outputs, from those of the heads and of what each of them holds."""
    query, value, key = tensors
    _project(call, parts["query"], query, query_heads, key_dim)
    _project(call, parts["key"], key, heads, key_dim)
    _project(call, parts["value"], value, heads, value_dim)
    if "gate" in parts:
        _project(call, parts["gate"], query, query_heads, value_dim)
    for variable in parts["query"]:
        # Keras divides scores by sqrt(key_dim): the query makes up for the change.
        if variable is not None:
            call.scales(variable, lambda kept: np.sqrt(kept(key_dim) / len(key_dim)))
    kernel, bias = parts["attention_output"]
    call.consumes(kernel, 0, query_heads)
    call.consumes(kernel, 1, value_dim)
    call.produces(kernel, dict(enumerate(made, start=2)))
    if bias is not None:
        call.produces(bias, dict(enumerate(made)))
    call.multiplies(kernel, query[1:-1])
    for size in (key_dim, value_dim):
        call.multiplies(None, query[1:-1], value[1:-1], query_heads, size)
    output = (*(None for _ in query.axes[:-1]), *made)
    if not call.kwargs.get("return_attention_scores"):
        return output
    between = [None] * (2 * (len(query.axes) - 2))
    return [output, (None, refill(query_heads, unknown), *between)]


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
    output = affected(value.axes, None)
    if call.kwargs.get("return_attention_scores"):
        return [output, (None, None, None)]
    return output

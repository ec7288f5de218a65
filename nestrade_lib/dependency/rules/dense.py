"""Layers that are one matrix product: Dense, EinsumDense, Embedding."""

import re

from keras import layers

from nestrade_lib.dependency.labels import refill_all, unknown, zero_or_unknown
from nestrade_lib.dependency.registry import rule
from nestrade_lib.dependency.rules.activation import apply_activation


def affected(axes, bias):
    """Axes that are not summed over: an added bias does not leave them constant."""
    return refill_all(axes, zero_or_unknown if bias is None else unknown)


@rule(layers.Dense)
def dense(call):
    layer = call.layer
    *others, features = call.inputs[0].axes
    units = call.fresh(layer.units)
    call.consumes(layer.kernel, 0, features, layer.bias)
    call.produces(layer.kernel, {1: units})
    if layer.use_bias:
        call.produces(layer.bias, {0: units})
    call.resize("units", units)
    call.multiplies(layer.kernel, call.inputs[0][1:-1])
    axes = (*affected(others, layer.bias), units)
    return apply_activation(call, axes, layer.activation)


@rule(layers.EinsumDense)
def einsum_dense(call):
    layer = call.layer
    read, kernel, made = _equation(layer.equation, len(call.inputs[0].shape))
    axes = dict(zip(read, call.inputs[0].axes))
    for letter in set(read) - set(kernel + made):  # summed over before the product
        call.absorbs(axes[letter])
    made_axes = {}
    for number, letter in enumerate(kernel):
        if letter not in made:
            call.consumes(layer.kernel, number, axes[letter])
        elif letter in read:
            call.carries(layer.kernel, {number: axes[letter]})
        else:
            made_axes[letter] = call.fresh(layer.kernel.shape[number])
            call.produces(layer.kernel, {number: made_axes[letter]})
    kept = affected([axes.get(letter) for letter in made], layer.bias)
    out = tuple(made_axes.get(letter, axis) for letter, axis in zip(made, kept))
    if layer.bias is not None:
        # The bias has the letters of bias_axes, in the order of the output.
        letters = [letter for letter in made if letter in layer.bias_axes]
        # An output axis before the first of them is broadcast in the bias.
        tail = made[made.index(letters[0]) :]
        call.produces(
            layer.bias,
            {
                number: out[made.index(letter)]
                for number, letter in enumerate(tail)
                if letter in layer.bias_axes
            },
        )
    repeated = [n for n, x in enumerate(read) if n and x in made and x not in kernel]
    call.multiplies(layer.kernel, call.inputs[0][repeated])
    stated = call.config["output_shape"]
    stated = list(stated) if isinstance(stated, (list, tuple)) else [stated]

    def output_shape(kept):
        sized = zip(stated, out[len(out) - len(stated) :])
        return [
            size if size is None or axis is None else kept(axis) for size, axis in sized
        ]

    call.rewrite("output_shape", output_shape)
    return apply_activation(call, out, layer.activation)


def _equation(equation, rank):
    """The letters of input, kernel and output, an ellipsis spelled out."""
    read, kernel, made = re.split(",|->", equation.replace(" ", ""))
    spare = "".join(c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in equation)
    spare = spare[: rank - len(read.replace("...", ""))]
    return read.replace("...", spare), kernel, made.replace("...", spare)


@rule(layers.Embedding)
def embedding(call):
    return _embed(call)


@rule(layers.ReversibleEmbedding)
def reversible_embedding(call):
    layer = call.layer
    reverse = call.kwargs.get("reverse", (list(call.args) + [False, False])[1])
    if not reverse:
        return _embed(call)
    *others, features = call.inputs[0].axes
    tied = layer.tie_weights
    weight = layer.embeddings if tied else layer.reverse_embeddings
    call.consumes(weight, 1 if tied else 0, features)
    call.multiplies(weight, call.inputs[0][1:-1])
    return (*affected(others, None), None)


def _embed(call):
    layer = call.layer
    call.pin_all(call.inputs[0].axes, "looks them up")
    features = call.fresh(layer.output_dim)
    call.produces(layer.embeddings, {1: features})
    call.resize("output_dim", features)
    return (*(None for _ in call.inputs[0].axes), features)

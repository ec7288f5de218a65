"""How often one sample's forward pass uses each weight of a network.

The model is traced once, abstractly, on its own backend, while every layer call is
watched: nothing is computed, shared layers are seen once a call, and nested models
and composite layers are seen inside. A small rule a layer type then says how often
such a call uses each of its weights.

>>> model = keras.Sequential([keras.Input((9, 1)), keras.layers.Conv1D(2, 3)])
>>> uses = variable_uses(model)
>>> [uses.get(id(v), 0) for v in model.variables]  # kernel: at 7 positions; bias
[7, 0]
"""

import math
from dataclasses import dataclass

import keras
from keras import layers as kl

_RULES = {}


def variable_uses(model):
    """Tell how often one sample's forward pass uses each weight.

    Parameters
    ----------
    model : keras.Model
        Built; as in :func:`nestrade_lib.count_costs`.

    Returns
    -------
    dict of int to int
        ``id(variable)`` to its uses, for each variable that is multiplied. Variables
        that cost no MACs by custom, such as biases and norms, are not in it.

    Raises
    ------
    ValueError
        As in :func:`nestrade_lib.count_costs`.

    Examples
    --------
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    >>> list(variable_uses(model).values())
    [1]
    """
    uses = {}
    for call in record_calls(model):
        for variable, times in call.uses or ():
            if variable is not None:
                uses[id(variable)] = uses.get(id(variable), 0) + times
    return uses


def register_macs(layer_class):
    """Teach the counter a layer of your own.

    The decorated function gets the layer, a list of its inputs' shapes and the shape
    of its output (with batch axis 1), and returns pairs ``(variable, uses)``. A pair
    ``(None, n)`` adds n MACs that go through no weight, as in attention.

    Parameters
    ----------
    layer_class : type
        A subclass of `keras.Layer`. Its subclasses inherit the rule.

    Examples
    --------
    >>> class Scale(keras.layers.Layer):
    ...     def build(self, shape):
    ...         self.factor = self.add_weight(shape=shape[-1:])
    ...     def call(self, x):
    ...         return x * self.factor
    >>> @register_macs(Scale)
    ... def scale(layer, inputs, output):
    ...     return [(layer.factor, 1)]
    >>> variable_uses(keras.Sequential([keras.Input((4,)), Scale()])).values()
    dict_values([1])
    """

    def register(rule):
        _RULES[layer_class] = rule
        return rule

    return register


@dataclass(frozen=True)
class Call:
    """One call of one layer, as seen while the model was traced.

    Attributes
    ----------
    layer : keras.Layer
    variables : tuple of keras.Variable
        The layer's own, without those of layers called inside it.
    input_shapes : list of tuple of int
        Of all tensors among the arguments, batch axis 1.
    output_shape : tuple of int
        Of the first output, batch axis 1.
    """

    layer: keras.Layer
    variables: tuple
    input_shapes: list
    output_shape: tuple

    @property
    def uses(self):
        """Pairs (variable or None, uses) as the layer's rule tells; None without one.

        Layers without variables need no rule, nor do Keras' own that have but
        vectors: those scale or shift, which counts no MACs by custom.
        """
        rule = _rule_of(self.layer)
        if rule:
            return rule(self.layer, self.input_shapes, self.output_shape)
        from_keras = type(self.layer).__module__.startswith("keras.")
        vectors = all(len(v.shape) <= 1 for v in self.variables)
        return [] if not self.variables or (from_keras and vectors) else None

    @property
    def macs(self):
        """Multiply-accumulates of this call, or None where no rule knows them."""
        uses = self.uses
        if uses is None:
            return None
        return sum(n * (1 if v is None else math.prod(v.shape)) for v, n in uses)


def record_calls(model):
    """List the layer calls that one sample's forward pass makes.

    Parameters
    ----------
    model : keras.Model
        Built.

    Returns
    -------
    list of Call
        Of the innermost layers, and of those around them that own variables or have
        a rule; inputs left out.

    Raises
    ------
    ValueError
        As in :func:`nestrade_lib.count_costs`.

    Examples
    --------
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="a")])
    >>> [(call.layer.name, call.macs) for call in record_calls(model)]
    [('a', 6)]
    """
    inputs = _one_sample(model)
    inside = [[]]  # a list for each layer being called: the calls seen inside it
    plain_call = keras.Layer.__call__

    def watched_call(layer, *args, **kwargs):
        inside.append([])
        try:
            outputs = plain_call(layer, *args, **kwargs)
        finally:
            nested = inside.pop()
        if isinstance(layer, (kl.RNN, kl.TimeDistributed)):
            nested = []  # these loop over calls of their insides: their rule counts all
        inside[-1].extend([*nested, *_observe(layer, [args, kwargs], outputs, nested)])
        return outputs

    keras.Layer.__call__ = watched_call
    try:
        keras.Operation.compute_output_spec(model, inputs)
    finally:
        keras.Layer.__call__ = plain_call
    return inside[0]


def _one_sample(model):
    """Symbolic inputs of a model, with batch axis 1."""
    if not isinstance(model, keras.Model) or not model.built:
        raise ValueError(
            f"Expected a built keras.Model, got {model!r}. Give it its input shape, "
            "with keras.Input or model.build(...), first."
        )
    try:
        structure = model.input
    except (AttributeError, ValueError):  # subclassed: only its build knows the shape
        shape = (model.get_build_config() or {}).get("input_shape")
        if shape is None:
            raise ValueError(
                f"Model {model.name!r} does not tell its input shape. Wrap it: "
                "keras.Model(x, model(x)) with x = keras.Input(...)."
            ) from None
        structure = keras.KerasTensor(shape, name="input")

    def one(x):
        if None in x.shape[1:]:
            raise ValueError(
                f"Input {x.name!r} of model {model.name!r} has the open shape {x.shape}, "
                "so its cost depends on the data. Build it with a fixed shape."
            )
        return keras.KerasTensor((1, *x.shape[1:]), dtype=x.dtype)

    return keras.tree.map_structure(one, structure)


def _observe(layer, arguments, outputs, nested):
    """Give the `Call` of a layer, or none if those inside it tell all there is."""
    owned_inside = {id(v) for call in nested for v in call.layer.weights}
    own = tuple(v for v in layer.weights if id(v) not in owned_inside)
    has_news = own or not nested or _rule_of(layer)
    if isinstance(layer, kl.InputLayer) or not has_news:
        return []
    inputs = [tuple(x.shape) for x in keras.tree.flatten(arguments) if _is_tensor(x)]
    output = tuple(keras.tree.flatten(outputs)[0].shape)
    return [Call(layer, own, inputs, output)]


def _is_tensor(x):
    return hasattr(x, "shape") and hasattr(x, "dtype")


def _rule_of(layer):
    return next((_RULES[c] for c in type(layer).__mro__ if c in _RULES), None)


def _positions(layer, shape):
    """Entries of a shape besides the batch and the channels."""
    channels_last = getattr(layer, "data_format", "channels_last") == "channels_last"
    return math.prod(shape[1:-1] if channels_last else shape[2:])


@register_macs(kl.Dense)
def _dense(layer, inputs, output):
    return [(layer.kernel, math.prod(output[1:-1]))]


@register_macs(kl.EinsumDense)
def _einsum_dense(layer, inputs, output):
    # Each weight meets every combination of the output's axes that it lacks itself.
    kernel, result = layer.equation.replace(" ", "").split(",")[1].split("->")
    named = result.replace("...", "")
    free = output[: len(output) - len(named)]  # the axes under "...", if any
    sizes = zip(named, output[len(free) :], strict=True)
    times = math.prod(size for axis, size in sizes if axis not in kernel)
    return [(layer.kernel, math.prod(free) * times)]


@register_macs(kl.Conv1D)
@register_macs(kl.Conv2D)
@register_macs(kl.Conv3D)
@register_macs(kl.DepthwiseConv1D)
@register_macs(kl.DepthwiseConv2D)
def _convolution(layer, inputs, output):
    return [(layer.kernel, _positions(layer, output))]


@register_macs(kl.Conv1DTranspose)
@register_macs(kl.Conv2DTranspose)
@register_macs(kl.Conv3DTranspose)
def _transposed_convolution(layer, inputs, output):
    return [(layer.kernel, _positions(layer, inputs[0]))]


@register_macs(kl.SeparableConv1D)
@register_macs(kl.SeparableConv2D)
def _separable_convolution(layer, inputs, output):
    times = _positions(layer, output)
    return [(layer.depthwise_kernel, times), (layer.pointwise_kernel, times)]


@register_macs(kl.SimpleRNN)
@register_macs(kl.LSTM)
@register_macs(kl.GRU)
def _recurrent(layer, inputs, output):
    steps, cell = inputs[0][1], layer.cell
    return [(cell.kernel, steps), (cell.recurrent_kernel, steps)]


@register_macs(kl.TimeDistributed)
def _time_distributed(layer, inputs, output):
    steps = inputs[0][1]
    step = keras.Input(inputs[0][2:], batch_size=1)
    calls = record_calls(keras.Model(step, layer.layer(step)))
    if any(call.uses is None for call in calls):
        return None
    return [(v, n * steps) for call in calls for v, n in call.uses]


@register_macs(kl.MultiHeadAttention)
def _multi_head_attention(layer, inputs, output):
    # The projections are layers of their own. Here: queries · keys, scores · values.
    query, value = inputs[:2]
    pairs = math.prod(query[1:-1]) * math.prod(value[1:-1]) * layer.num_heads
    return [(None, pairs * (layer.key_dim + layer.value_dim))]


@register_macs(kl.GroupQueryAttention)
def _group_query_attention(layer, inputs, output):
    query, value = inputs[:2]
    return [(None, query[1] * value[1] * layer.num_query_heads * 2 * layer.head_dim)]


@register_macs(kl.Attention)
def _dot_attention(layer, inputs, output):
    query, value = inputs[:2]
    return [(None, query[1] * value[1] * (query[2] + value[2]))]


@register_macs(kl.Dot)
def _dot(layer, inputs, output):
    axis = layer.axes if isinstance(layer.axes, int) else layer.axes[0]
    return [(None, math.prod(output) * inputs[0][axis])]


@register_macs(kl.Normalization)
@register_macs(kl.PReLU)
@register_macs(kl.Embedding)
def _no_macs(layer, inputs, output):
    return []

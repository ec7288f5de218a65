"""The layer calls of one forward pass, watched while nothing is computed."""

import math
from dataclasses import dataclass

import keras
from keras import layers as kl

from nestrade_lib.arrays import in_order
from nestrade_lib.costs.registry import find_rule
from nestrade_lib.internals import from_keras, watched_calls


@dataclass(frozen=True)
class Call:
    """One call of one layer, as seen while the model was traced.

    Attributes
    ----------
    layer : keras.Layer
    variables : tuple of keras.Variable
        The layer's own, without those of layers called inside it.
    input_shapes : list of tuple of int
        Of all tensors among the arguments, in the order of the layer's signature;
        batch axis 1.
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
        rule = find_rule(self.layer)
        if rule:
            return rule(self.layer, self.input_shapes, self.output_shape)
        by_keras = from_keras(type(self.layer))
        vectors = all(len(v.shape) <= 1 for v in self.variables)
        return [] if not self.variables or (by_keras and vectors) else None

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

    def observed(call, layer, *args, **kwargs):
        inside.append([])
        try:
            outputs = call(layer, *args, **kwargs)
        finally:
            nested = inside.pop()
        if isinstance(layer, (kl.RNN, kl.TimeDistributed)):
            nested = []  # these loop over calls of their insides: their rule counts all
        inside[-1].extend(
            [*nested, *_observe(layer, in_order(layer, args, kwargs), outputs, nested)]
        )
        return outputs

    attempt = _Attempt(model, inside)
    with watched_calls(observed):
        keras.Operation.compute_output_spec(attempt, inputs)
    return inside[0]


class _Attempt(keras.Operation):
    """A model's call. Keras on PyTorch begins anew, in another way, where one fails."""

    def __init__(self, model, inside):
        super().__init__(name=model.name)
        self.model, self.inside = model, inside

    def call(self, *args, **kwargs):
        self.inside[:] = [[]]
        return self.model.call(*args, **kwargs)


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
    has_news = own or not nested or find_rule(layer)
    if isinstance(layer, kl.InputLayer) or not has_news:
        return []
    inputs = [tuple(x.shape) for x in keras.tree.flatten(arguments) if _is_tensor(x)]
    output = tuple(keras.tree.flatten(outputs)[0].shape)
    return [Call(layer, own, inputs, output)]


def _is_tensor(x):
    return hasattr(x, "shape") and hasattr(x, "dtype")

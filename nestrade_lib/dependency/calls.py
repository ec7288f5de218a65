"""The layer calls of one forward pass, watched while nothing is computed."""

import math
from dataclasses import dataclass, replace

import keras
from keras import tree

from nestrade_lib.dependency.call import Call, UnsupportedLayer, bytes_per_number
from nestrade_lib.dependency.labels import (
    Channels,
    Labels,
    plain,
    sized,
    without_channels,
)
from nestrade_lib.dependency.own_products import count_own_products
from nestrade_lib.dependency.record import Record, Term
from nestrade_lib.dependency.registry import find_products, find_rule
from nestrade_lib.internals import from_keras, watched_calls


@dataclass(frozen=True)
class LayerCall:
    """One call of one layer, for one sample.

    Attributes
    ----------
    layer : keras.Operation
    variables : list of keras.Variable
        Its own, and those of the layers inside it where its rule covers them.
    output_shape : tuple of int
        Of the first output, without the batch axis.
    activation_bytes : int
    macs : int or None
        None where no rule knows them, and no call shows them.
    reuse : dict of int to int
        ``id(variable)`` to how often each of its elements is multiplied.
    """

    layer: keras.Operation
    variables: list
    output_shape: tuple
    activation_bytes: int
    macs: int | None
    reuse: dict


def record_calls(model, input_shape=None):
    """List the layer calls that one sample's forward pass makes.

    They are those of the innermost layers, of layers with a rule, which covers the
    layers inside, and of layers that own variables. Operations of a functional model
    are listed where they cost MACs.
    """
    inputs = _one_sample(model, input_shape)
    return _watch(model.call, (inputs,), {})


def _watch(function, args, kwargs):
    inside = [[]]  # a list for each layer being called: the calls seen inside it

    def watch(call, layer, *args, **kwargs):
        inside.append([])
        try:
            outputs = call(layer, *args, **kwargs)
        finally:
            nested = inside.pop()
        shape = tuple(tree.flatten(outputs)[0].shape)[1:]
        inside[-1].append((layer, *_tensors((args, kwargs)), shape, nested))
        return outputs

    attempt = _Attempt(function, inside)
    with watched_calls(watch):
        try:
            keras.Operation.compute_output_spec(attempt, *args, **kwargs)
            is_inferred = all(map(_is_whole, inside[0]))
        except (TypeError, ValueError):
            is_inferred = False
        if not is_inferred:  # Keras knows no shape for some operation: it has to run
            args, kwargs = tree.map_structure(_zeros, (args, kwargs))
            attempt.call(*args, **kwargs)
    return [call for seen in inside[0] for call in _listed(*seen)]


def _is_whole(seen):
    """Whether the output shape of a call and of those inside it has no open length."""
    *_, shape, nested = seen
    return None not in shape and all(map(_is_whole, nested))


def _zeros(leaf):
    if isinstance(leaf, keras.KerasTensor):
        return keras.ops.zeros(leaf.shape, leaf.dtype)
    return leaf


def _tensors(arguments):
    """Call arguments as a rule sees them, the channels of all tensors never cut."""

    def as_channels(value):
        if not hasattr(value, "shape") or not hasattr(value, "dtype"):
            return value
        tensor = without_channels(value)
        return replace(tensor, axes=(None, *map(_never_cut, tensor.shape[1:])))

    return tree.map_structure(as_channels, arguments)


def _never_cut(size):
    return None if size is None else plain(size)


class _Attempt(keras.Operation):
    """A function's call. Keras on PyTorch begins anew, in another way, where one fails."""

    def __init__(self, function, inside):
        super().__init__()
        self.function, self.inside = function, inside

    def call(self, *args, **kwargs):
        self.inside[:] = [[]]
        return self.function(*args, **kwargs)


def _one_sample(model, input_shape):
    """Symbolic inputs of a model, with batch axis 1, and open axes as the shape states."""
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
                f"Model {model.name!r} does not state its input shape. Wrap it: "
                "keras.Model(x, model(x)) with x = keras.Input(...)."
            ) from None
        structure = keras.KerasTensor(shape, name="input")

    def one(x):
        if None in x.shape[1:]:
            raise ValueError(
                f"Input {x.name!r} of model {model.name!r} has the open shape {x.shape}, "
                "so its cost depends on the data. Pass input_shape=, that of one sample; "
                "a Nestrade takes that of the data in fit, or of inputs=."
            )
        return keras.KerasTensor((1, *x.shape[1:]), dtype=x.dtype)

    tensors = tree.flatten(structure)
    is_alone = isinstance(input_shape, tuple) and len(tensors) == 1
    tensors = sized(tensors, [input_shape] if is_alone else input_shape)
    return tree.pack_sequence_as(structure, list(map(one, tensors)))


def _listed(layer, args, kwargs, shape, nested):
    """What to list for a call: the layer itself, the calls inside it, or both."""
    rule, count, counter = find_rule(layer), find_products(layer), Counter()
    call = Call(counter, layer, (), args, kwargs)
    variables = list(getattr(layer, "weights", ()))
    by_keras = from_keras(type(layer))
    if count is not None:
        count(call, call.outputs()[0])
    if rule is None:
        nested = [inner for seen in nested for inner in _listed(*seen)]
        covered = {id(v) for inner in nested for v in inner.variables}
        variables = [v for v in variables if id(v) not in covered]
        if nested and not variables:
            return nested
        counted = by_keras and all(len(v.shape) <= 1 for v in variables)
        counted = counted or bool(variables) and count_own_products(call)
    else:
        nested, counted = [], counter.count(rule, call)
        # A user's rule that names no product of a matrix may have forgotten it.
        counted = counted and all(
            by_keras or len(v.shape) <= 1 or id(v) in counter.reuse for v in variables
        )
    if isinstance(layer, keras.layers.InputLayer) or (
        not isinstance(layer, keras.Layer) and not counter.reuse
    ):
        return nested
    held = bytes_per_number(layer) * math.prod(shape) + counter.activation_bytes
    macs = counter.macs if counted or not variables else None
    return [*nested, LayerCall(layer, variables, shape, held, macs, counter.reuse)]


class NoChannels(Labels):
    """Labels of a network in which nothing is to be cut."""

    def fresh(self, length):
        return plain(length)


class Counter:
    """Runs a layer's rule on channels that are never cut, for the costs that it states."""

    def __init__(self):
        self.record = Record(labels=NoChannels())
        self.sizes: dict = {None: 1}

    def name(self, layer):
        return layer.name

    def path(self, variable):
        self.sizes[id(variable)] = math.prod(variable.shape)
        return id(variable)

    def config(self, call):
        return call.layer.get_config()

    def apply(self, layer, path, args, kwargs):
        """The outputs of a layer inside the one counted."""
        call, rule = Call(self, layer, path, args, kwargs), find_rule(layer)
        if rule is None:
            for variable in layer.weights:
                self.path(variable)
            for inside in inner_calls(call):
                if inside.macs is None:
                    call.refuse("no rule states what it multiplies")
                for variable, times in inside.reuse.items():
                    self.record.products.append(Term(times, (), variable))
        return call.outputs(rule and rule(call))

    def count(self, rule, call):
        """Run a rule; whether it could describe the call."""
        try:
            rule(call)
        except UnsupportedLayer:
            return False
        return True

    @property
    def reuse(self):
        """How often each element of a variable, by its id, is multiplied."""
        reuse = {}
        for term in self.record.products:
            reuse[term.variable] = reuse.get(term.variable, 0) + _value(term)
        return reuse

    @property
    def macs(self):
        return sum(times * self.sizes[key] for key, times in self.reuse.items())

    @property
    def activation_bytes(self):
        return sum(map(_value, self.record.activations))


def _value(term):
    return term.number * math.prod(map(len, term.axes))


def inner_calls(call):
    """The layer calls that a call of a layer without a rule makes, for one sample."""

    def one(leaf):
        if not isinstance(leaf, Channels):
            return leaf
        return keras.KerasTensor((1, *leaf.shape[1:]), leaf.dtype)

    args, kwargs = tree.map_structure(one, (call.args, call.kwargs))
    return _watch(call.layer, args, kwargs)

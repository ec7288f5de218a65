"""The walk through a network's configuration, calling one rule per layer call.

The configuration is the public description of the graph, and the smaller
network is built from it: every edit that a rule asks for has its place there.
"""

from functools import reduce
from operator import getitem

import keras
import numpy as np

from nestrade_lib.configuration import configuration
from nestrade_lib.dependency.call import (
    Call,
    UnsupportedLayer,
    WrongRule,
    bytes_per_number,
)
from nestrade_lib.dependency.calls import inner_calls
from nestrade_lib.dependency.frozen import FROZEN
from nestrade_lib.dependency.labels import sized, without_channels
from nestrade_lib.dependency.observed import follow, zeros_of
from nestrade_lib.dependency.own_penalties import keep_what_they_need
from nestrade_lib.dependency.record import Application, Term, term
from nestrade_lib.dependency.registry import find_products, find_rule
from nestrade_lib.internals import (
    all_layers,
    calls_in,
    from_keras,
    is_functional,
    producer_of,
)
from nestrade_lib.names import layer_names, variable_paths

IGNORED = "is kept (ignored_layers=)"
_HIDDEN = "a subclassed model hides its graph (build it with the functional API)"


class Walk:
    """One trace under way, from input tensors to output tensors."""

    def __init__(self, network, ignored_layers, record, shapes=None):
        self.record = record
        self.shapes = shapes  # of one sample of each input, where some are open
        self.names = layer_names(network)
        self.paths = variable_paths(network.variables)
        self.ignored_layers = {self._ignored(item, network) for item in ignored_layers}
        self.met = set()

    def name(self, layer):
        """What the layer is called: unlike every other of the network."""
        return self.names.get(id(layer), layer.name)

    def path(self, variable):
        """Which variable it is: unlike every other of the network."""
        return self.paths.get(id(variable), variable.path)

    def config(self, call) -> dict:
        """The configuration of a layer inside that of the network."""
        return reduce(getitem, call.path, self.configuration)

    def _ignored(self, item, network):
        """The name of a layer that the user gave by name or as an object."""
        if id(item) in self.names:
            return self.names[id(item)]
        name = getattr(item, "name", item)
        same = [x for x in self.names.values() if x.split("/")[-1] == name]
        if name in self.names.values() or not same:
            return name
        if len(same) > 1:
            raise ValueError(
                f"ignored_layers names {name!r}, and {network.name!r} has several layers of that "
                f"name: {', '.join(map(repr, same))}. Say which, or name them all."
            )
        return same[0]

    def network(self, network):
        """The outputs of a whole network; its inputs have no channels."""
        if not (is_functional(network) or isinstance(network, keras.Sequential)):
            Call(self, network, (), [], {}).refuse(_HIDDEN)
        require_no_memory(network)
        self.configuration, _ = configuration(network)
        tensors = sized(keras.tree.flatten(network.inputs), self.shapes)
        inputs = map(without_channels, tensors)
        return self.apply(network, (), list(inputs), {})

    def apply(self, layer, path, args, kwargs, node=()) -> list:
        """The outputs of a layer, from its arguments."""
        call = Call(self, layer, path, args, kwargs, node)
        self.met.add(call.name)
        is_ignored = bool(call.path) and call.name in self.ignored_layers
        if is_ignored and not is_by_keras(layer):
            return self._uncut(call, IGNORED)
        labels, products = self.record.labels.count, len(self.record.products)
        try:
            if isinstance(layer, keras.Model):
                return self._network(call)
            outputs = self._layer(call)
            if is_ignored:  # what it makes stays; of what it reads, its rows may go
                made = np.arange(labels, self.record.labels.count)
                self.record.labels.pin(made, call.name, IGNORED)
                for tensor in outputs:
                    call.pin_all(tensor.axes, IGNORED)
            return outputs
        except WrongRule:
            raise
        except UnsupportedLayer as refusal:
            if not path:  # the network itself
                raise
            reason = str(refusal)
        if not is_ignored:
            self.record.unsupported[call.name] = reason
        # What a rule made before it refused stays as it is too.
        made = np.arange(labels, self.record.labels.count)
        self.record.labels.pin(made, call.name, "cannot be followed")
        del self.record.products[products:]
        return self._uncut(call, "cannot be followed")

    def _layer(self, call: Call):
        """The outputs of a layer by its rule, or as running it shows."""
        layer = call.layer
        require_plain_weights(call)
        rule = find_rule(layer)
        products = len(self.record.products)
        if rule is None and getattr(layer, "weights", ()):
            if is_builtin(layer) and not any(x.has_channels for x in call.inputs):
                return self._uncut(call, "has no rule")
            call.refuse("no rule says how channels pass through it")
        axes = self._observed(call) if rule is None else rule(call)
        outputs = call.outputs(axes)
        keep_what_they_need(call, outputs)
        count = find_products(layer)
        if count is not None:
            count(call, outputs[0])
        if call.is_frozen and any(
            self.path(v) in self.record.scales for v in layer.weights
        ):
            for tensor in call.inputs + outputs:
                call.pin_all(tensor.axes, FROZEN)
        self.record.applications.append(Application(call.name, outputs))
        if isinstance(layer, keras.Layer) or len(self.record.products) > products:
            held = term(bytes_per_number(layer), outputs[0][1:])
            self.record.activations.append(held)
        return outputs

    def _observed(self, call):
        """The axes of the outputs of a layer or operation without weights and rule."""
        if not any(x.has_channels for x in call.inputs):
            return zeros_of(call)
        axes, reason = follow(call, call.layer, call.args, call.kwargs)
        if axes is None:
            kind = type(call.layer).__name__
            self.record.unsupported[call.name] = f"{call.name!r} ({kind}): it {reason}"
        return axes

    def _uncut(self, call, reason):
        """The outputs of a layer that is never cut, which costs what it does now."""
        for tensor in call.inputs:
            call.pin_all(tensor.axes, reason)
        if any(None in tensor.shape[1:] for tensor in call.inputs):
            self.record.products.append(Term(None, ()))
        else:
            for inside in inner_calls(call):
                self.record.products.append(Term(inside.macs or 0, ()))
                self.record.activations.append(Term(inside.activation_bytes, ()))
        return call.outputs()

    def _network(self, call: Call) -> list:
        network = call.layer
        by_keras = from_keras(type(network).call)
        if by_keras and "layers" not in call.config:
            call.refuse(
                "its class takes other arguments than inputs and outputs, so its "
                "configuration has no graph (keras.Model(network.inputs, "
                "network.outputs) has the same layers, and has one)"
            )
        if by_keras and isinstance(network, keras.Sequential):
            return self._chain(call)
        if by_keras and is_functional(network):
            return self._graph(call)
        call.refuse(_HIDDEN)

    def _chain(self, call):
        tensors = call.inputs[:1]
        first = len(call.config["layers"]) - len(call.layer.layers)
        if first:  # the InputLayer, which Sequential does not list
            resize_input(call, 0, call.layer.inputs[0], tensors[0])
        for index, layer in enumerate(call.layer.layers, start=first):
            place = call.path + ("layers", index, "config")
            tensors = self.apply(layer, place, tensors[:1], {})
        return tensors[:1]

    def _graph(self, call):
        network, items = call.layer, call.config["layers"]
        index_of = {item["name"]: index for index, item in enumerate(items)}
        tensors = {}
        for symbol, tensor in zip(network.inputs, call.inputs):
            tensors[id(symbol)] = tensor
            index = index_of[producer_of(symbol).name]
            resize_input(call, index, symbol, tensor)
        waiting = [
            (layer, number, *arguments)
            for layer in network.operations
            for number, arguments in enumerate(calls_in(network, layer))
        ]
        while waiting:
            later = []
            for layer, number, args, kwargs, symbols in waiting:
                try:
                    inputs = with_tensors(args, tensors), with_tensors(kwargs, tensors)
                except KeyError:  # an input of this call is still to come
                    later.append((layer, number, args, kwargs, symbols))
                    continue
                place = call.path + ("layers", index_of[layer.name])
                node = place + ("inbound_nodes", number)
                outputs = self.apply(layer, place + ("config",), *inputs, node=node)
                tensors.update(zip(map(id, symbols), outputs))
            if len(later) == len(waiting):
                call.refuse("its graph has calls whose inputs never come")
            waiting = later
        return [tensors[id(symbol)] for symbol in network.outputs]


def resize_input(call, index, symbol, tensor):
    """A nested network's input has the channels of the tensor that enters it."""
    keys = ("layers", index, "config", "batch_shape")
    if tensor.has_channels:
        call.rewrite(
            keys,
            lambda kept: tuple(
                size if axis is None else kept(axis)
                for size, axis in zip(symbol.shape, tensor.axes)
            ),
        )


def with_tensors(arguments, tensors):
    """The arguments of a call, each symbolic tensor replaced by its ``Channels``."""
    return keras.tree.map_structure(
        lambda leaf: tensors[id(leaf)] if isinstance(leaf, keras.KerasTensor) else leaf,
        arguments,
    )


def is_by_keras(layer):
    """Whether a layer runs Keras' code alone, and is no model."""
    parts = all_layers(layer) if isinstance(layer, keras.Layer) else [layer]
    others = keras.Model, keras.layers.Lambda
    return all(from_keras(type(x)) and not isinstance(x, others) for x in parts)


def is_builtin(layer):
    """Keras' own layers, except those that run the user's code."""
    return from_keras(type(layer)) and not isinstance(
        layer, (keras.layers.Lambda, keras.layers.Wrapper, keras.layers.RNN)
    )


def require_no_memory(network):
    """States from batch to batch are of one batch size, and none of Keras' variables."""
    kinds = (keras.layers.RNN, keras.layers.Bidirectional)
    for layer in all_layers(network):
        if isinstance(layer, kinds) and layer.stateful:
            raise UnsupportedLayer(
                f"Layer {layer.name!r} ({type(layer).__name__}): expected a layer that "
                "begins each batch anew, got one with stateful=True, whose states a cut "
                "would lose. Build it with stateful=False; to go on from earlier states, "
                "make them inputs of the network (initial_state=) and outputs "
                "(return_state=True)."
            )


def require_plain_weights(call):
    if getattr(call.layer, "lora_enabled", False):
        call.refuse("its LoRA factors are not followed (enable_lora after pruning)")
    if getattr(call.layer, "quantization_mode", None):
        call.refuse("its weights are quantized (quantize after pruning)")

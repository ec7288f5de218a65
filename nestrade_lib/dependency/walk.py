"""The walk through a network's configuration, calling one rule a layer call.

The configuration is the public description of the graph, and the smaller
network is built from it: every edit that a rule asks for has its place there.
"""

import keras

from nestrade_lib.dependency.call import Application, Call, Record, UnsupportedLayer
from nestrade_lib.dependency.labels import Channels
from nestrade_lib.dependency.registry import find_rule
from nestrade_lib.internals import all_layers, from_keras, is_functional
from nestrade_lib.names import layer_names, variable_paths

_HIDDEN = "a subclassed model hides its graph (build it with the functional API)"


class Walk:
    """One trace under way. Outputs are lists of axes, ``None`` for all plain."""

    def __init__(self, network, ignored_layers):
        self.record = Record()
        self.names = layer_names(network)
        self.paths = variable_paths(network.variables)
        self.ignored_layers = {self._kept(item, network) for item in ignored_layers}
        self.met = set()

    def name(self, layer):
        """What the layer is called: unlike every other of the network."""
        return self.names.get(id(layer), layer.name)

    def path(self, variable):
        """Which variable it is: unlike every other of the network."""
        return self.paths.get(id(variable), variable.path)

    def _kept(self, item, network):
        """The name of a layer that was given by name or as an object."""
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
        """The axes of a whole network's outputs; its inputs have no channels."""
        if not (is_functional(network) or isinstance(network, keras.Sequential)):
            Call(self, network, {}, (), [], {}).refuse(_HIDDEN)
        require_no_memory(network)
        try:
            config = network.get_config()
        except NotImplementedError as error:
            raise UnsupportedLayer(
                f"A layer of {network.name!r} has no complete get_config, from which the "
                f"smaller network would be built. {error}"
            ) from error
        inputs = [
            Channels(tuple(tensor.shape), (None,) * len(tensor.shape))
            for tensor in keras.tree.flatten(network.inputs)
        ]
        return self.apply(network, config, (), inputs, {}) or []

    def apply(self, layer, config, path, args, kwargs, node=None):
        """The axes of a layer's outputs, from its arguments."""
        call = Call(self, layer, config, path, args, kwargs, node)
        if not from_keras(type(layer)):  # Keras finds its own
            self.record.custom_objects[type(layer).__name__] = type(layer)
        self.met.add(call.name)
        if call.path and call.name in self.ignored_layers:
            keep_functions(call)
            return untouched(call, "is kept (ignored_layers=)")
        if isinstance(layer, keras.Model):
            return self._network(call)
        require_plain_weights(call)
        rule = find_rule(layer)
        if rule is None:
            if is_builtin(layer) and not any(map(has_channels, call.inputs)):
                return None
            call.refuse("no rule says how channels pass through it")
        before = len(self.record.products)
        outputs = rule(call)
        if outputs is None:
            return None
        outputs = outputs if isinstance(outputs, list) else [outputs]
        if is_frozen(layer):
            for axes in [given.axes for given in call.inputs] + outputs:
                call.pin_all(axes, "is frozen (trainable=False)")
        products = self.record.products[before:]  # those of layers inside it too
        self.record.applications.append(Application(call.name, outputs, products))
        return outputs

    def _network(self, call):
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
        items = call.config["layers"]
        channels = call.inputs[0]
        first = len(items) - len(call.layer.layers)
        if first:  # the InputLayer, which Sequential does not list
            resize_input(call, 0, channels)
        for index, layer in enumerate(call.layer.layers, start=first):
            path = call.path + ("layers", index, "config")
            outputs = self.apply(layer, items[index]["config"], path, [channels], {})
            shape = output_shape(layer, channels.shape)
            axes = outputs[0] if outputs else (None,) * len(shape)
            channels = Channels(shape, axes)
        return [channels.axes]

    def _graph(self, call):
        layers = {layer.name: layer for layer in call.layer.operations}
        items = call.config["layers"]
        inputs = references(call.config["input_layers"])
        index_of = {item["name"]: index for index, item in enumerate(items)}
        known = {}
        for (name, node, _), given in zip(inputs, call.inputs):
            known[name, node] = [given.axes]
            resize_input(call, index_of[name], given)
        waiting = [
            (index, number)
            for index, item in enumerate(items)
            for number in range(len(item["inbound_nodes"]))
        ]
        while waiting:
            later = []
            for index, number in waiting:
                item = items[index]
                node = item["inbound_nodes"][number]
                try:
                    args, kwargs = revive((node["args"], node["kwargs"]), known)
                except KeyError:  # an input of this call is still to come
                    later.append((index, number))
                    continue
                place = call.path + ("layers", index)
                known[item["name"], number] = self.apply(
                    layers[item["name"]],
                    item["config"],
                    place + ("config",),
                    args,
                    kwargs,
                    place + ("inbound_nodes", number),
                )
            if len(later) == len(waiting):
                call.refuse("its graph has calls whose inputs never come")
            waiting = later
        return [
            # A functional model's configuration counts its calls from one here.
            output_of(known[name, node - is_functional(layers[name])], index)
            for name, node, index in references(call.config["output_layers"])
        ]


def resize_input(call, index, channels):
    """A nested network's input has the channels that are given to it."""
    keys = ("layers", index, "config", "batch_shape")
    if has_channels(channels):
        call.rewrite(
            keys,
            lambda kept: tuple(
                size if axis is None else kept(axis)
                for size, axis in zip(channels.shape, channels.axes)
            ),
        )


def references(structure):
    """The ``[layer, call, output]`` references of a configuration, in tree order."""
    if isinstance(structure, dict):
        return [
            leaf for key in sorted(structure) for leaf in references(structure[key])
        ]
    if len(structure) == 3 and isinstance(structure[0], str):
        return [tuple(structure)]
    return [leaf for part in structure for leaf in references(part)]


def revive(structure, known):
    """Serialized call arguments with each tensor replaced by its ``Channels``."""
    if isinstance(structure, dict):
        if structure.get("class_name") != "__keras_tensor__":
            return {key: revive(value, known) for key, value in structure.items()}
        name, node, index = structure["config"]["keras_history"]
        shape = tuple(structure["config"]["shape"])
        axes = output_of(known[name, node], index)
        return Channels(shape, axes or (None,) * len(shape))
    if isinstance(structure, (list, tuple)):
        return [revive(part, known) for part in structure]
    return structure


def output_of(outputs, index):
    return None if outputs is None else outputs[index]


def untouched(call, reason):
    """The layer stays as it is: what enters and leaves it is never cut."""
    for given in call.inputs:
        call.pin_all(given.axes, reason)
    return None


def output_shape(layer, shape):
    """The shape that a layer makes of one, also where it does not say so itself."""
    try:
        return tuple(layer.compute_output_shape(shape))
    except NotImplementedError:
        given = keras.KerasTensor(shape, layer.compute_dtype)
        return tuple(layer.compute_output_spec(given).shape)


def keep_functions(call):
    """Keep a layer's functions themselves: from its code alone a Lambda has no globals."""
    for key in ("function", "activation", "recurrent_activation"):
        if key in call.config:
            call.keeps(key, getattr(call.layer, key, None))


def has_channels(channels):
    return any(axis is not None for axis in channels.axes)


def is_builtin(layer):
    """Keras' own layers, except those that run the user's code."""
    return from_keras(type(layer)) and not isinstance(
        layer, (keras.layers.Lambda, keras.layers.Wrapper, keras.layers.RNN)
    )


def is_frozen(layer):
    return isinstance(layer, keras.layers.Layer) and bool(
        layer.weights and not layer.trainable
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
        call.refuse("its LoRA factors are not followed")
    if getattr(call.layer, "quantization_mode", None):
        call.refuse("its weights are quantized")

"""The call of a composite layer, followed on symbolic tensors and made a model."""

import inspect
from dataclasses import dataclass

import keras
from keras import tree

from nestrade_lib import internals
from nestrade_lib.dependency.unrolling.calls import (
    PHASE,
    CannotUnroll,
    as_taken,
    code_of,
    identity_of,
    in_each_phase,
    is_as_built,
    is_graph,
    masks_of,
    place_of,
    reason_of,
    tensors_of,
    without_phase,
)
from nestrade_lib.dependency.unrolling.comparison import require_equal
from nestrade_lib.dependency.unrolling.losses import with_losses
from nestrade_lib.dependency.unrolling.recording import Recording
from nestrade_lib.dependency.unrolling.weights import OwnWeights


@dataclass
class _Made:
    """A composite layer's model: which of the tensors it takes, and what it gives out.

    ``masks`` has a number for each output tensor that has a mask: of the mask's place
    among the tensors that are taken and, after these, given out.
    """

    model: keras.Model
    places: list
    outputs: object
    masks: list
    lost: set


class Unrolling:
    """The models made so far, for each layer and kind of call."""

    def __init__(self, is_known, inlined=()):
        self.is_known = is_known
        self.recording = Recording(self.called)
        self.weights = OwnWeights(self.recording.paused)
        self.followed = []
        self.made = {}
        self.models = {}  # by identity: each with its composite layer
        self.inlined = set(map(id, inlined))  # to be no models
        self.kept = {}
        self.reached = set()  # weights of layers that were called, by identity
        self.lost = {}  # masks that no layer attaches once the network runs

    def is_composite(self, layer):
        """Whether there is something to unroll in a layer."""
        if id(layer) in self.kept or id(layer) in self.models:
            return False
        if not is_graph(layer):
            return not self.is_known(layer)
        if id(layer) in self.inlined:
            return True
        plain = internals.from_keras(type(layer))
        return not plain or any(map(self.is_composite, layer.layers))

    def model_of(self, layer):
        """The model that was made of a composite layer, or ``None``."""
        models = [
            made for made, composite in self.models.values() if composite is layer
        ]
        return models[0] if len(models) == 1 else None

    # Calls ----------------------------------------------------------------------

    def called(self, call, layer, *args, **kwargs):
        """In place of each call of a layer."""
        if self.recording.is_paused:
            return call(layer, *args, **kwargs)
        if isinstance(kwargs.get("training"), bool):
            if not is_graph(self.followed[-1]):
                raise CannotUnroll(f"fixes training= of {layer.name!r}")
            kwargs.pop("training")  # which is decided when a graph runs
        if not tensors_of((args, kwargs)) and (layer.weights or not layer.built):
            args, kwargs = tree.map_structure(self.recording.lifted, (args, kwargs))
        if is_graph(layer) and not is_as_built(layer, args):
            return self._follow(layer, args, kwargs)
        if tensors_of((args, kwargs)) and self.is_composite(layer):
            make = self._follow if id(layer) in self.inlined else self._nested
            try:
                return make(layer, args, kwargs)
            except Exception as error:
                self.kept[id(layer)] = layer, reason_of(error)
        self.recording.frame.names.add(layer.name)
        self.reached |= set(map(id, layer.weights))
        args, kwargs = tree.map_structure(without_phase, (args, kwargs))
        masks = {
            name: mask
            for name, mask in masks_of(layer, args, kwargs).items()
            if any(id(tensor) in self.lost for tensor in tensors_of(mask))
        }
        with self.recording.paused():
            return call(layer, *args, **kwargs, **masks)

    def _follow(self, layer, args, kwargs):
        """What ``layer.__call__`` does around ``call``, and ``call`` itself."""
        self.followed.append(layer)
        try:
            return self._outputs(layer, args, kwargs)
        finally:
            self.followed.pop()

    def _outputs(self, layer, args, kwargs):
        if is_graph(layer):
            (inputs,) = args
            if not isinstance(layer, keras.Sequential):
                return internals.run_graph(layer, tree.flatten(inputs))
            for inner in layer.layers:
                inputs = inner(inputs)
            return inputs
        args, kwargs = tree.map_structure(lambda x: as_taken(layer, x), (args, kwargs))
        kwargs = {**kwargs, **masks_of(layer, args, kwargs)}
        call = code_of(layer)
        arguments = inspect.signature(call).bind(*args, **kwargs)
        parameters = arguments.signature.parameters
        if "training" in parameters and arguments.arguments.get("training") is None:
            arguments.arguments["training"] = PHASE
        with self.weights.as_tensors(layer, self.recording.frame):
            outputs = call(*arguments.args, **arguments.kwargs)
        if layer.supports_masking:
            first = next(iter(arguments.arguments.values()))
            self._set_masks(layer, first, outputs)
        regularizer = getattr(layer, "activity_regularizer", None)
        if regularizer is None:
            return outputs
        name = self.recording.frame.name(f"{layer.name}_activity")
        return tree.map_structure(
            keras.layers.Activation(
                "linear", activity_regularizer=regularizer, name=name
            ),
            outputs,
        )

    def _with_losses(self, outputs):
        """The outputs of a call, the first of which brings the losses that the call added."""
        frame, tensors = self.recording.frame, tensors_of(outputs)
        if not frame.losses or not tensors:
            return outputs
        with self.recording.paused():
            made = with_losses(tensors[0], frame.losses, frame.name("losses"))
        mask = internals.mask_of(tensors[0])
        if mask is not None:
            internals.set_mask(made, mask)
        return tree.map_structure(lambda x: made if x is tensors[0] else x, outputs)

    def _set_masks(self, layer, first, outputs):
        """A layer's own ``compute_mask``; when the network runs, nothing else computes it."""
        tensors = tensors_of(outputs)
        if all(internals.mask_of(tensor) is not None for tensor in tensors):
            return
        before = tree.map_structure(internals.mask_of, first)
        masks = layer.compute_mask(first, before)
        for tensor, mask in zip(tensors, tree.flatten(masks)):
            if mask is not None and internals.mask_of(tensor) is None:
                internals.set_mask(tensor, mask)
                self.lost[id(mask)] = mask

    # Models ---------------------------------------------------------------------

    @in_each_phase
    def root(self, network, inputs):
        """The whole network, its inputs and outputs structured as they were."""
        while True:
            with self.recording.opened(inputs) as frame:
                outputs = self._with_losses(self._follow(network, (inputs,), {}))
            if len(tensors_of(outputs)) < len(tree.flatten(outputs)):
                raise CannotUnroll("gives out something else than tensors")
            made = self._model(frame, inputs, outputs, network.name, network)
            shared = self._holders_of_shared_layers(made)
            if not shared:
                break
            self.inlined |= shared
            self.made = {}
        with self.recording.paused():
            require_equal(network, (inputs,), {}, made, inputs, outputs)
        return made

    def _holders_of_shared_layers(self, made):
        """Composite layers to be no models: Keras loses what two models share."""
        graphs, holders = [made], {}
        for graph in graphs:
            for layer in graph.layers:
                holders.setdefault(id(layer), []).append(graph)
                if id(layer) in self.models and place_of(layer, graphs) is None:
                    graphs.append(layer)
        shared = [graph for some in holders.values() if len(some) > 1 for graph in some]
        return {id(self.models[id(graph)][1]) for graph in shared if graph is not made}

    def _nested(self, layer, args, kwargs):
        """A composite layer's call, by a model that it shares with all calls of its kind."""
        tensors = list({id(x): x for x in tensors_of((args, kwargs))}.values())
        masks = [internals.mask_of(tensor) for tensor in tensors]
        taken = list(tensors)
        for mask in masks:
            if mask is not None and place_of(mask, taken) is None:
                taken.append(mask)
        place = {id(tensor): n for n, tensor in enumerate(taken)}
        key = (
            id(layer),
            *(place.get(id(mask)) for mask in masks),
            *(
                (
                    path,
                    (place[id(x)], x.shape, x.dtype)
                    if id(x) in place
                    else identity_of(x),
                )
                for path, x in tree.flatten_with_path((args, kwargs))
            ),
        )
        if key not in self.made:
            self.made[key] = self._make(layer, args, kwargs, taken, masks)
        made = self.made[key]
        given = [taken[n] for n in made.places]
        found = tree.flatten(made.model(given if len(given) > 1 else given[0]))
        everything = taken + found
        for tensor, number in zip(found, made.masks):
            if number is not None:
                internals.set_mask(tensor, everything[number])
        self.lost |= {
            id(everything[number]): everything[number] for number in made.lost
        }
        rest = iter(found)
        return tree.map_structure(
            lambda x: next(rest) if isinstance(x, keras.KerasTensor) else x,
            made.outputs,
        )

    @in_each_phase
    def _make(self, layer, args, kwargs, taken, masks):
        symbols = [keras.Input(batch_shape=x.shape, dtype=x.dtype) for x in taken]
        twins = {id(x): symbol for x, symbol in zip(taken, symbols)}
        pairs = [(x, twins[id(m)]) for x, m in zip(symbols, masks) if m is not None]
        for symbol, mask in pairs:
            internals.set_mask(symbol, mask)
        self.lost |= {id(twins[n]): twins[n] for n in twins if n in self.lost}
        args, kwargs = tree.map_structure(lambda x: twins.get(id(x), x), (args, kwargs))
        with self.recording.opened(symbols) as frame:
            outputs = self._with_losses(self._follow(layer, args, kwargs))
        given = tensors_of(outputs)
        if not given:
            raise CannotUnroll("gives out no tensor")
        everything, numbers = symbols + given, []
        for mask in map(internals.mask_of, given):
            if mask is not None and place_of(mask, everything) is None:
                everything.append(mask)
            numbers.append(mask if mask is None else place_of(mask, everything))
        lost = {n for n in numbers if n is not None and id(everything[n]) in self.lost}
        places = [
            n
            for n, symbol in enumerate(symbols)
            if n < len(masks) or internals.is_consumed(symbol)
        ]
        inputs = [symbols[n] for n in places]
        name = self.recording.frame.name(layer.name)
        model = self._model(frame, inputs, everything[len(symbols) :], name, layer)
        with self.recording.paused():
            require_equal(layer, args, kwargs, model, inputs, outputs, pairs)
        return _Made(model, places, outputs, numbers, lost)

    def _model(self, frame, inputs, outputs, name, layer):
        for operation in frame.operations:  # a layer's name is the user's
            if operation.name in frame.names:
                operation.name = frame.name(operation.name)
            frame.names.add(operation.name)
        with self.recording.paused():
            made = keras.Model(inputs, outputs, name=name)
        self.models[id(made)] = made, layer
        return made

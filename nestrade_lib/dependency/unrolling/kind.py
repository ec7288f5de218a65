"""The class of a network that trains in its own way, kept by the network made of it."""

import keras

from nestrade_lib.configuration import own_attributes, own_classes
from nestrade_lib.dependency.unrolling.calls import CannotUnroll
from nestrade_lib.internals import all_layers, functional_class, is_made_of_tensors

_TRAINING = {
    "compute_loss",
    "compute_metrics",
    "metrics",
    "predict_step",
    "reset_metrics",
    "test_step",
    "train_step",
}


def of_its_kind(network, made, model_of):
    """The made network with the methods by which the original trains, and its attributes."""
    kind, graph = type(network), functional_class()
    if not any(_TRAINING & vars(part).keys() for part in own_classes(network)):
        return made
    if not (issubclass(kind, graph) and is_made_of_tensors(kind)):
        kind = _with_graph(kind, graph)
    object.__setattr__(made, "__class__", kind)
    inside = {id(layer): layer for layer in all_layers(made)}
    used = {id(variable) for variable in made.variables}

    def counterpart(part):
        if not isinstance(part, keras.Layer) or id(part) in inside:
            return part
        model = inside.get(id(model_of(part)))
        if model is None and any(id(v) in used for v in part.variables):
            raise CannotUnroll(
                f"trains by methods of its own, which may use {part.name!r}, and its call "
                "does not use that as one layer"
            )
        return part if model is None else model

    for name, value in own_attributes(network).items():
        setattr(made, name, keras.tree.map_structure(counterpart, value))
    return made


def _with_graph(kind, graph):
    """A class that is called and described as Keras' functional models are.

    A file has only the graph: it is loaded as a functional model like any other.
    """

    def from_config(cls, config, custom_objects=None):
        made = graph.from_config(config, custom_objects)
        object.__setattr__(made, "__class__", cls)
        return made

    members = {
        name: member
        for name, member in vars(graph).items()
        if name not in ("__dict__", "__weakref__")
    }
    bases = (kind,) if issubclass(kind, graph) else (graph, kind)
    members["from_config"] = classmethod(from_config)
    return type(graph.__name__, bases, members)

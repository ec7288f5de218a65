"""Subclassed models and composite layers, made functional networks of their own layers.

Their ``call`` is run on symbolic tensors, and Keras' layers and operations write down
what they are called on. A composite layer becomes a model of its name inside the network,
so that names, and layers that are called twice, stay what they are. A layer that cannot
run so, or does not give the same then, stays one layer.
"""

import warnings

import keras
from keras import tree

from nestrade_lib.arrays import input_structure
from nestrade_lib.configuration import own_classes
from nestrade_lib.dependency.registry import find_rule
from nestrade_lib.dependency.sharing import held_apart
from nestrade_lib.dependency.unrolling.calls import CannotUnroll, is_graph, reason_of
from nestrade_lib.dependency.unrolling.following import Unrolling
from nestrade_lib.dependency.unrolling.kind import of_its_kind
from nestrade_lib.internals import from_keras, is_functional, is_made_of_tensors

__all__ = ["functional"]


def functional(network, inputs=None):
    """The functional network of the same layers, weights and outputs: see ``unroll``."""
    if not isinstance(network, keras.Model):
        raise TypeError(f"network is a keras.Model; got {type(network).__name__}.")
    if (
        isinstance(network, keras.Sequential)
        and not network.built
        and inputs is not None
    ):
        network(_symbolic_inputs(network, inputs))  # as Keras' fit builds it
    work = Unrolling(_is_known, _holders(network))
    if has_graph(network) and not any(map(work.is_composite, network.layers)):
        return network
    try:
        if type(network).call is keras.Model.call:
            raise CannotUnroll(
                "has none: compile the network in it that is to be smaller, and cut that"
            )
        inputs = _symbolic_inputs(network, inputs)
        if not network.built:
            network(inputs)
        with work.recording.running():
            made = work.root(network, inputs)
        require_all_weights(network, made, work)
        made = of_its_kind(network, made, work.model_of)
    except Exception as error:
        if has_graph(network):
            return network  # its own configuration is as good a graph
        inner = "".join(f" {layer.name!r} {why}." for layer, why in work.kept.values())
        raise ValueError(
            f"Model {network.name!r} ({type(network).__name__}) is no functional network, and "
            f"its call does not make one: it {reason_of(error)}.{inner} Build it with the "
            "functional API, of Keras' layers and operations."
        ) from error
    return made


def has_graph(network):
    """Whether a network's configuration says how its layers are called."""
    kind = type(network)
    is_remade = is_functional(network) and is_made_of_tensors(kind)
    if isinstance(network, keras.Sequential):
        own = {"__init__", "call", "from_config", "get_config"}
        is_remade = not any(own & vars(k).keys() for k in own_classes(network))
    return is_graph(network) and (from_keras(kind) or is_remade)


def require_all_weights(network, made, work):
    """Refuse to lose weights that a model has beside its call; tell of those in vain."""
    used = {id(v) for v in made.weights} | work.weights.constants.keys()
    unused = [v for v in network.weights if id(v) not in used]
    beside = [v.path for v in unused if id(v) not in work.reached]
    if beside:
        raise CannotUnroll(
            f"does not use the weights {', '.join(beside)}, which would be lost"
        )
    if unused:
        warnings.warn(
            f"No output of {network.name!r} depends on {', '.join(v.path for v in unused)}: "
            "the functional network goes without.",
            stacklevel=4,
        )


def _holders(network):
    """Graphs inside a network to be no models: Keras loses what two models share."""
    if not is_graph(network):
        return []
    shared = [holder for _, holders in held_apart(network) for holder in holders]
    return [each for each in shared if is_graph(each) and each is not network]


def _is_known(layer):
    return from_keras(type(layer).call) or find_rule(layer) is not None


def _symbolic_inputs(network, inputs):
    if inputs is None and is_graph(network):
        return input_structure(network)
    if inputs is None:
        shapes = (network.get_build_config() or {}).get("input_shape")
        if shapes is None:
            raise CannotUnroll(
                "is not built: call it on a batch, or give a few samples as inputs="
            )
        if isinstance(shapes, dict):
            return {
                name: keras.Input(shape[1:], name=name)
                for name, shape in shapes.items()
            }
        if isinstance(shapes[0], (list, tuple)):
            return [keras.Input(shape[1:]) for shape in shapes]
        return keras.Input(shapes[1:])
    if isinstance(inputs, dict):
        return {name: _symbolic(x, name) for name, x in inputs.items()}
    return tree.map_structure(_symbolic, inputs)


def _symbolic(x, name=None):
    if isinstance(x, keras.KerasTensor):
        return x
    dtype = keras.utils.standardize_dtype(x.dtype)
    dtype = None if dtype == "float64" else dtype
    return keras.Input(tuple(x.shape)[1:], dtype=dtype, name=name)

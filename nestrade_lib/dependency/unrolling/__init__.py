"""Subclassed models and composite layers, made functional networks of their own layers.

Their ``call`` is run on symbolic tensors, and Keras' layers and operations write down
what they are called on. A composite layer becomes a model of its name inside the network,
so that names, and layers that are called twice, stay what they are. A layer that cannot
run so, or does not give the same then, stays one layer.
"""

import keras
from keras import tree

from nestrade_lib.dependency.registry import find_rule
from nestrade_lib.dependency.unrolling.calls import CannotUnroll, is_graph, reason_of
from nestrade_lib.dependency.unrolling.following import Unrolling
from nestrade_lib.internals import from_keras

__all__ = ["unroll"]


def unroll(network, inputs=None, is_known=None):
    """Make a functional network of the same layers, weights and outputs.

    ``inputs`` are symbolic tensors or arrays as ``network`` is called with; by default,
    of the shapes that it was built with, and floats; a layer that counts steps needs inputs
    of a fixed length. Layers of which ``is_known`` is true stay as they are; by default,
    those of Keras and those with a rule. A functional or sequential network without any
    other is returned itself. ``ValueError`` where ``network`` does not run on symbolic
    tensors, or gives other outputs then.
    """
    if not isinstance(network, keras.Model):
        raise TypeError(f"network is a keras.Model; got {type(network).__name__}.")
    work = Unrolling(is_known or _is_known)
    if not work.is_composite(network):
        return network
    try:
        inputs = _symbolic_inputs(network, inputs)
        if not network.built:
            network(inputs)
        with work.recording.running():
            made = work.root(network, inputs)
    except Exception as error:
        inner = "".join(f" {layer.name!r} {why}." for layer, why in work.kept.values())
        raise ValueError(
            f"Model {network.name!r} ({type(network).__name__}) is no functional network, and "
            f"its call does not make one: it {reason_of(error)}.{inner} Build it with the "
            "functional API, of Keras' layers and operations."
        ) from error
    used = {id(v) for v in made.weights}
    unused = [v.path for v in network.weights if id(v) not in used]
    if unused:
        raise ValueError(
            f"Model {network.name!r} ({type(network).__name__}): its call does not use the "
            f"weights {', '.join(unused)}, which a functional network would lose."
        )
    return made


def _is_known(layer):
    return from_keras(type(layer).call) or find_rule(layer) is not None


def _symbolic_inputs(network, inputs):
    if inputs is None and is_graph(network):
        chain = isinstance(network, keras.Sequential)
        return network.inputs[0] if chain else network.input
    if inputs is None:
        shapes = (network.get_build_config() or {}).get("input_shape")
        if shapes is None:
            raise CannotUnroll("is not built: call it on a batch, or give inputs=")
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

"""The configuration of a network, from which its own objects come back as they are.

Keras' configuration has the name of a class or a function: enough for what Keras knows
or what is registered with it. All the others are at hand, in the network.
"""

import contextlib
import copy
import functools
import sys
from typing import Any

import keras
import numpy as np

from nestrade_lib.internals import copied, from_keras, replaced


def configuration(network):
    """What ``get_config`` returns, and the custom objects that its references stand for."""
    objects = {}

    def watch(serialize, obj):
        if isinstance(obj, keras.Operation):
            return _layer(serialize, obj, objects)
        is_object = hasattr(obj, "get_config")
        if isinstance(obj, type) or not (is_object or callable(obj)) or _is_named(obj):
            return serialize(obj)
        if is_object:
            return _reference(objects, _Copies(obj), type(obj).__name__, {})
        return _reference(objects, obj)

    with watched_serialization(watch):
        config = network.get_config()
    restored: dict[str, Any] = _restored(config, objects)
    return restored, objects


def _is_named(obj):
    """Whether Keras finds it by its name: ``keras.ops.gelu`` is not the activation "gelu"."""
    name = getattr(obj, "__name__", None)  # of a function
    namesake = None if name is None else getattr(keras.activations, name, None)
    return from_keras(obj) and (name is None or namesake is obj)


def _layer(serialize, layer, objects):
    kind = type(layer)
    is_known = from_keras(kind)
    is_known = is_known and getattr(sys.modules[kind.__module__], kind.__name__) is kind
    try:
        description = serialize(layer)
    except (
        Exception
    ) as error:  # no get_config, or one that fails: the layer itself is left
        if is_known and isinstance(error, NotImplementedError):
            raise ValueError(
                f"{layer.name!r} ({kind.__name__}): expected an operation that Keras can save, "
                "got one of a function or an array of yours. Call it in a layer of its own."
            ) from None
        if is_known:
            raise
        description = {"config": {"name": layer.name}}
    config = description["config"]
    if isinstance(layer, keras.layers.Lambda) and "function" in config:
        config["function"] = _reference(objects, layer.function)  # code has no globals
    if is_known:
        return description
    return _reference(objects, _Layers(layer), type(layer).__name__, config)


def _reference(objects, obj, kind="function", config=None):
    """What names an object of one's own where Keras looks for one."""
    name = f"object {len(objects)}"
    objects[name] = obj
    return {
        "module": "builtins",
        "class_name": kind,
        "config": name if config is None else config,
        "registered_name": name,
    }


def _restored(config, objects) -> Any:
    """The configuration, with references that Keras gave a function's name by theirs."""
    if isinstance(config, dict):
        config = {key: _restored(value, objects) for key, value in config.items()}
        if config.get("class_name") == "function":
            name = config.get("registered_name")
            config["config"] = name if name in objects else config["config"]
        return config
    if isinstance(config, (list, tuple)):
        return type(config)(_restored(part, objects) for part in config)
    return config


class _Copies:
    """In place of a class: copies of one of its instances."""

    def __init__(self, instance):
        self.instance = instance

    def from_config(self, config):
        return copy.copy(self.instance)


class _Layers:
    """In place of a layer's class: the layer of a configuration, or else a copy."""

    def __init__(self, layer):
        self.layer = layer

    def from_config(self, config):
        try:
            return type(self.layer).from_config(config)
        except Exception:
            return copied(self.layer)


@contextlib.contextmanager
def blank_variables(initializers=None):
    """New variables start at zero: their values follow, and JAX compiles each draw.

    The initializer of each is noted in ``initializers`` by the variable's ``id``.
    """
    initializers = {} if initializers is None else initializers

    def blank(shape, dtype=None):
        return np.zeros(shape, dtype)

    def without_draws(initialize):
        def initialized(variable, initializer):
            initializers[id(variable)] = initializer
            return initialize(variable, blank)

        return initialized

    with replaced(keras.Variable, "_initialize_with_initializer", without_draws):
        yield


@contextlib.contextmanager
def watched_serialization(watch):
    """All that Keras serializes goes through ``watch(serialize, obj)``, parts included."""
    module = sys.modules[keras.saving.serialize_keras_object.__module__]

    def watched(serialize):
        return lambda obj: watch(serialize, obj)

    with replaced(module, "serialize_keras_object", watched):
        yield


def own_classes(model):
    """The classes of a model that are not Keras', from the last derived on."""
    kinds = type(model).__mro__
    return [k for k in kinds if issubclass(k, keras.Model) and not from_keras(k)]


def own_attributes(model):
    """What a model of a class of one's own keeps beside that which Keras gives it, by name.

    PyTorch keeps the modules among it apart.
    """
    if not own_classes(model):
        return {}
    held = {**vars(model), **vars(model).get("_modules", {})}
    return {k: value for k, value in held.items() if k not in _names_of_keras()}


@functools.cache
def _names_of_keras():
    """The attributes that a graph, ``compile``, ``fit`` and ``build`` bring."""
    x = keras.Input((1,))
    model = keras.Model(x, x)
    model.compile("sgd", "mse")
    chain = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    later = {"_eval_epoch_iterator", "_jax_state", "_build_shapes_dict", "history"}
    return {*vars(model), *vars(chain), *later, "stop_evaluating", "stop_predicting"}

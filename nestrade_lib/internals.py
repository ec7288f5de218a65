"""What the library needs of Keras that has no public name.

Every private name and every replaced method is here (of data: in ``keras_data.py``; of
TensorFlow: in ``tensorflow_internals.py``), each in one function that says why;
``tests/test_internals.py`` has a test for each, which fails when a version moves it. Seen
in Keras 3.12 to 3.15 and TensorFlow 2.20 and 2.21.
"""

import contextlib
import copy
import inspect
import sys

import keras
from keras.src import backend
from keras.src.backend.common import global_state

# Classes ----------------------------------------------------------------------


def from_keras(kind):
    """Whether a class or function is Keras' own."""
    return (kind.__module__ or "").startswith("keras.")


def is_functional(layer):
    """Whether a layer is a functional model, whose class has no public name."""
    return isinstance(layer, keras.Model) and isinstance(layer, keras.Function)


def functional_class():
    """The class of functional models, which has no public name."""
    from keras.src.models.functional import Functional

    return Functional


def is_made_of_tensors(kind):
    """Whether a model's class takes inputs and outputs, so that a configuration remakes it."""
    from keras.src.models.functional import functional_like_constructor

    return functional_like_constructor(kind)


def class_beside(function, name):
    """A class without a public name, from the module of a public function."""
    return getattr(sys.modules[function.__module__], name)


def operation_class(function):
    """The class of the nodes that a function of ``keras.ops`` makes: only the function is public."""
    words = function.__name__.split("_")
    return class_beside(function, "".join(word.capitalize() for word in words))


# Layers and the graph -----------------------------------------------------------


def all_layers(layer):
    """A layer and all inside it: ``Model.layers`` has the outermost only."""
    return layer._flatten_layers()


def open_scopes():
    """The list of the name scopes that are open: Ctrl-C may leave one open for good."""
    return global_state.get_global_attribute("name_scope_stack", [], True)


def inner_layers(layer):
    """The layers that a layer holds: only models have ``layers``."""
    return layer._flatten_layers(include_self=False, recursive=False)


def inputs_of(layer):
    """Symbolic tensors that enter a layer at all its calls: ``input`` has those of the first."""
    nodes = layer._inbound_nodes
    return [t for node in nodes for t in keras.tree.flatten(node.input_tensors)]


def producer_of(tensor):
    """The layer or operation that made a symbolic tensor."""
    return tensor._keras_history.operation


def calls_in(network, layer):
    """The calls of a layer in a functional model, in the order of its configuration.

    Of each: positional and named arguments with symbolic tensors, and its outputs.
    """
    from keras.src.ops.function import make_node_key

    return [
        (node.arguments.args, node.arguments.kwargs, node.outputs)
        for number, node in enumerate(layer._inbound_nodes)
        if make_node_key(layer, number) in network._nodes and node.input_tensors
    ]


def is_masked(tensor):
    """Whether a symbolic tensor carries a mask."""
    return mask_of(tensor) is not None


def mask_of(tensor):
    """The mask that a tensor carries, symbolic or not, or ``None``."""
    return backend.get_keras_mask(tensor)


def set_mask(tensor, mask):
    """Attach a mask to a tensor, as ``Layer.__call__`` does."""
    backend.set_keras_mask(tensor, mask)


def run_graph(network, tensors):
    """The outputs of a functional model, its layers called anew: its ``call`` converts first."""
    return network._run_through_graph(tensors, operation_fn=lambda operation: operation)


def is_consumed(tensor):
    """Whether any layer or operation was called on a symbolic input."""
    return bool(producer_of(tensor)._outbound_nodes)


def copied(original):
    """A layer or metric with variables of its own: Keras copies by configuration alone."""
    from keras.src.saving.keras_saveable import KerasSaveable
    from keras.src.utils.tracking import DotNotTrackScope

    layers = all_layers(original) if isinstance(original, keras.Layer) else ()
    graph = {
        id(nodes): [] for x in layers for nodes in (x._inbound_nodes, x._outbound_nodes)
    }
    graph |= {id(module): module for module in list(sys.modules.values())}
    plainly = replaced(KerasSaveable, "__reduce__", lambda _: object.__reduce__)
    with plainly, DotNotTrackScope():  # the lists of what is built are closed
        return copy.deepcopy(original, graph)


def replaced_convolution(make):
    """Convolutions of all layers and operations are those that ``make(convolve)`` makes."""
    return replaced(backend.nn, "conv", make)


@contextlib.contextmanager
def watched_calls(watch):
    """Every call of a layer or operation goes through ``watch(call, layer, *args, **kwargs)``.

    Python looks ``__call__`` up in the class, so all layers are watched, not one model's.
    """

    def watched(call):
        return lambda layer, *args, **kwargs: watch(call, layer, *args, **kwargs)

    with replaced(keras.Operation, "__call__", watched):
        yield


def has_value(variable):
    """Whether a variable has a value: Keras on JAX takes it out in each step."""
    held = vars(variable)["_value"]
    return held is not None and not getattr(held, "is_deleted", bool)()


# Compiled models ----------------------------------------------------------------


def compile_arguments(network):
    """What ``compile`` was given, as objects: ``get_compile_config`` serializes them."""
    return dict(network._compile_config.config)


def compute_loss(network, x, y, predicted, sample_weight):
    """The training loss, also of a ``compute_loss`` that takes no ``training``."""
    return network._compute_loss(x, y, predicted, sample_weight, training=True)


def look_for_training(network):
    """Let ``compute_loss`` be told whether it is for training, if it takes that: if it does.

    Keras looks once, as a network is made.
    """
    is_told = "training" in inspect.signature(network.compute_loss).parameters
    vars(network)["_compute_loss_has_training_arg"] = is_told
    return is_told


def loss_tracker(network):
    """The mean loss that ``fit`` logs, new at each ``compile``; ``metrics`` may be overridden."""
    return network._loss_tracker


def build_metrics(network, batch):
    """Make the variables of metrics, which a traced step must not make."""
    network._symbolic_build(data_batch=batch)


def results_in_order(network, logs):
    """What ``evaluate`` returns without ``return_dict``: a number or a list."""
    return network._flatten_metrics_in_order(logs)


def wrapped_function(metric):
    """The function in a ``MeanMetricWrapper``: its configuration has only a name."""
    return metric._fn


def function_arguments(wrapper):
    """Arguments of the function in a wrapped loss or metric; sparse losses hide ``axis``."""
    return getattr(wrapper, "_fn_kwargs", {})


# Optimizers ---------------------------------------------------------------------


def is_decayed(optimizer, variable):
    """Whether weight decay acts on a variable: no configuration has the exclusions."""
    if keras.backend.backend() == "tensorflow":  # which asks for the variable inside
        variable = variable.value
    return optimizer._use_weight_decay(variable)


def configuration_and_rate(optimizer):
    """Its configuration, and the schedule or function of its learning rate, or None.

    Neither functions nor schedules without ``get_config`` go into a configuration.
    """
    rate = getattr(optimizer, "_learning_rate", None)
    if not callable(rate):
        return optimizer.get_config(), None
    vars(optimizer)["_learning_rate"] = 0.0
    try:
        return optimizer.get_config(), rate
    finally:
        vars(optimizer)["_learning_rate"] = rate


def trained_variables(optimizer):
    """The variables that an optimizer was built for."""
    return optimizer._trainable_variables


@contextlib.contextmanager
def recorded_slots(optimizer, references):
    """Note in ``references`` for which variable each slot is made: ``{id(slot): variable}``."""

    def recording(make):
        def recorded(reference_variable, *args, **kwargs):
            slot = make(reference_variable, *args, **kwargs)
            references[id(slot)] = reference_variable
            return slot

        return recorded

    with replaced(optimizer, "add_variable_from_reference", recording):
        yield


def replace_clipping(optimizer, make):
    """Clip by ``make(clip)``, until restored: Keras clips before replicas add up."""
    _replace(optimizer, "_clip_gradients", make)


def restore_clipping(optimizer):
    """Clip as Keras does."""
    vars(optimizer).pop("_clip_gradients", None)


def replace_draws(generator, make):
    """Draw seeds by ``make(next)``, until restored: Keras' are the same on all replicas."""
    _replace(generator, "next", make)


def restore_draws(generator):
    """Draw as Keras does."""
    vars(generator).pop("next", None)


def is_seeded():
    """Whether ``keras.utils.set_random_seed`` was called."""
    return class_beside(keras.utils.set_random_seed, "get_random_seed")() is not None


# Replaced methods -----------------------------------------------------------------


@contextlib.contextmanager
def replaced(owner, name, make):
    """Within the context, a method is what ``make`` makes of it."""
    own, method = name in vars(owner), getattr(owner, name)
    setattr(owner, name, make(method))
    try:
        yield
    finally:
        setattr(owner, name, method) if own else delattr(owner, name)


def _replace(instance, name, make):
    if name not in vars(instance):
        setattr(instance, name, make(getattr(instance, name)))

"""One name for every layer and one path for every variable of a network.

Keras asks for names that differ within a model, but not between the models inside it,
nor between a model and the parts of its attention layers. A name that several layers
have is preceded by the names of the models around it, as many as it takes. The path of
a variable begins where its layer was built, so several may have one: they are numbered.
"""

from collections import Counter

import keras

from nestrade_lib.internals import inner_layers, is_functional


def layer_names(network):
    """The name of every layer of a network by its ``id``, those inside others included.

    A smaller network, made from the configuration of this one, has the same names.

    >>> def tower(name):
    ...     dense = keras.layers.Dense(2, name="dense")
    ...     return keras.Sequential([keras.Input((3,)), dense], name=name)
    >>> x = keras.Input((3,))
    >>> both = keras.layers.Add(name="sum")([tower("left")(x), tower("right")(x)])
    >>> list(layer_names(keras.Model(x, both)).values())[1:]
    ['left', 'left/dense', 'right', 'right/dense', 'sum']
    """
    paths = {}
    _collect(network, (), paths)
    endings = Counter(
        path[-n:] for path in paths.values() for n in range(1, len(path) + 1)
    )
    names = {}
    for key, path in paths.items():
        alone = (path[-n:] for n in range(1, len(path)) if endings[path[-n:]] == 1)
        names[key] = "/".join(next(alone, path))
    return _numbered(names)


def variable_paths(variables):
    """A path for each of ``network.variables`` by its ``id``, in whose order equal ones count.

    >>> layers = [keras.layers.Dense(2, name="dense") for _ in range(2)]
    >>> for layer in layers:
    ...     layer.build((None, 3))
    >>> list(variable_paths([v for layer in layers for v in layer.variables]).values())
    ['dense/kernel', 'dense/bias', 'dense/kernel#2', 'dense/bias#2']
    """
    return _numbered({id(v): v.path for v in variables})


def _numbered(names):
    """The same names, the second and later ones of each with their number."""
    times, numbered = Counter(), {}
    for key, name in names.items():
        times[name] += 1
        numbered[key] = name if times[name] == 1 else f"{name}#{times[name]}"
    return numbered


def _collect(layer, path, paths):
    """The path to each layer inside this one, where it is met first."""
    if is_functional(layer):
        inside = layer.operations
    elif isinstance(layer, keras.Sequential):
        inside = layer.layers
    else:
        inside = inner_layers(layer) if isinstance(layer, keras.Layer) else ()
    for each in inside:
        if id(each) not in paths and hasattr(each, "name"):
            paths[id(each)] = (*path, each.name)
            _collect(each, paths[id(each)], paths)

"""What layers and variables are called where one name has to stand for one of them.

Keras asks for names that differ within a model, not between the models inside it, nor
between a model and the parts of its attention layers. A name that several layers of a
network have gets in front of it where they are, as far out as it takes. Paths of variables begin where
their layer was built: a loaded model inside another one has paths of its own, and they
may be those of its neighbours. The second of a path is numbered.
"""

from collections import Counter

import keras

from nestrade_lib.internals import inner_layers, is_functional


def layer_names(network):
    """Name every layer of a network, those inside others included.

    A smaller network, made from the configuration of this one, has the same names.

    Parameters
    ----------
    network : keras.Model
        Built.

    Returns
    -------
    dict of int to str
        ``id(layer)`` to its plain name where no other layer has it, or to a path such
        as ``"encoder/dense"``. Operations of a functional model are layers here.

    Examples
    --------
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
    """Give every variable of a network a path of its own.

    Parameters
    ----------
    variables : list of keras.Variable
        All of a network, ``network.variables``: their order tells equal paths apart.

    Returns
    -------
    dict of int to str
        ``id(variable)`` to its path; to ``"dense/kernel#2"`` where it is the second
        ``"dense/kernel"``.

    Examples
    --------
    >>> layers = [keras.layers.Dense(2, name="dense") for _ in range(2)]
    >>> for layer in layers:
    ...     layer.build((None, 3))
    >>> list(variable_paths([v for layer in layers for v in layer.variables]).values())
    ['dense/kernel', 'dense/bias', 'dense/kernel#2', 'dense/bias#2']
    """
    return _numbered({id(v): v.path for v in variables})


def _numbered(names):
    """The same names, the second and later ones of each with their number."""
    given, found = Counter(), {}
    for key, name in names.items():
        given[name] += 1
        found[key] = name if given[name] == 1 else f"{name}#{given[name]}"
    return found


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

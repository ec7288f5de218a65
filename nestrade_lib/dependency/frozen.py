"""Channels that are made, scaled or shifted by variables which do not train."""

import numpy as np

FROZEN = "is frozen and reads them (trainable=True thaws it)"


def frozen_slices(graph, trained):
    """Pairs (path, axis) of what makes channels, in variables that do not train.

    Parameters
    ----------
    graph : nestrade_lib.ChannelGraph
    trained : list of keras.Variable

    Examples
    --------
    >>> import keras
    >>> from nestrade_lib import trace
    >>> network = keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(6, name="a")], name="sequential")
    >>> network.add(keras.layers.Dense(2))
    >>> network.layers[0].trainable = False
    >>> frozen_slices(trace(network), network.trainable_variables)
    [('sequential/a/kernel', 1), ('sequential/a/bias', 0)]
    """
    paths = {graph.path(variable) for variable in trained}
    return [
        (path, axis)
        for path, roles in graph.roles.items()
        for axis, role in enumerate(roles)
        if role == "produce" and graph.labels[path][axis] is not None
        if path not in paths
    ]


def partly_frozen(graph, trained):
    """Which groups have such slices: an array of bool, with one entry more."""
    groups = np.zeros(graph.count + 1, bool)
    for path, axis in frozen_slices(graph, trained):
        groups[graph.labels[path][axis]] = True
    groups[-1] = False
    return groups

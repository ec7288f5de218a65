"""How much each channel group matters: one score per group, small ones go first.

Cutting a group sets the weights w that produce it to zero. To first order the loss
then changes by -Σ w·∂L/∂w over the group. Its square, averaged over steps, is the
Taylor importance (Molchanov et al. 2019). It needs nothing but the gradients of
training itself, and sums *before* it squares, so that tied layers and the γ and β of
a norm count as the one channel that they are. ``kfac.py`` has scores that also know
what other channels can take over. The other scores here are for comparison.
"""

import keras
import numpy as np
from keras import ops

from nestrade_lib.internals import all_layers
from nestrade_lib.names import variable_paths


def group_sums(slices, variables, gradients, count):
    """Sum w·∂L/∂w over the slices (variable's index, axis, groups) that produce each group.

    >>> w, g = ops.array([[1.0, 2.0], [3.0, 4.0]]), ops.ones((2, 2))
    >>> sums = group_sums([(0, 1, np.array([0, 1]))], [w], [g], 2)
    >>> ops.convert_to_numpy(sums).tolist()
    [4.0, 6.0]
    """
    total = ops.zeros((count,), "float32")
    for index, axis, groups in slices:
        if gradients[index] is None:
            continue
        weights = ops.cast(ops.convert_to_tensor(variables[index]), "float32")
        gradient = ops.cast(ops.convert_to_tensor(gradients[index]), "float32")
        others = [n for n in range(len(weights.shape)) if n != axis]
        changes = ops.sum(weights * gradient, axis=others)
        total = total + ops.segment_sum(changes, groups, num_segments=count)
    return total


def magnitude(network, graph):
    """Score groups by the root mean square of the weights that produce them.

    Parameters
    ----------
    network : keras.Model
    graph : nestrade_lib.ChannelGraph
        Of `network`.

    Returns
    -------
    ndarray of float64, shape (graph.count,)

    References
    ----------
    Li et al. (2017), "Pruning filters for efficient ConvNets".

    Examples
    --------
    >>> from nestrade_lib import trace
    >>> network = keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(6), keras.layers.Dense(2)]
    ... )
    >>> magnitude(network, trace(network)).shape
    (6,)
    """
    paths = variable_paths(network.variables)
    weights = {paths[id(v)]: ops.convert_to_numpy(v) for v in network.weights}
    squares = graph.sums(
        {path: w.astype("float64") ** 2 for path, w in weights.items()}
    )
    sizes = graph.sums({path: np.ones(w.shape) for path, w in weights.items()})
    return np.sqrt(squares / np.maximum(sizes, 1))


def bn_scale(network, graph):
    """Score groups by the size of their BatchNorm's γ.

    Groups without one score infinity: they are never chosen.

    Parameters
    ----------
    network, graph
        As in :func:`magnitude`.

    Returns
    -------
    ndarray of float64, shape (graph.count,)

    References
    ----------
    Liu et al. (2017), "Learning efficient convolutional networks through network
    slimming".

    Examples
    --------
    >>> from nestrade_lib import trace
    >>> network = keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(6),
    ...      keras.layers.BatchNormalization(), keras.layers.Dense(2)]
    ... )
    >>> bn_scale(network, trace(network)).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    norms = [
        layer
        for layer in all_layers(network)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.scale
    ]
    paths = variable_paths(network.variables)
    gammas = {paths[id(x.gamma)]: np.abs(ops.convert_to_numpy(x.gamma)) for x in norms}
    normed = graph.sums({path: np.ones(gamma.shape) for path, gamma in gammas.items()})
    return np.where(normed > 0, graph.sums(gammas), np.inf)

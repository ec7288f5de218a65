"""Which slices of which variables belong to which channel.

Integer channel labels are sent through the layer graph, one small rule per layer
type, and every variable axis ends up with an array of channel groups: Flatten
tiles them, Concatenate joins them, Add merges them (as in DepGraph, Fang et al.
2023). What no rule knows is refused by name, never guessed.
"""

from collections.abc import Iterable

import keras

from nestrade_lib.dependency import rules  # noqa: F401  (registers them)
from nestrade_lib.dependency.call import UnsupportedLayer
from nestrade_lib.dependency.graph import ChannelGraph
from nestrade_lib.dependency.registry import register_rule
from nestrade_lib.dependency.walk import Walk

__all__ = ["ChannelGraph", "UnsupportedLayer", "register_rule", "trace"]


def trace(
    network: keras.Model, ignored_layers: Iterable[str | keras.layers.Layer] = ()
) -> ChannelGraph:
    """Find the channel groups of a network.

    Inputs and outputs of the network are never cut. Nor are the channels that
    enter or leave a frozen layer (``trainable=False``): its weights stay as they
    are, to the last one.

    Parameters
    ----------
    network : keras.Model
        A built functional or sequential model.
    ignored_layers : sequence of str or keras.layers.Layer
        Layers to leave as they are, by name or object. Of layers that share a name,
        by path: ``"encoder/dense"`` is the one in the model ``"encoder"``.

    Returns
    -------
    ChannelGraph

    Raises
    ------
    UnsupportedLayer
        At a layer whose channels cannot be followed; the message names the layer,
        the reason and the way out.
    ValueError
        If the network is not built, has no channel that may be cut, or ``ignored_layers``
        names a layer that it does not have or has more than once.

    Examples
    --------
    >>> import keras
    >>> from nestrade_lib import trace
    >>> network = keras.Sequential([
    ...     keras.Input((8, 8, 1)),
    ...     keras.layers.Conv2D(3, 3, name="conv"),
    ...     keras.layers.Flatten(),
    ...     keras.layers.Dense(10, name="classes"),
    ... ], name="digits")
    >>> graph = trace(network)
    >>> graph.count, graph.names
    (3, ['conv/0', 'conv/1', 'conv/2'])
    >>> graph.labels["digits/classes/kernel"][0][:6]
    array([0, 1, 2, 0, 1, 2])
    """
    graph = group_channels(network, ignored_layers)
    if not graph.cuttable.any():
        reasons = "; ".join(f"{layer}: {why}" for layer, why in graph.fixed.items())
        raise ValueError(
            f"{network.name!r} has no layer that may be cut ({reasons or 'no weights'})."
        )
    return graph


def group_channels(network, ignored_layers=()):
    """Like `trace`, but accepts a network with nothing left to cut."""
    require_built(network)
    walk = Walk(network, ignored_layers)
    for tensor in walk.network(network):
        for axis in tensor.axes:
            if axis is not None:
                walk.record.labels.pin(
                    axis.labels[axis.labels >= 0], "it is an output of the network"
                )
    missing = walk.ignored_layers - walk.met
    if missing:
        raise ValueError(
            f"ignored_layers names {sorted(missing)}, which {network.name!r} does not have."
        )
    return ChannelGraph(walk.record, network)


def require_built(network):
    """One clear error for what is no built Keras network."""
    if not isinstance(network, keras.Model):
        raise TypeError(f"network is a keras.Model; got {type(network).__name__}.")
    if (
        not network.built
        or isinstance(network, keras.Sequential)
        and not network.inputs
    ):
        raise ValueError(
            f"{network.name!r} is not built: give it a keras.Input, or call "
            "network.build(input_shape) first."
        )

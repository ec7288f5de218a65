"""Which slices of which variables belong to which channel.

Integer channel labels are sent through the layer graph, one small rule per layer
type, and every variable axis ends up with an array of channel groups: Flatten
tiles them, Concatenate joins them, Add merges them (as in DepGraph, Fang et al.
2023). What no rule describes is found by running it.
"""

import warnings
from collections.abc import Iterable

import keras

from nestrade_lib.checks import is_list_of, require
from nestrade_lib.dependency import rules  # noqa: F401  (registers them)
from nestrade_lib.dependency.call import UnsupportedLayer
from nestrade_lib.dependency.graph import ChannelGraph
from nestrade_lib.dependency.record import Record
from nestrade_lib.dependency.registry import register_rule
from nestrade_lib.dependency.sharing import require_held_once
from nestrade_lib.dependency.walk import Walk

__all__ = ["ChannelGraph", "UnsupportedLayer", "register_rule", "trace"]


def trace(
    network: keras.Model,
    ignored_layers: Iterable[str | keras.layers.Layer] = (),
    strict: bool = False,
) -> ChannelGraph:
    """Find the channel groups of a network.

    Inputs and outputs of the network are never cut. Nor are channels that a frozen layer
    (``trainable=False``) reads: nothing could learn to do without them. Those that it
    makes, scales or shifts are cut where what reads them trains; the weights left of it
    stay as they are.

    How channels pass through operations and layers without weights is found by running
    them on random numbers. A layer with weights that has no rule stays as it is, with the
    channels that enter and leave it, and a warning names it.

    Parameters
    ----------
    network : keras.Model
        A built functional or sequential model.
    ignored_layers : sequence of str or keras.layers.Layer
        Layers whose own channels stay, by name or object; those that they read may go. A
        model inside, and a layer with code of your own, is left with what it reads. Of
        layers that share a name, by path: ``"encoder/dense"`` is the one in the model
        ``"encoder"``.
    strict : bool
        Refuse a network with layers whose channels cannot be followed.

    Returns
    -------
    ChannelGraph

    Raises
    ------
    UnsupportedLayer
        If ``strict``, at layers whose channels cannot be followed; the message names them
        all, the reasons and the way out. At a subclassed model.
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
    >>> graph.labels[network.layers[-1].kernel.path][0][:6]
    array([0, 1, 2, 0, 1, 2])
    """
    require(
        is_list_of((str, keras.layers.Layer), ignored_layers),
        "ignored_layers",
        "a list of layers or their names",
        ignored_layers,
    )
    graph = group_channels(network, ignored_layers)
    require_held_once(network)
    unsupported = "; ".join(graph.unsupported.values())
    if graph.unsupported and strict:
        raise UnsupportedLayer(
            f"These layers of {network.name!r} cannot be followed: {unsupported}. Keep "
            f"them as they are with ignored_layers={list(graph.unsupported)}, or describe "
            "them with nestrade_lib.register_rule."
        )
    if not graph.cuttable.any():
        causes = ". ".join(filter(None, (graph.causes, unsupported)))
        raise ValueError(
            f"{network.name!r} has no layer that may be cut. What keeps its channels: "
            f"{causes or 'it has no weights'}."
        )
    if graph.unsupported:
        warnings.warn(
            f"Left as they are, with the channels around them: {unsupported}. To have "
            "them cut, describe them with nestrade_lib.register_rule; to say that this "
            f"is meant, name them in ignored_layers={list(graph.unsupported)}.",
            stacklevel=2,
        )
    return graph


def graph_of(network, graph=None):
    """The graph that was given, or else the trace of a network."""
    if graph is None:
        return trace(network)
    require(isinstance(graph, ChannelGraph), "graph", "what trace has given", graph)
    return graph


def group_channels(network, ignored_layers=(), before=None, shapes=None):
    """Like `trace`, but accepts a network with nothing left to cut.

    ``before`` is the graph that it was cut from, and the mask: the groups stay the same.
    ``shapes``, of one sample of each input, are what open shapes cost as.
    """
    require_built(network)
    if before is not None:
        record = before[0].record_after(before[1])
        return _walked(network, ignored_layers, record, shapes)
    best = graph = _walked(network, ignored_layers, Record())
    while graph.doubtful:  # channels were said to lie along an axis that pins them
        choices = {
            **graph.record.choices,
            **{
                place: graph.record.choices.get(place, 0) + 1
                for place in graph.doubtful
            },
        }
        record = Record(choices=choices, observations=graph.record.observations)
        graph = _walked(network, ignored_layers, record)
        best = max(best, graph, key=lambda each: each.count)
    return best


def _walked(network, ignored_layers, record, shapes=None):
    """The channel groups of a network, with what is written down on the way."""
    walk = Walk(network, ignored_layers, record, shapes)
    for tensor in walk.network(network):
        for axis in tensor.axes:
            if axis is not None:
                labels = axis.labels[axis.labels >= 0]
                record.labels.pin(labels, "it", "is an output of the network")
    missing = walk.ignored_layers - walk.met
    if missing:
        raise ValueError(
            f"ignored_layers names {sorted(missing)}, which {network.name!r} does not have."
        )
    return ChannelGraph(record, network)


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
            f"{network.name!r} is not built: give it a keras.Input, call "
            "network.build(input_shape) first, or give Nestrade a few samples as inputs=."
        )

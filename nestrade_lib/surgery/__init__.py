"""A smaller network of the same function: cut out, and verified.

``cut`` builds it (configuration, ``from_config``, sliced variables and optimizer
slots), ``verify`` compares it with the original whose cut channels are zero, and
``restructure`` does both and refuses where they differ.
"""

import keras
import numpy as np

from nestrade_lib.arrays import require_inputs
from nestrade_lib.dependency import ChannelGraph, graph_of
from nestrade_lib.surgery.optimizer import UnsliceableOptimizer
from nestrade_lib.surgery.rebuild import cut
from nestrade_lib.surgery.refusal import RefusedCut, require_equal
from nestrade_lib.surgery.unrolled import unroll
from nestrade_lib.surgery.verification import compare, verify

__all__ = [
    "RefusedCut",
    "UnsliceableOptimizer",
    "cut",
    "restructure",
    "unroll",
    "verify",
]


def restructure(
    network: keras.Model,
    mask: np.ndarray,
    graph: ChannelGraph | None = None,
    probe=None,
) -> keras.Model:
    """Cut channels out of a network and verify that its function is kept.

    The smaller network is a plain Keras model. Its outputs equal those of
    ``network`` with every slice that produces a cut channel (kernel column, bias,
    gamma, beta) set to zero; so if they are zero already, nothing changes. A
    compiled network's loss, metrics and optimizer (each slot sliced, iterations
    and learning rate kept) are carried over. ``network`` itself is not touched.

    Parameters
    ----------
    network : keras.Model
        A built functional or sequential model; of a subclassed one, :func:`unroll` makes one.
    mask : array of bool, shape (graph.count,)
        Which channel groups stay.
    graph : ChannelGraph, optional
        The trace of ``network``, if it was made before.
    probe : array or structure of arrays, optional
        Inputs to verify on, a few samples; random ones by default.

    Returns
    -------
    keras.Model

    Raises
    ------
    ValueError
        If ``mask`` has another shape or type, or leaves a layer without channels.
    UnsliceableOptimizer
        If the optimizer has a slot that cannot be sliced with its variable.
    RefusedCut
        If there is a difference above rounding (relative 1e-5 in float32).

    Examples
    --------
    >>> import keras, numpy as np
    >>> from nestrade_lib import restructure, trace
    >>> network = keras.Sequential([
    ...     keras.Input((4,)),
    ...     keras.layers.Dense(6, activation="relu", name="hidden"),
    ...     keras.layers.Dense(2),
    ... ])
    >>> graph = trace(network)
    >>> smaller = restructure(network, np.arange(graph.count) < 3, graph)
    >>> smaller.get_layer("hidden").units
    3
    """
    graph = graph_of(network, graph)
    if probe is not None:
        require_inputs("probe", probe, network)
    smaller = cut(network, mask, graph)
    require_equal(network, *compare(network, smaller, mask, probe, graph))
    return smaller

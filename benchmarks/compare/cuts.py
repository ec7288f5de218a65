"""What peers in Keras share: which channels stay, and the library's surgery for the cut."""

import bisect

import numpy as np

from benchmarks.compare.with_keras import outputs
from nestrade_lib import restructure
from nestrade_lib.costs import ChannelCosts


def macs_of(graph):
    """MACs of a traced network."""
    return ChannelCosts(graph).total(np.ones(graph.count, bool))["macs"]


def largest(graph, scores, share):
    """A mask of the groups with the largest scores: of each layer a share, one at least."""
    mask = np.zeros(graph.count, bool)
    for layer in np.unique(graph.layers):
        groups = np.flatnonzero(graph.layers == layer)
        width = max(1, round(share * len(groups)))
        mask[groups[np.argsort(-scores[groups], kind="stable")[:width]]] = True
    return mask


def keep_uniformly(graph, scores, macs):
    """The same share of each layer, as large as so many MACs allow."""
    return _first_within(
        graph, macs, lambda n: largest(graph, scores, 1 - n / graph.count)
    )


def keep_globally(graph, scores, macs):
    """Those above one threshold for all layers, as low as so many MACs allow."""
    order, best = np.argsort(scores, kind="stable"), largest(graph, scores, 0)

    def mask(n):
        stays = np.ones(graph.count, bool)
        stays[order[:n]] = False
        return stays | best | np.isinf(scores)

    return _first_within(graph, macs, mask)


def _first_within(graph, macs, mask):
    """The first of ``mask(0)``, ``mask(1)``, …, each of fewer groups, within so many MACs."""
    costs = ChannelCosts(graph)
    n = bisect.bisect_left(
        range(graph.count + 1), True, key=lambda n: costs.total(mask(n))["macs"] <= macs
    )
    if n > graph.count:
        raise ValueError(
            f"Expected a budget that some channels can meet, got {macs:,.0f} MACs: one "
            f"channel in each layer takes {costs.total(mask(graph.count))['macs']:,.0f}."
        )
    return mask(n)


def restructured(network, mask, graph, work):
    """The network without the other channels; how far its outputs moved is noted."""
    smaller = restructure(network, mask, graph)
    work.after_cut(outputs(network), outputs(smaller))
    return smaller

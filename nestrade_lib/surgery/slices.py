"""Arrays of the original network turned into those of the smaller one."""

import numpy as np

from nestrade_lib.names import variable_paths
from nestrade_lib.variables import value

EVERY_ROLE = ("produce", "consume", "carry", "state")


class Slices:
    """What stays of each variable when a mask of channel groups is applied.

    Arrays are keyed by the paths of the original network's variables, made unlike
    each other (:func:`nestrade_lib.names.variable_paths`).
    """

    def __init__(self, graph, mask, network):
        self.graph = graph
        self.paths = variable_paths(network.variables)
        # One more, so that group -1 (never cut) is kept.
        mask = np.append(graph.require_mask(mask), True)
        self.stays = lambda labels: mask[graph.groups_of(labels)]
        self.masks = {
            path: [None if groups is None else mask[groups] for groups in axes]
            for path, axes in graph.labels.items()
        }

    def kept(self, axis):
        """The number of channels of a traced axis that stay."""
        return int(self.stays(axis.labels).sum())

    def path(self, variable):
        """The key of a variable of the network."""
        return self.paths[id(variable)]

    def of(self, path, array):
        """An array of a variable's shape, cut as the variable is."""
        for number, mask in enumerate(self.masks.get(path, ())):
            if mask is not None and not mask.all():
                array = np.compress(mask, array, axis=number)
        return array

    def zeroed(self, path, array, roles=("produce", "state")):
        """The same array with the slices of cut channels at zero, nothing removed."""
        array = np.array(array)
        roles_of_axes = self.graph.roles[path]
        for number, (mask, role) in enumerate(zip(self.masks[path], roles_of_axes)):
            if mask is not None and role in roles:
                array[(slice(None),) * number + (~mask,)] = 0
        return array

    def factor(self, path):
        """What the variable is multiplied by, to make up for a smaller mean."""
        scale = self.graph.scales.get(path)
        return 1.0 if scale is None else float(scale(self.kept))

    def carry(self, arrays):
        """All weights of the network, for the smaller one: folded, scaled, cut."""
        return {
            path: (self.of(path, array) * self.factor(path)).astype(array.dtype)
            if path in self.graph.scales
            else self.of(path, array)
            for path, array in self.folded(arrays).items()
        }

    def folded(self, arrays):
        """The same weights with what cut channels leave in the biases of their readers."""
        arrays = dict(arrays)
        for fold in self.graph.folds:
            dropped = ~self.stays(fold.source.labels)
            fill = np.where(dropped, fold.source.fill, 0.0)
            kernel, bias = arrays.get(fold.kernel), arrays.get(fold.bias)
            if fill.any() and kernel is not None and bias is not None:
                arrays[fold.bias] = _folded(kernel, fold.axis, fill, bias)
        return arrays


def _folded(kernel, axis, fill, bias):
    added = np.tensordot(fill, kernel.astype(np.float64), (0, axis % kernel.ndim))
    if bias.ndim > added.ndim:  # a GRU's two rows: the first goes with the inputs
        bias = bias.copy()
        bias[0] = bias[0] + added
        return bias
    added = added.reshape(-1, *added.shape[added.ndim - bias.ndim :]).sum(axis=0)
    return (bias + added).astype(bias.dtype)


def values(network):
    """The values of a network's variables, by path."""
    paths = variable_paths(network.variables)
    return {paths[id(v)]: value(v) for v in network.variables}

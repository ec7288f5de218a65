"""Scores of channel groups that know what the other channels can take over.

A channel that is a linear function of others is not missed: the layer that reads it can
read them instead. Optimal brain surgery (Hassibi & Stork 1993) removes what the loss
needs least *after* the remaining weights have made up for it. K-FAC (Martens & Grosse
2015) makes the curvature that it needs small: for a layer that reads channels, A, the
second moments of the channels, and G, those of the loss gradients at its outputs.
Removing channel c then costs

    ½ · w_c G w_cᵀ / (A⁻¹)_cc

where 1 / (A⁻¹)_cc is what is left of the channel after its regression on the others.
Channels are removed in greedy order, A⁻¹ and the weights following each (Wang et al.
2019, "EigenDamage", for K-FAC in structured pruning).
"""

import numpy as np
from keras import ops

from nestrade_lib.arrays import arrays_of, map_arrays
from nestrade_lib.gradients import gradient_of, loss_of
from nestrade_lib.readers import readers_of, watched
from nestrade_lib.variables import tensors_of

DAMPING = 1e-3  # of A, as a share of its diagonal
STEPS = 128  # greedy steps of a layer: the channels of wider ones go several at a time
BLOCK = 64  # removals whose changes are made together, as one large product


def kfac(network, graph, batches):
    """Score groups by the estimated rise of the loss once others have taken over.

    Parameters
    ----------
    network : keras.Model
        Compiled: its loss is used, and its outputs in inference mode.
    graph : nestrade_lib.ChannelGraph
        Of `network`.
    batches : list of (x, y, sample_weight)
        Some hundred training samples; the weights may be None.

    Returns
    -------
    ndarray of float64, shape (graph.count,)
        In units of the loss. NaN for groups that some weights read of which the channels
        are not seen from outside a layer: attention, recurrent layers, layers with rules
        of one's own.

    References
    ----------
    Hassibi, Stork (1993), "Second order derivatives for network pruning: optimal brain
    surgeon". Martens, Grosse (2015), "Optimizing neural networks with Kronecker-factored
    approximate curvature". Wang et al. (2019), "EigenDamage".

    Examples
    --------
    >>> import keras
    >>> from nestrade_lib import trace
    >>> network = keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(6), keras.layers.Dense(2)]
    ... )
    >>> network.compile("sgd", "mse")
    >>> x, y = np.random.rand(32, 4), np.random.rand(32, 2)
    >>> kfac(network, trace(network), [(x, y, None)]).shape
    (6,)
    """
    factors = {id(reader): _Factors(reader) for reader in readers_of(network, graph)}
    if not factors:  # PyTorch has no gradient by nothing
        return np.full(graph.count, np.nan)
    gradient = gradient_of(_probed_loss(network, factors))
    for batch in batches:
        _add_batch(network, factors, gradient, batch)
    scores = np.where(_are_all_seen(graph, factors.values()), 0.0, np.nan)
    for each in factors.values():
        scores[each.reader.groups] += each.costs()
    return scores


def _are_all_seen(graph, factors):
    """Whether all weights that read a group are those of readers (array of bool)."""
    paths = {path for each in factors for path in each.reader.paths}
    is_read, is_missed = np.zeros((2, graph.count), bool)
    for path, axes in graph.labels.items():
        for groups, role in zip(axes, graph.roles[path], strict=True):
            if role == "consume" and groups is not None:
                seen = is_read if path in paths else is_missed
                seen[groups[groups >= 0]] = True
    return is_read & ~is_missed


def removal_costs(second_moments, energies, removable):
    """What each of some channels costs when it goes, in greedy order.

    Parameters
    ----------
    second_moments : ndarray, shape (n, n)
        A, of all channels that a layer reads, positive definite.
    energies : ndarray, shape (n, n)
        W G Wᵀ, of the weights that read them.
    removable : int
        The first so many may go; the others can only take over.

    Returns
    -------
    ndarray, shape (removable,)
        The rise of ½ E‖Δz‖² in the metric of G at each channel's removal, the weights of
        all that are left being refitted; at least that of the removal before.

    Examples
    --------
    Two equal channels: the first to go is free, the second costs both.

    >>> costs = removal_costs(np.ones((2, 2)) + 1e-9 * np.eye(2), np.ones((2, 2)), 2)
    >>> costs.round(3).tolist()
    [0.0, 2.0]
    """
    inverse = np.linalg.inv(second_moments)
    left, costs, highest = np.arange(len(inverse)), np.zeros(removable), 0.0
    at_once = -(-removable // STEPS)
    while np.any(left < removable):
        block = _Block(inverse, energies, left < removable, max(BLOCK, at_once))
        while block.may_go.any() and block.has_place_for(at_once):
            gone, each = block.remove(at_once)
            costs[left[gone]] = highest = max(highest, each.max())
        inverse, energies, stays = block.apply()
        left = left[stays]
    return costs


class _Block:
    """Some removals, whose changes to A⁻¹ and energies are made together, as one product.

    Until then diagonals are up to date, and rows are worked out when their channel goes:
    A⁻¹ is now ``inverse - shares @ rows``, and energies are
    ``energies - shares @ crossed - (shares @ crossed).T``.
    """

    def __init__(self, inverse, energies, may_go, size):
        self.inverse, self.energies = inverse, energies
        self.may_go, self._is_gone = may_go, np.zeros(len(may_go), bool)
        self._diagonals = inverse.diagonal().copy(), energies.diagonal().copy()
        self._shares = np.zeros((len(inverse), size))
        self._rows, self._crossed = np.zeros((2, size, len(inverse)))
        self._end = 0

    def has_place_for(self, count):
        return self._end + count <= len(self._rows)

    def remove(self, most):
        """Remove the cheapest channels: which they are, and what each costs."""
        variances, energies = self._diagonals
        (candidates,) = np.nonzero(self.may_go)
        each = energies[candidates] / variances[candidates] / 2
        cheapest = np.argsort(each, kind="stable")[:most]
        gone = candidates[cheapest]
        self.may_go[gone], self._is_gone[gone] = False, True
        before, new = slice(self._end), slice(self._end, self._end + len(gone))
        shares, rows, crossed = self._shares, self._rows, self._crossed
        own = shares[gone, before]
        rows[new] = self.inverse[gone] - own @ rows[before]
        # The others take over: their weights grow by share · those of the gone.
        share = np.linalg.solve(rows[new, gone], rows[new]).T
        energy = self.energies[gone] - own @ crossed[before]
        energy -= (shares[:, before] @ crossed[before, gone]).T
        crossed[new] = energy - energy[:, gone] @ share.T / 2
        shares[:, new] = share
        variances -= np.einsum("nk,kn->n", share, rows[new])
        energies -= 2 * np.einsum("nk,kn->n", share, crossed[new])
        self._end = new.stop
        return gone, each[cheapest]

    def apply(self):
        """A⁻¹ and energies of the channels that stay, and which these are."""
        stays, used = ~self._is_gone, slice(self._end)
        shares = self._shares[stays, used]
        both = np.ix_(stays, stays)
        moved = shares @ self._crossed[used, stays]
        energies = self.energies[both] - moved - moved.T
        inverse = self.inverse[both] - shares @ self._rows[used, stays]
        return inverse, energies, stays


class _Factors:
    """A and G of a reader, summed over batches. A constant counts as a channel too.

    It is what biases, or a norm that follows, take over.
    """

    def __init__(self, reader):
        self.reader = reader
        slots, outputs = len(reader.counts) + 1, reader.weights.shape[-1]
        self.read, self.rows = np.zeros((slots, slots)), 0
        self.made, self.samples = np.zeros((outputs, outputs)), 0

    def add_input(self, x):
        rows = self.reader.read_rows(x)
        self.rows += rows.shape[0] / self.reader.counts.max()
        rows = ops.pad(rows, [[0, 0], [0, 1]], constant_values=1.0)
        self.read += ops.convert_to_numpy(ops.matmul(ops.transpose(rows), rows))

    def add_gradient(self, g):
        rows = self.reader.made_rows(g)
        self.made += ops.convert_to_numpy(ops.matmul(ops.transpose(rows), rows))

    def costs(self):
        """What the reader's groups cost, in units of the loss."""
        counts = np.append(self.reader.counts, self.reader.counts.max())
        second_moments = self.read / self.rows / np.sqrt(np.outer(counts, counts))
        # Each channel in a unit of its own, so that the score depends on none.
        sizes = np.sqrt(np.diag(second_moments))
        units = np.where(sizes > 0, sizes, 1.0)
        second_moments /= np.outer(units, units)
        second_moments += DAMPING * np.eye(len(units))
        weights = self.reader.weights * sizes[:-1, None, None, None]
        energies = np.zeros_like(second_moments)
        energies[:-1, :-1] = np.tensordot(
            weights @ (self.made / self.samples), weights, ([1, 2, 3], [1, 2, 3])
        )
        return removal_costs(second_moments, energies, len(self.reader.groups))


def _probed_loss(network, factors):
    """The loss, summed over samples, by what is added to the outputs of readers."""
    readers = [each.reader for each in factors.values()]

    def loss(probes, trained, others, x, y, sample_weight):
        rest = iter(probes)
        with watched(readers, lambda *_: None, lambda _, z: z + next(rest)):
            mean = loss_of(network, trained, others, (x, y, sample_weight))
        return arrays_of(x)[0].shape[0] * mean

    return loss


def _add_batch(network, factors, gradient, batch):
    """Add a batch to A, the moments of what is read, and G, those of the gradients."""
    x, y, sample_weight = map_arrays(ops.convert_to_tensor, batch)
    trained, others = tensors_of(network)
    called, probes = [], []

    def on_input(reader, x):
        factors[id(reader)].add_input(x)

    def on_output(reader, z):
        called.append(factors[id(reader)])
        probes.append(ops.zeros_like(z))
        return z

    # The loss itself, which may call layers once more than the network does.
    with watched([each.reader for each in factors.values()], on_input, on_output):
        loss_of(network, trained, others, (x, y, sample_weight))
    slopes = gradient(probes, trained, others, x, y, sample_weight)
    for each, slope in zip(called, slopes, strict=True):
        if slope is not None:
            each.add_gradient(slope)
    for each in factors.values():
        each.samples += arrays_of(x)[0].shape[0]

"""Penalties on weights, and the step that drives chosen channel groups to zero.

L1 and L2 are Keras' own. The group lasso (Yuan & Lin 2006) is added here: the norm of
each group, not squared, so that whole groups reach zero where L2 would only shrink
their numbers. Under an adaptive optimizer a penalty in the loss is rescaled like any
gradient and never arrives at zero; the *proximal* step does, since it acts after the
update (Yun et al. 2021, Deleu & Bengio 2021). A penalty on every group also shrinks
the good ones. :class:`ChannelOptimizer` therefore shrinks only the groups that were chosen.

>>> import numpy as np
>>> penalty = GroupLasso(0.5)(np.array([[3.0, 0.0], [4.0, 0.0]]))
>>> round(float(penalty), 4)  # 0.5 · √2 · (5 + 0)
3.5355
"""

import keras
import numpy as np
from keras import ops

from nestrade_lib.checks import is_number, is_whole, require
from nestrade_lib.dependency.frozen import partly_frozen
from nestrade_lib.engines.replicas import assign_on_replicas, sum_over_replicas
from nestrade_lib.importance import group_sums
from nestrade_lib.optimizer_wrapper import OptimizerWrapper


class GroupLasso(keras.regularizers.Regularizer):
    """The sum over slices of their norms, each times the root of its size.

    Parameters
    ----------
    strength : float
        Loss per unit of norm, at least 0.
    axis : int
        The axis whose positions are the groups. The last is that of a kernel's
        output channels.

    Raises
    ------
    ValueError
        If the strength is negative or not finite.

    References
    ----------
    Yuan, Lin (2006), "Model selection and estimation in regression with grouped
    variables". Wen et al. (2016), "Learning structured sparsity in deep neural
    networks", for networks.

    Examples
    --------
    >>> layer = keras.layers.Dense(8, kernel_regularizer=GroupLasso(1e-4))
    """

    def __init__(self, strength=1e-4, axis=-1):
        holds = is_number(strength) and np.isfinite(strength) and strength >= 0
        require(holds, "strength", "a finite number of at least 0", strength)
        require(is_whole(axis, -64), "axis", "a whole number", axis)
        self.strength = float(strength)
        self.axis = axis

    def __call__(self, x):
        x = ops.convert_to_tensor(x)
        others = [n for n in range(len(x.shape)) if n != self.axis % len(x.shape)]
        size = int(np.prod([x.shape[n] for n in others]))
        # At zero the norm has no gradient: this one is 0 there, and never NaN.
        squares = ops.sum(ops.square(x), axis=others)
        norms = ops.where(squares > 0, ops.sqrt(ops.maximum(squares, 1e-24)), 0.0)
        return self.strength * size**0.5 * ops.sum(norms)

    def get_config(self):
        return {"strength": self.strength, "axis": self.axis}


def group_proximal_step(x, threshold, axis=-1):
    """Shrink each slice toward zero by a length, and to exactly zero if it is shorter.

    Parameters
    ----------
    x : tensor
    threshold : float or tensor
        The length taken off each slice's norm.
    axis : int
        The axis whose positions are the groups.

    Returns
    -------
    tensor of the shape of `x`
        What minimizes ``½‖z - x‖² + threshold · Σ‖z_g‖``.

    References
    ----------
    Parikh, Boyd (2014), "Proximal algorithms", section 6.5.4.

    Examples
    --------
    >>> shrunk = group_proximal_step(np.array([[3.0, 0.3], [4.0, 0.4]]), 1.0)
    >>> np.asarray(shrunk).round(2).tolist()
    [[2.4, 0.0], [3.2, 0.0]]
    """
    x = ops.convert_to_tensor(x)
    others = [n for n in range(len(x.shape)) if n != axis % len(x.shape)]
    norms = ops.sqrt(ops.sum(ops.square(x), axis=others, keepdims=True))
    return x * ops.maximum(0.0, 1.0 - threshold / ops.maximum(norms, 1e-30))


class ChannelOptimizer(OptimizerWrapper):
    """An optimizer that also scores channel groups and drives chosen ones to zero.

    It wraps the user's optimizer as Keras' ``LossScaleOptimizer`` does, so that its
    two vectors, a number a group, are optimizer state on every backend.

    At each step it adds to every group's score the square of what the loss would
    change, to first order, if the group were zero (``importance.group_sums``). After
    the update, a group with r steps left is shrunk by the r-th part of its norm: the
    proximal step of the group lasso with the strength that brings it to exactly zero
    in r steps, whatever the gradient does in between.

    Parameters
    ----------
    inner_optimizer : keras.optimizers.Optimizer
        Trains; its state is its own.
    graph : nestrade_lib.ChannelGraph
        Of the network whose variables it will be built on.
    memory : float
        Share of the running mean that a step keeps.

    Attributes
    ----------
    scores : keras.Variable, shape (graph.count + 1,)
        Running means; the last entry belongs to what is never cut.
    remaining : keras.Variable, shape (graph.count + 1,)
        Steps that each group has left; 0 for those that stay.

    Examples
    --------
    >>> from nestrade_lib import trace
    >>> network = keras.Sequential(
    ...     [keras.Input((4,)), keras.layers.Dense(6), keras.layers.Dense(2)]
    ... )
    >>> optimizer = ChannelOptimizer(keras.optimizers.Adam(), trace(network))
    >>> optimizer.build(network.trainable_variables)
    >>> tuple(optimizer.scores.shape)
    (7,)
    """

    def __init__(self, inner_optimizer, graph, memory=0.995, name="channel_optimizer"):
        is_optimizer = isinstance(inner_optimizer, keras.optimizers.Optimizer)
        require(is_optimizer, "inner_optimizer", "a Keras optimizer", inner_optimizer)
        holds = is_number(memory) and 0 <= memory < 1
        require(holds, "memory", "a share of at least 0 and below 1", memory)
        super().__init__(inner_optimizer, name=name)
        self.graph = graph
        self.memory = memory

    def build(self, variables):
        size = (self.graph.count + 1,)
        self.scores = self.add_variable(size, name="scores", initializer="zeros")
        self.remaining = self.add_variable(size, name="remaining", initializer="zeros")
        super().build(variables)
        self._produced = list(_slices(self.graph, variables, "produce"))
        self._scored = self._scored_slices(variables)

    def before_step(self, grads, variables):
        # The gradients of replicas are parts of one sum, of which the square is taken.
        change = group_sums(self._scored, variables, grads, self.graph.count + 1)
        change = sum_over_replicas(change) / self.inner.scale_loss(1.0)
        change = ops.cast(
            ops.where(ops.isfinite(change), change, 0.0), self.scores.dtype
        )
        kept = self.memory * self.scores
        scores = kept + (1 - self.memory) * ops.square(change)
        assign_on_replicas([(self.scores, scores)])

    def _scored_slices(self, variables):
        """What each group is scored by: the weights that make it, where all of them train.

        To first order, those that read a channel say the same of it.
        """
        scored, is_read = list(self._produced), np.zeros(self.graph.count + 1, bool)
        consumed = list(_slices(self.graph, variables, "consume"))
        for _, _, groups in consumed:
            is_read[groups] = True
        by_readers = is_read & partly_frozen(self.graph, variables)
        if by_readers.any():
            scored = [
                (*slot, self._only(~by_readers, groups)) for *slot, groups in scored
            ]
            scored += [
                (*slot, self._only(by_readers, groups)) for *slot, groups in consumed
            ]
        return scored

    def _only(self, chosen, groups):
        return np.where(chosen[groups], groups, self.graph.count)

    def after_step(self, variables):
        left = ops.convert_to_tensor(self.remaining)
        factors = ops.where(left > 0, (left - 1) / ops.maximum(left, 1.0), 1.0)
        shrunk = {}
        for index, axis, groups in self._produced:
            variable = variables[index]
            shape = [1] * len(variable.shape)
            shape[axis] = -1
            factor = ops.reshape(ops.take(factors, groups), shape)
            weights = shrunk.get(index, ops.convert_to_tensor(variable))
            shrunk[index] = weights * ops.cast(factor, weights.dtype)
        pairs = [(variables[index], weights) for index, weights in shrunk.items()]
        pairs.append((self.remaining, ops.where(left > 1, left - 1, left)))
        assign_on_replicas(pairs)


def _slices(graph, variables, role):
    """Triples (index of variable, axis, group of each position), of those in a role."""
    for index, variable in enumerate(variables):
        path = graph.path(variable)
        for axis, groups in enumerate(graph.labels[path]):
            if groups is not None and graph.roles[path][axis] == role:
                yield index, axis, np.where(groups < 0, graph.count, groups)

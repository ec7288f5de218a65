"""A group lasso from the first step, cut as channels fall to zero (PruneTrain, Lym et al. 2019).

As published: one strength for all groups, chosen so that the penalty is a quarter of the
whole loss at the start; after each epoch, channels that are nearly zero are cut. Different
here: Adam in place of SGD, hence a higher threshold. The method has no budget: after three
fifths of the epochs each layer loses the same share of what it has left, until the budget
is met, and the rest trains without penalty.
"""

import keras
import numpy as np

from benchmarks.compare.cuts import keep_uniformly, largest, macs_of, restructured
from benchmarks.compare.with_keras import build, compiled, fit
from nestrade_lib import GroupLasso, trace
from nestrade_lib.importance import magnitude

RATIO, THRESHOLD = 0.25, 5e-3


def train(work):
    network = compiled(build(work.network), work, work.epochs)
    allowed = work.budget * macs_of(trace(network))
    strength = strength_for(network, work)
    penalized = max(1, 3 * work.epochs // 5)
    for epoch in range(penalized):
        penalize(network, strength)
        fit(network, work, 1)
        graph = trace(network)
        scores = magnitude(network, graph)
        if epoch == penalized - 1:
            mask = keep_uniformly(graph, scores, allowed)
        else:
            mask = (scores > THRESHOLD) | largest(graph, scores, 0)
        network = restructured(network, mask, graph, work)
    return fit(network, work, work.epochs - penalized)


def hidden(network):
    kinds = keras.layers.Conv2D, keras.layers.Dense
    return [x for x in network.layers if isinstance(x, kinds) and x.name != "logits"]


def strength_for(network, work):
    x, y = (array[:1000] for array in work.train)
    loss = network.evaluate(x, y, verbose=0)[0]
    norms = [np.sqrt((x.kernel.numpy() ** 2).sum((*range(x.kernel.ndim - 1),))).sum()
             for x in hidden(network)]  # fmt: skip
    return RATIO / (1 - RATIO) * loss / sum(norms)


def penalize(network, strength):
    for layer in hidden(network):
        size = np.prod(layer.kernel.shape[:-1])
        layer.kernel.regularizer = GroupLasso(
            strength / size**0.5
        )  # undoes its weight by size
    network.train_function = None  # Keras then builds a step with the penalty

"""What Nestrade is measured against, written in plain Keras.

Each takes the data, epochs and a share of the MACs, and gives a trained network. All
use Adam, the same batch size and the same number of epochs as Nestrade.
"""

import keras
import numpy as np

from benchmarks.training import RATE, compiled, cosine, lenet5, train_plainly
from nestrade_lib import GroupLasso, restructure, trace
from nestrade_lib.importance import magnitude

LAYERS = ("conv1", "conv2", "dense1")
DENSE = (20, 50, 500)


def thinner_widths(budget, proportions=DENSE):
    """The widest LeNet-5 of these proportions within a share of the dense one's MACs."""
    limit = budget * count_costs_of(DENSE)
    for share in np.linspace(1, 0, 500, endpoint=False):
        widths = [max(1, round(share * width)) for width in proportions]
        if count_costs_of(widths) <= limit:
            return widths
    raise ValueError(f"No LeNet-5 has {budget} of the MACs.")


def count_costs_of(widths):
    first, second, hidden = widths
    return (
        24 * 24 * 25 * first
        + 8 * 8 * 25 * first * second
        + 16 * second * hidden
        + 10 * hidden
    )


def thinner(data, epochs, budget):
    """Uniformly thinner, dense, from scratch."""
    return train_plainly(lenet5(thinner_widths(budget)), data, epochs)


def magnitude_fine_tune(data, epochs, budget):
    """Train dense for half of the epochs, mask the largest channels, fine-tune.

    Every layer keeps the same share (Li et al. 2017): without that, magnitudes
    compared between layers empty one of them. Both halves have their own cosine, the
    second from half of the rate.
    """
    network = train_plainly(lenet5(), data, epochs // 2)
    graph = trace(network)
    mask = largest(network, graph, thinner_widths(budget))
    smaller = restructure(network, mask, graph)
    return train_plainly(smaller, data, epochs - epochs // 2, RATE / 2)


def largest(network, graph, widths):
    """The channels of each layer with the largest weights, as many as `widths` says."""
    scores = magnitude(network, graph)
    mask = np.zeros(graph.count, bool)
    for layer, width in zip(LAYERS, widths, strict=True):
        groups = np.flatnonzero(graph.layers == layer)
        mask[groups[np.argsort(-scores[groups])[:width]]] = True
    return mask


def group_lasso(data, epochs, budget, ratio=0.25, threshold=1e-2):
    """Group lasso on every channel from the first step, cut as channels fall to zero.

    After PruneTrain (Lym et al. 2019): one strength for all groups, not weighted by
    their size, chosen so that the penalty is a quarter of the whole loss at the
    start; after each epoch, channels whose weights are all below a threshold are cut
    and training goes on. Different here: Adam in place of SGD; hence a threshold of
    1e-2 in place of 1e-4, which Adam's steps of 2e-3 never stay below; only output
    channels are groups. It has no budget: after three fifths of the epochs each layer
    loses the same share of the channels that it has left, those of least norm, until
    the budget is met, and the rest trains without penalty.
    """
    network = compiled(lenet5(), cosine(data, epochs))
    strength = penalty_strength(network, data, ratio)
    forced = max(1, 3 * epochs // 5)
    for epoch in range(epochs):
        if epoch < forced:
            penalize(network, strength)
        network.fit(
            *data.train,
            batch_size=128,
            initial_epoch=epoch,
            epochs=epoch + 1,
            verbose=0,
        )
        if epoch >= forced:
            continue
        graph = trace(network)
        mask = not_small(network, graph, threshold)
        if epoch == forced - 1:
            left = [mask[graph.layers == layer].sum() for layer in LAYERS]
            mask = largest(network, graph, thinner_widths(budget, left))
        if not mask.all():
            network = restructure(network, mask, graph)
    return network


def hidden(network):
    return [network.get_layer(name) for name in LAYERS]


def norms(kernel):
    flat = keras.ops.convert_to_numpy(kernel).reshape(-1, kernel.shape[-1])
    return np.sqrt((flat**2).sum(0))


def penalty_strength(network, data, ratio):
    x, y = (a[:1000] for a in data.train)
    loss = float(network.evaluate(x, y, verbose=0)[0])
    total = sum(norms(layer.kernel).sum() for layer in hidden(network))
    return ratio / (1 - ratio) * loss / total


def penalize(network, strength):
    """Keras adds up the penalties of variables; GroupLasso's weight by size is undone."""
    for layer in hidden(network):
        size = np.prod(layer.kernel.shape[:-1])
        layer.kernel.regularizer = GroupLasso(strength / size**0.5)
    network.train_function = None


def not_small(network, graph, threshold):
    """The channels with a weight above the threshold; of each layer one at least."""
    mask = np.ones(graph.count, bool)
    for layer in hidden(network):
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        largest = np.abs(kernel).reshape(-1, kernel.shape[-1]).max(0)
        here = largest > threshold
        here[largest.argmax()] = True
        mask[np.flatnonzero(graph.layers == layer.name)] = here
    return mask

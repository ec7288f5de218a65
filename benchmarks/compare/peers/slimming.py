"""Network Slimming: an L1 penalty on the scales of batch norms (Liu et al. 2017).

As published: scales start at 0.5, the penalty's strength is 1e-4, and one threshold for
all layers chooses the channels. Half of the epochs come before the cut, half after it.
Networks without batch norms get one before each activation.
"""

import keras
import numpy as np

from benchmarks.compare.cuts import keep_globally, macs_of, restructured
from benchmarks.compare.with_keras import build, compiled, fit
from nestrade_lib import trace
from nestrade_lib.importance import bn_scale

STRENGTH = 1e-4


def train(work):
    before, after = work.halves
    network = build(work.network, norms=True)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(np.full(layer.gamma.shape, 0.5))
            layer.gamma.regularizer = keras.regularizers.L1(STRENGTH)
    fit(compiled(network, work, before), work, before)
    graph = trace(network)
    scores = bn_scale(network, graph)
    mask = keep_globally(graph, scores, work.budget * macs_of(graph))
    network = restructured(network, mask, graph, work)
    return fit(compiled(network, work, after), work, after)

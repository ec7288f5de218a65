"""Train, cut the channels with the smallest weights, fine-tune (Li et al. 2017).

Every layer loses the same share, since sizes of weights in different layers cannot be
compared. Half of the epochs come before the cut, half after it.
"""

from benchmarks.compare.cuts import keep_uniformly, macs_of, restructured
from benchmarks.compare.with_keras import build, compiled, fit
from nestrade_lib import trace
from nestrade_lib.importance import magnitude


def train(work):
    before, after = work.halves
    network = fit(compiled(build(work.network), work, before), work, before)
    graph = trace(network)
    scores = magnitude(network, graph)
    mask = keep_uniformly(graph, scores, work.budget * macs_of(graph))
    network = restructured(network, mask, graph, work)
    return fit(compiled(network, work, after), work, after)

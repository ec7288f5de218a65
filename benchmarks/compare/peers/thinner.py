"""A network that is thinner by the same share in each layer, trained from scratch."""

import numpy as np

from benchmarks.compare.cuts import keep_uniformly, macs_of
from benchmarks.compare.with_keras import build, compiled, fit, kernels, of_widths
from nestrade_lib import trace
from nestrade_lib.surgery import cut


def train(work):
    network = build(work.network)
    graph = trace(network)
    mask = keep_uniformly(graph, np.zeros(graph.count), work.budget * macs_of(graph))
    widths = {x.name: x.output.shape[-1] for x in kernels(cut(network, mask, graph))}
    network = of_widths(network, widths)
    return fit(compiled(network, work, work.epochs), work, work.epochs)

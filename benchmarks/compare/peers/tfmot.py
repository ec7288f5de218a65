"""TensorFlow Model Optimization: weights masked one by one, and the masks stripped.

Half of the epochs train the network, half prune it, as its guide does: magnitudes, along
a polynomial, here up to half of that time. The share of weights that stay is the budget,
so that as many MACs have a weight that is not zero. The network keeps its shape.
"""

import tensorflow_model_optimization as tfmot

from benchmarks.compare.with_keras import build, compiled, fit, outputs

sparsity = tfmot.sparsity.keras


def train(work):
    before, after = work.halves
    network = fit(compiled(build(work.network), work, before), work, before)
    share = 1 - work.budget
    end = work.steps(after) // 2
    schedule = sparsity.PolynomialDecay(min(0.5, share), share, 0, end, frequency=10)
    pruned = sparsity.prune_low_magnitude(network, pruning_schedule=schedule)
    compiled(pruned, work, after)
    fit(pruned, work, after, [sparsity.UpdatePruningStep()])
    stripped = sparsity.strip_pruning(pruned)
    work.after_cut(outputs(pruned), outputs(stripped))
    return stripped

"""Torch-Pruning's own recipe: train, learn sparse groups, cut, fine-tune (Fang et al. 2023).

As in the library's benchmark: `GroupNormPruner` with a strength of 5e-4, one ranking for
all layers. Each of the three trainings has a third of the epochs.
"""

import torch_pruning as tp

from benchmarks.compare.peers.torch_pruning import cut, settings
from benchmarks.compare.with_torch import build, fit


def train(work):
    third = max(1, work.epochs // 3)
    network = fit(build(work.network), work, third)
    options = settings(network) | {"reg": 5e-4, "global_pruning": True}
    pruner = tp.pruner.GroupNormPruner(network, **options)
    fit(network, work, third, regularize=lambda: pruner.regularize(network))
    cut(network, pruner, work)
    return fit(network, work, work.epochs - 2 * third)

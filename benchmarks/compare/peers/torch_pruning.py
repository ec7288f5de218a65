"""Torch-Pruning's example: train, cut by the size of groups, fine-tune.

Half of the epochs come before the cut, half after it. Each layer loses the same share
(the library's default), in small steps until the budget is met.
"""

import copy

import torch
import torch_pruning as tp

from benchmarks.compare.with_torch import build, costs, fit, outputs

STEPS = 400  # as in the library's own benchmark


def train(work):
    before, after = work.halves
    network = fit(build(work.network), work, before)
    pruner = tp.pruner.BasePruner(network, **settings(network))
    cut(network, pruner, work)
    return fit(network, work, after)


def settings(network):
    return {
        "example_inputs": torch.zeros(1, 1, 28, 28),
        "importance": tp.importance.GroupMagnitudeImportance(p=2),
        "pruning_ratio": 1.0,
        "iterative_steps": STEPS,
        "ignored_layers": [[*network.modules()][-1]],  # the logits
    }


def cut(network, pruner, work):
    before, dense = copy.deepcopy(network), costs(network)["macs"]
    for _ in range(STEPS):
        if costs(network)["macs"] <= work.budget * dense:
            break
        pruner.step()
    network.zero_grad()
    work.after_cut(outputs(before), outputs(network))

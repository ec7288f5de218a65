"""The choice of channel groups in its simplest form: everything computed anew at each step."""

import math

import numpy as np


def choose_simply(
    graph, costs, scores, allowed, max_pruning_ratio=1.0, round_to=1, min_widths=None
):
    """What :func:`nestrade_lib.choice.choose` has to give, in quadratic time."""
    mask, taken = np.ones(graph.count, bool), []
    orders = {
        layer: groups[np.argsort(scores[groups], kind="stable")]
        for layer in dict.fromkeys(graph.layers.tolist())
        for groups in [np.flatnonzero(graph.layers == layer)]
    }
    widths = {layer: len(order) for layer, order in orders.items()}
    while weights := pressure(costs.total(mask), allowed):
        saved = costs.savings(mask)
        price = sum(weight * saved[cost] for cost, weight in weights.items())
        values = {}
        for layer, order in orders.items():
            block = order[: len(order) % round_to or round_to]
            first = widths[layer] % round_to or round_to
            least = widths[layer] - max(
                math.floor(widths[layer] * max_pruning_ratio), first
            )
            least = max(least, min(round_to, widths[layer]))
            least = max(least, (min_widths or {}).get(layer, 0))
            without = mask.copy()
            without[block] = False
            if len(order) - len(block) >= least and not graph.emptied(without):
                gain = price[block].sum()
                values[layer] = scores[block].sum() / gain if gain > 0 else math.inf
        best = min(values, key=values.get, default=None)
        if best is None or values[best] == math.inf:
            return mask
        block = orders[best][: len(orders[best]) % round_to or round_to]
        orders[best] = orders[best][len(block) :]
        mask[block] = False
        taken.append(block)
    needed = set()
    for block in sorted(taken, key=lambda block: -scores[block].sum())[:50]:
        layer = graph.layers[block[0]]
        if round_to > 1 and layer in needed:
            continue
        mask[block] = True
        if pressure(costs.total(mask), allowed):
            mask[block] = False
            needed.add(layer)
    return mask


def pressure(total, allowed):
    return {
        cost: math.log(total[cost] / limit) / limit
        for cost, limit in allowed.items()
        if total[cost] > limit * (1 + 1e-9)
    }

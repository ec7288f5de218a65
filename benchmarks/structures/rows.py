"""A row of the record: one network, cut to half of its channels and verified."""

import warnings
from dataclasses import asdict, dataclass

import keras
import numpy as np

from nestrade_lib import count_costs
from nestrade_lib.dependency import group_channels
from nestrade_lib.surgery import RefusedCut, cut
from nestrade_lib.surgery.probes import random_inputs
from nestrade_lib.surgery.refusal import require_equal
from nestrade_lib.surgery.verification import compare_outputs


@dataclass
class Row:
    """What became of a network.

    ``outcome`` is "cut", "nothing to cut", "wrong" (the verification refuses the cut) or the
    error; ``cut_to`` is the share of the MACs that is left, ``stays`` what keeps the rest.
    """

    name: str
    kind: str
    outcome: str
    cut_to: float | None = None
    difference: float | None = None
    stays: str = ""


def measure(name, kind, make, seed=1):
    """The row of the network that ``make`` builds."""
    return row_of(name, kind, lambda: _measured(name, kind, make(), seed), seed)


def row_of(name, kind, measured, seed):
    """A row as measured, or one that names the error of measuring it."""
    keras.utils.set_random_seed(seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return measured()
    except Exception as error:  # whatever it is: the row names it
        message = str(error).strip().splitlines() or [""]
        return Row(name, kind, f"{type(error).__name__}: {message[0][:200]}")


def _measured(name, kind, network, seed):
    graph = group_channels(network)
    stays = what_stays(graph)
    if not graph.cuttable.any():
        return Row(name, kind, "nothing to cut", stays=stays)
    mask = random_cut(graph, seed)
    smaller = cut(network, mask, graph)
    errors, *rounding = compare_outputs(network, smaller, mask, graph=graph)
    outcome, difference = "cut", max(errors.values())
    try:
        require_equal(network, errors, *rounding)
    except RefusedCut:
        outcome = "wrong"
    smaller(random_inputs(smaller), training=True)  # it has to run there too
    before, after = count_costs(network).macs, count_costs(smaller).macs
    share = round(after / before, 3) if before else None
    return Row(name, kind, outcome, share, float(f"{difference:.1e}"), stays)


def what_stays(graph):
    """Which channels are never cut, and which layers are kept, with the reasons."""
    return "; ".join(filter(None, [graph.causes, *graph.unsupported.values()]))


def random_cut(graph, seed=1, share=0.5):
    """A random mask without this share of the groups, at least one left where one has to be."""
    rng = np.random.default_rng(seed)
    mask = rng.random(graph.count) > share
    for sets in graph.widths.values():
        for groups in sets:
            if not mask[groups].any():
                mask[rng.choice(groups)] = True
    return mask


def as_json(row):
    return asdict(row)

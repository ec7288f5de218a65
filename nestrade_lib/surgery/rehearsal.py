"""A rehearsal: cuts that a run is going to make, tried before it begins, and discarded."""

import keras
import numpy as np

from nestrade_lib.surgery import restructure
from nestrade_lib.surgery.compiled import compile_untrained
from nestrade_lib.surgery.optimizer import recreate
from nestrade_lib.surgery.probes import parts_of, random_inputs
from nestrade_lib.surgery.rebuild import cut
from nestrade_lib.surgery.refusal import require_equal
from nestrade_lib.surgery.verification import compare_outputs

LARGE = 100  # trained variables: verifying a cut of more takes as long as an epoch


def rehearse(network, smallest, graph, probe=None):
    """Refuse before a run what its cuts would be refused for.

    The smallest network is built, and its outputs are verified; so is all of one on the
    way to it. A large network answers for one sample alone, and has its optimizer tried on
    two small layers instead.
    """
    is_large = len(network.trainable_variables) > LARGE
    if is_large:
        probe = random_inputs(network) if probe is None else probe
        probe = next(parts_of(probe, size=1), probe)
    smaller = cut(network, smallest, graph, compiled=not is_large)
    require_equal(network, *compare_outputs(network, smaller, smallest, probe, graph))
    if is_large:
        compile_untrained(network, smaller)
        try_optimizer(network.optimizer)
        return
    on_the_way = smallest | (np.arange(graph.count) % 2 == 0)
    restructure(network, on_the_way, graph, probe)


def try_optimizer(optimizer):
    """Cut two small layers that an optimizer of this kind trains."""
    hidden, last = (keras.layers.Dense(n, dtype="float32") for n in (6, 2))
    network = keras.Sequential([keras.Input((4,)), hidden, last], name="small_network")
    network.compile(recreate(optimizer), "mse")
    network.optimizer.build(network.trainable_variables)
    restructure(network, np.arange(6) < 3)

"""Random graphs: something is cut of each, and every cut equals the original.

``STRUCTURE_EXAMPLES=500`` draws as many; continuous integration draws fewer.
"""

import os

import keras
import numpy as np
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from benchmarks.structures.graphs import Builder
from benchmarks.structures.rows import random_cut
from nestrade_lib import trace
from nestrade_lib.surgery import cut, verify
from nestrade_lib.surgery.probes import random_inputs
from tests.support.cuts import assert_same, kept_size, outputs, randomize, zero_channels

EXAMPLES = int(os.environ.get("STRUCTURE_EXAMPLES", "20"))


@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_something_is_cut_and_every_cut_is_equal(data):
    keras.backend.clear_session()
    network = Builder(lambda x: data.draw(st.sampled_from(x))).network()
    randomize(network, data.draw(st.integers(0, 3)))
    probe = random_inputs(network)
    graph = trace(network)
    mask = random_cut(graph, data.draw(st.integers(0, 9)))
    smaller = cut(network, mask, graph)
    event("cut" if smaller.count_params() < network.count_params() else "all kept")
    errors = verify(network, smaller, mask, probe, graph)
    assert max(errors.values()) <= 1e-5
    zero_channels(network, graph, mask)
    assert_same(outputs(network, probe), outputs(smaller, probe))
    assert len(graph.names) == graph.count == mask.size
    sizes = [kept_size(graph, v.path, mask) for v in network.trainable_variables]
    assert sizes == [np.prod(v.shape) for v in smaller.trainable_variables]

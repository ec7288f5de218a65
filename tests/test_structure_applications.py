"""Keras' own networks: traced whole, cut to half their MACs, equal to the original.

All twelve take minutes: ``STRUCTURE_APPLICATIONS=all``. Two are run by default.
"""

import os

import numpy as np
import pytest

from nestrade_lib import trace, verify
from nestrade_lib.surgery import cut
from tests.support.applications import ALL, build, half_of_the_macs
from tests.support.cuts import assert_same, outputs, zero_channels

CHOSEN = ALL if os.environ.get("STRUCTURE_APPLICATIONS") == "all" else ALL[:2]


@pytest.mark.parametrize("name", CHOSEN)
def test_application(name):
    network = build(name)
    graph = trace(network)
    mask, _ = half_of_the_macs(network, graph)
    smaller = cut(network, mask, graph)
    probe = np.random.default_rng(0).normal(size=(2, *network.input_shape[1:]))
    probe = probe.astype("float32")
    assert max(verify(network, smaller, mask, probe, graph).values()) <= 1e-5
    zero_channels(network, graph, mask)
    assert_same(outputs(network, probe), outputs(smaller, probe), 1e-5)

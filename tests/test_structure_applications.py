"""Keras' own networks: traced whole, cut to half their MACs, equal to the original.

All twelve take minutes: ``STRUCTURE_APPLICATIONS=all``. Two are run by default.
"""

import os

import keras
import numpy as np
import pytest
from test_structure_cases import assert_same, outputs, random_cut, zero_channels

from nestrade_lib import trace, variable_uses, verify
from nestrade_lib.surgery import cut

ALL = """MobileNetV3Small MobileNetV2 VGG16 ResNet50 ResNet50V2 DenseNet121 EfficientNetB0
EfficientNetV2B0 ConvNeXtTiny Xception InceptionV3 NASNetMobile""".split()
CHOSEN = ALL if os.environ.get("STRUCTURE_APPLICATIONS") == "all" else ALL[:2]


def build(name):
    """The network on small images, its norms and offsets away from their start."""
    keras.backend.clear_session()
    size = 80 if name in ("InceptionV3", "Xception") else 64
    network = getattr(keras.applications, name)(
        weights=None,
        input_shape=(size, size, 3),
        classes=10,
        classifier_activation=None,
    )
    rng = np.random.default_rng(0)
    for variable in network.variables:
        if any(part in variable.path for part in ("beta", "bias", "moving_mean")):
            variable.assign(rng.normal(size=variable.shape, scale=0.1))
        if any(part in variable.path for part in ("gamma", "variance", "layer_scale")):
            variable.assign(rng.uniform(0.8, 1.2, variable.shape))
    return network


def half_of_the_macs(network, graph):
    """The first random cut, ever deeper, that leaves at most half of the MACs."""
    found = variable_uses(network)
    uses = {v.path: found.get(id(v), 0) for v in network.variables}
    whole = graph.cost(uses, np.ones(graph.count, bool))
    for share in np.arange(0.1, 1.0, 0.05):
        mask = random_cut(graph, share=share)
        if graph.cost(uses, mask) <= whole / 2:
            return mask, graph.cost(uses, mask) / whole
    raise AssertionError("no cut reaches half of the MACs")


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

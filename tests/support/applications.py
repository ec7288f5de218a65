"""Keras' own networks on small images, and random cuts to half of their MACs."""

import keras
import numpy as np

from benchmarks.structures.rows import random_cut
from nestrade_lib.costs import ChannelCosts

ALL = """MobileNetV3Small MobileNetV2 VGG16 ResNet50 ResNet50V2 DenseNet121 EfficientNetB0
EfficientNetV2B0 ConvNeXtTiny Xception InceptionV3 NASNetMobile""".split()


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
    costs = ChannelCosts(graph)
    whole = costs.total(np.ones(graph.count, bool))["macs"]
    for share in np.arange(0.1, 1.0, 0.05):
        mask = random_cut(graph, share=share)
        if (macs := costs.total(mask)["macs"]) <= whole / 2:
            return mask, macs / whole
    raise AssertionError("no cut reaches half of the MACs")

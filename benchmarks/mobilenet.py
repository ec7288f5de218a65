"""A small MobileNet, and what fine-tuning makes of it: a new head, frozen, thawed."""

import json
import zipfile

import keras
import numpy as np
from keras import layers as kl

from nestrade_lib import create_loss, restructure, trace

BLOCKS = ((64, 1), (192, 2), (384, 1), (384, 1))  # filters, strides
NEW = "input_axes", "output_axes", "renorm", "renorm_clipping", "renorm_momentum"


def create_base():
    """A MobileNet for small grey images: each block depthwise, then pointwise."""
    x = inputs = keras.Input((28, 28, 1))
    x = _normed(kl.Conv2D(32, 3, 2, padding="same", use_bias=False, name="stem")(x))
    for n, (filters, strides) in enumerate(BLOCKS, start=1):
        options = {"padding": "same", "use_bias": False}
        x = kl.DepthwiseConv2D(3, strides, name=f"depthwise{n}", **options)(x)
        x = kl.Conv2D(filters, 1, name=f"pointwise{n}", **options)(_normed(x))
        x = _normed(x)
    return keras.Model(inputs, x, name="base")


def _normed(x):
    return kl.ReLU(6.0)(kl.BatchNormalization(momentum=0.9)(x))  # a range for int8


def create_classifier(base, training=None):
    """The base between what scales pixels and a head of ten classes."""
    inputs = keras.Input((28, 28, 1))
    x = base(kl.Rescaling(2.0, offset=-1.0)(inputs), training=training)
    x = kl.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, kl.Dense(10, name="head")(x), name="classifier")


def compile_classifier(network, rate):
    network.compile(keras.optimizers.Adam(rate), create_loss(), metrics=["accuracy"])
    return network


def thaw(network, rate):
    """A copy of the classifier, all of which trains; its norms stay in inference mode."""
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    copy.get_layer("base").trainable = True
    return compile_classifier(copy, rate)


def halved(network, multiple):
    """The network with half of the channels of each layer: odd numbers, or multiples."""
    graph = trace(network)
    mask = np.zeros(graph.count, bool)
    for layer in set(graph.layers):
        groups = np.flatnonzero(graph.layers == layer)
        half = len(groups) / 2
        width = round(half / multiple) * multiple if multiple > 1 else int(half) | 1
        mask[groups[:width]] = True
    return restructure(network, mask, graph)


def without_new_settings(path):
    """Let Keras 3.12 to 3.14 read the file: settings that came later are left out."""
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}

    def stripped(value):
        if isinstance(value, list):
            return [stripped(part) for part in value]
        if not isinstance(value, dict):
            return value
        return {key: stripped(x) for key, x in value.items() if key not in NEW}

    parts["config.json"] = json.dumps(stripped(json.loads(parts["config.json"])))
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)

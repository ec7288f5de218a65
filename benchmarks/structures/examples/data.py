"""Random data for the examples, and the register in which they stand."""

import numpy as np

NETWORKS = {}
RNG = np.random.default_rng(0)
ROWS = 64


def example(build):
    """Add a function that returns a compiled network, its inputs and its targets."""
    NETWORKS[build.__name__.replace("_", " ")] = build
    return build


def images(size=12, channels=3):
    return RNG.random((ROWS, size, size, channels), dtype="float32")


def words(length=8, count=20):
    return RNG.integers(1, count, (ROWS, length))


def classes(count=3, shape=()):
    return RNG.integers(0, count, (ROWS, *shape))


def numbers(*shape):
    return RNG.normal(size=(ROWS, *shape)).astype("float32")


def classifier(network):
    network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return network

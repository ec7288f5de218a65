"""The registry of the structure cases, and shorthands to build them."""

import keras
from keras import layers as L

CASES = {}


def case(count):
    def add(build):
        CASES[build.__name__] = (build, count)
        return build

    return add


def network(inputs, outputs):
    return keras.Model(inputs, outputs)


def image(*layers, shape=(8, 8, 3), head=True):
    """A sequential network on images, ended by a classifier."""
    end = [L.Flatten(), L.Dense(3)] if head else []
    return keras.Sequential([keras.Input(shape), *layers, *end])


def sequence(*layers, shape=(5, 3)):
    return keras.Sequential([keras.Input(shape), *layers, L.Dense(2)])

"""A small problem, and small networks for it: what the tests of a run train."""

import keras
import numpy as np
from keras import layers as kl

from nestrade_lib import Schedule, create_loss

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, 192)
X = (np.eye(3)[Y][:, [0, 1, 2, 0, 1, 2, 0, 1]] + 0.3 * RNG.random((192, 8))).astype(
    "float32"
)


# TensorFlow traces anew after each cut, which takes longer than some dozen steps do.
# Tests of many steps, and those about tracing, ask for ``run_eagerly=False``.
EAGER = keras.backend.backend() == "tensorflow"


def mlp(optimizer="adam", run_eagerly=EAGER, **compiled):
    keras.utils.set_random_seed(1)
    dense = [kl.Dense(24, activation="relu"), kl.Dense(16, activation="relu")]
    network = keras.Sequential([keras.Input((8,)), *dense, kl.Dense(3)])
    compiled |= {"metrics": ["accuracy"], "run_eagerly": run_eagerly}
    network.compile(optimizer, create_loss(), **compiled)
    return network


def residual():
    keras.utils.set_random_seed(1)
    x = keras.Input((8,))
    h = kl.BatchNormalization()(kl.Dense(16, use_bias=False)(kl.Reshape((8,))(x)))
    h = kl.Add()([h, kl.Dense(16)(kl.ReLU()(kl.Dense(20)(h)))])
    network = keras.Model(x, kl.Dense(3)(kl.ReLU()(h)))
    network.compile("adam", create_loss(), metrics=["accuracy"], run_eagerly=EAGER)
    return network


SOON = Schedule(start=0.2, stop=0.7, cuts=3, shrink=4)

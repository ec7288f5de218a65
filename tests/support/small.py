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


def endless():
    while True:
        yield X[:32], Y[:32]


class Stop(keras.callbacks.Callback):
    """End the training when `when` (a function of the batches so far) says so."""

    def __init__(self, when):
        super().__init__()
        self.when, self.batches = when, 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1
        self.model.stop_training = self.when(self.batches)


class Batched(keras.utils.PyDataset):
    def __len__(self):
        return 6

    def __getitem__(self, i):
        rows = slice(32 * i, 32 * i + 32)
        return X[rows], Y[rows]

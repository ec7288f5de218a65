"""Networks that several devices train as one does: what the tests of engines share."""

import keras
import numpy as np
import pytest
from keras import layers as L

from nestrade_lib import Nestrade, Schedule, create_loss

BACKEND = keras.backend.backend()
if BACKEND == "torch":
    pytest.skip("Keras 3.15 trains on one device with PyTorch", allow_module_level=True)
only_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="tf.distribute")

BATCH, STEPS, EPOCHS = 32, 10, 4
RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, BATCH * STEPS)
X = RNG.normal(size=(len(Y), 6, 6, 2)).astype("float32") + Y[:, None, None, None]
FLAT = X.reshape(len(Y), -1)[:, :12]
CUTS = Schedule(start=0.2, stop=0.6, cuts=1, shrink=6)  # workers make two


def plain():
    return [keras.Input((12,)), L.Dense(16, activation="relu"),
            L.Dense(12, activation="tanh", kernel_regularizer="l2"), L.Dense(3)]  # fmt: skip


def normed():
    return [keras.Input((6, 6, 2)), L.Conv2D(8, 3, use_bias=False), L.BatchNormalization(),
            L.ReLU(), L.Conv2D(8, 3, use_bias=False), L.BatchNormalization(), L.ReLU(),
            L.GlobalAveragePooling2D(), L.Dense(3)]  # fmt: skip


def dropped():
    return [*plain()[:2], L.Dropout(0.3), *plain()[2:]]


def build(engine, stack=plain, optimizer="adam", loss=None, **options):
    keras.utils.set_random_seed(0)
    with engine.scope():
        network = keras.Sequential(stack())
        optimizer = optimizer() if callable(optimizer) else optimizer
        loss = loss or create_loss()
        network.compile(optimizer, loss, metrics=["accuracy"], **options)
    return network


def train(engine, stack, optimizer, budget, distill=None, **options):
    network = build(engine, stack, optimizer)
    how = {"schedule": CUTS, "distill": distill}
    trainer = Nestrade(network, budget, **how, engine=engine)
    x = X if stack is normed else FLAT
    settings = {
        "batch_size": BATCH,
        "epochs": EPOCHS,
        "validation_data": (x[:37], Y[:37]),
    }
    settings |= {"class_weight": {0: 1.0, 1: 2.0}, "verbose": 0}
    history = trainer.fit(x, Y, **settings | options)
    weights = [keras.ops.convert_to_numpy(v) for v in trainer.network.weights]
    return weights, history.history, list(trainer.widths.values())


def difference(one, many):
    """The largest one, relative in arrays that hold numbers above 1 (variances)."""
    pairs = zip(one, many, strict=True)
    return max(float((np.abs(a - b)).max() / max(1, np.abs(a).max())) for a, b in pairs)


def batches(drop=True):
    class Batched(keras.utils.PyDataset):
        def __len__(self):
            return len(FLAT) // 30 + (not drop)

        def __getitem__(self, index):
            rows = slice(30 * index, 30 * index + 30)
            return FLAT[rows], Y[rows]

    return Batched()


def masked():
    return [keras.Input((12,), dtype="int32"), L.Embedding(9, 4, mask_zero=True),
            L.Dense(3)]  # fmt: skip

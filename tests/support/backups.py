"""Small runs with cuts, and the cases of what they may hold when they are ended."""

import signal

import keras
import numpy as np
from keras import layers as kl

from nestrade_lib import Budget, Nestrade, Schedule, create_loss
from tests.support.small import EAGER

RNG = np.random.default_rng(0)
Y = RNG.integers(0, 3, 96)
X = (RNG.normal(size=(96, 8)) + Y[:, None]).astype("float32")
EPOCHS = 4
SCHEDULE = Schedule(start=0.2, stop=0.6, cuts=2, shrink=4)


class Shuffled(keras.utils.PyDataset):
    """An order that each epoch's end changes."""

    order = np.arange(96)

    def __len__(self):
        return 6

    def __getitem__(self, index):
        rows = self.order[16 * index : 16 * index + 16]
        return X[rows], Y[rows]

    def on_epoch_end(self):
        self.order = np.roll(self.order, 7)


def build(budget, optimizer=None, run_eagerly=EAGER, **options):
    keras.utils.clear_session()
    keras.utils.set_random_seed(3)
    network = keras.Sequential(
        [
            keras.Input((8,)),
            kl.Dense(24, use_bias=False),
            kl.BatchNormalization(),
            kl.ReLU(),
            kl.Dropout(0.2),
            kl.Dense(12, activation="relu"),
            kl.Dense(3),
        ]
    )
    # Operation by operation, Adam alone takes a quarter of a run.
    optimizer = optimizer or keras.optimizers.SGD(0.02, momentum=0.9)
    compiled = {"metrics": ["accuracy"], "run_eagerly": run_eagerly}
    network.compile(optimizer, create_loss(), **compiled)
    return Nestrade(network, budget, **{"schedule": SCHEDULE, **options})


def train(trainer, data=(X, Y), batch_size=16, epochs=EPOCHS, **options):
    x, y = data
    size = {"batch_size": batch_size} if y is not None else {}
    history = trainer.fit(
        x, y, epochs=epochs, verbose=0, validation_data=(X, Y), **size, **options
    )
    weights = [keras.ops.convert_to_numpy(v) for v in trainer.network.variables]
    return weights, history.history, [cut.widths for cut in trainer.cuts]


TUNED = {"importance": "taylor", "anneal": "twice"}
CASES = {
    "cuts": lambda: (build(0.4, "adam", run_eagerly=False), (X, Y)),
    "growth": lambda: (build(Budget(params=0.5), growth=2, **TUNED), (X, Y)),
    "no cuts": lambda: (build(1), (X, Y)),
    "averaged": lambda: (build(0.4, keras.optimizers.SGD(0.1, use_ema=True)), (X, Y)),
    "taken back": lambda: (build(Budget(max_accuracy_drop=0.001)), (X, Y)),
    "own order": lambda: (build(0.4), (Shuffled(), None)),
    "taught": lambda: (build(0.4, distill=0.5), (X, Y)),
}


class Killed(Exception):
    """Stands for a process that ends."""


class At(keras.callbacks.Callback):
    """Something that happens in the step of this number."""

    def __init__(self, batch):
        super().__init__()
        self.left = batch

    def is_now(self):
        self.left -= 1
        return self.left == 0


class AskAt(At):
    """A request to end."""

    def on_train_batch_begin(self, batch, logs=None):
        if self.is_now():
            signal.raise_signal(signal.SIGTERM)


class KillAt(At):
    """An end without a warning."""

    def on_train_batch_end(self, batch, logs=None):
        if self.is_now():
            raise Killed

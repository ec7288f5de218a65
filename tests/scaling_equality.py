"""How far training on several devices is from training on one: a script, run apart.

    python tests/scaling_equality.py

Devices are fixed when a backend starts, so this process has four logical ones. Prints
the largest difference of weights after 100 steps, as JSON, by case and device count.
"""

import json
import sys

import keras
import numpy as np

from nestrade_lib import Nestrade, Schedule, create_loss
from nestrade_lib.scaling import logical_devices, start

logical_devices(4)
layers, optimizers = keras.layers, keras.optimizers
EPOCHS, BATCH, STEPS = 10, 32, 10
rng = np.random.default_rng(0)
Y = rng.integers(0, 3, BATCH * STEPS)
X = rng.normal(size=(len(Y), 6, 6, 2)).astype("float32") + Y[:, None, None, None]
FLAT = X.reshape(len(Y), -1)[:, :12]


def plain():
    return [keras.Input((12,)), layers.Dense(16, activation="relu"),
            layers.Dense(12, activation="tanh"), layers.Dense(3)]  # fmt: skip


def normed():
    return [
        keras.Input((6, 6, 2)),
        layers.Conv2D(8, 3, use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Conv2D(8, 3, use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(3),
    ]


def penalized():
    stack = plain()
    stack[1].kernel_regularizer = keras.regularizers.L2(0.01)
    return stack


CASES = {
    "sgd": (plain, lambda: optimizers.SGD(0.05, momentum=0.9)),
    "adam": (plain, lambda: optimizers.Adam(0.01)),
    "adamw": (plain, lambda: optimizers.AdamW(0.01, weight_decay=0.01)),
    "averaged": (plain, lambda: optimizers.Adam(0.01, use_ema=True)),
    "penalized": (penalized, lambda: optimizers.SGD(0.05)),
    "clipnorm": (plain, lambda: optimizers.SGD(0.05, clipnorm=0.05)),
    "global_clipnorm": (plain, lambda: optimizers.Adam(0.01, global_clipnorm=0.05)),
    "clipvalue": (plain, lambda: optimizers.SGD(0.05, clipvalue=0.01)),
    "scheduled": (
        plain,
        lambda: optimizers.Adam(optimizers.schedules.CosineDecay(0.01, 100)),
    ),
    "normed sgd": (normed, lambda: optimizers.SGD(0.05, momentum=0.9)),
    "normed adam": (normed, lambda: optimizers.Adam(0.01)),
}
CUTS = Schedule(start=0.2, stop=0.6, cuts=2, shrink=6)


def train(engine, build, optimizer, budget):
    keras.utils.set_random_seed(0)
    with engine.scope():
        network = keras.Sequential(build())
        network.compile(optimizer(), create_loss(), metrics=["accuracy"])
    trainer = Nestrade(network, budget, schedule=CUTS, growth=1, engine=engine)
    x = X if build is normed else FLAT
    history = trainer.fit(
        x, Y, batch_size=BATCH, epochs=EPOCHS, verbose=0, validation_data=(x[:37], Y[:37]),
        class_weight={0: 1.0, 1: 2.0},
    )  # fmt: skip
    weights = [keras.ops.convert_to_numpy(v) for v in trainer.network.variables]
    return weights, history.history, list(trainer.widths.values())


def difference(one, many):
    assert one[2] == many[2], f"other channels: {one[2]}, {many[2]}"
    numbers = [*one[0], *map(np.array, one[1].values())]
    others = [*many[0], *map(np.array, many[1].values())]
    return max(float(np.abs(a - b).max()) for a, b in zip(numbers, others, strict=True))


def main(names):
    engines = {n: start("auto" if n > 1 else "single", devices=n) for n in (1, 2, 4)}
    found = {}
    for name in names or CASES:
        build, optimizer = CASES[name]
        for budget in (1.0, 0.4):
            # All devices in the hardest case, two in the others.
            counts = (2, 4) if name == "normed adam" and budget < 1 else (2,)
            if budget == 1.0 and name not in ("adam", "normed sgd"):
                continue  # a run with cuts has stretches without, too
            one = train(engines[1], build, optimizer, budget)
            for n in counts:
                other = train(engines[n], build, optimizer, budget)
                found[f"{name}, budget {budget}, {n} devices"] = difference(one, other)
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])

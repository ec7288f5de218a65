"""One worker of a small run with two cuts: a script that tests launch and end.

    python -m nestrade_lib.cluster.launch --workers 2 tests/support/worker.py OUT

Writes the final weights of the chief to OUT/weights.npz, checkpoints to OUT/backup.
"""

import argparse
import functools
import os
import signal
import threading
from pathlib import Path

import keras
import numpy as np

from nestrade_lib import Nestrade, Schedule, create_loss
from nestrade_lib.engines import devices, logical_devices, start
from nestrade_lib.surgery import restructure
from nestrade_lib.training import pruned_network


def deaths(out):
    """How many attempts were ended before this one."""
    return len(list(out.glob("died-*")))


def die(out, how=signal.SIGKILL):
    """Send this process a signal, once per attempt."""
    (out / f"died-{deaths(out)}").touch()
    os.kill(os.getpid(), how)


def at_the(times, function, end):
    """The same function, which ends the process at one of its calls."""
    calls = 0

    def counted(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == times:
            end()
        return function(*args, **kwargs)

    return counted


class Steps(keras.callbacks.Callback):
    """Nothing but a function to call at each training step."""

    def __init__(self, times, end):
        super().__init__()
        self.on_train_batch_begin = at_the(times, lambda batch, logs=None: None, end)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--devices", type=int, default=1, help="logical ones of each worker"
    )
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=devices.LIMIT)
    parser.add_argument(
        "--die",
        nargs="*",
        default=[],
        help="of each attempt: RANK:PLACE:TIMES or RANK:PLACE:TIMES:SIGNAL; PLACE is "
        "step, cut, write, name or clock",
    )
    parser.add_argument(
        "--signal", default="KILL", help="where none is given: KILL, TERM or INT"
    )
    options = parser.parse_args()
    attempt = deaths(options.out)
    moment = options.die[attempt] if attempt < len(options.die) else "-1:none:0"
    rank, place, times, *name = moment.split(":")
    how = getattr(signal, f"SIG{name[0] if name else options.signal}")
    end = functools.partial(die, options.out, how)
    if place == "clock" and os.environ.get("NESTRADE_RANK") == rank:
        timer = threading.Timer(float(times), end)
        timer.daemon = True
        timer.start()

    keras.utils.set_random_seed(options.seed)
    logical_devices(options.devices)
    engine = start(limit=options.limit)
    print(engine)

    callbacks = []
    if engine.rank == int(rank):
        times = float(times)
        if place == "step":
            callbacks.append(Steps(times, end))
        elif place == "cut":
            pruned_network.restructure = at_the(times, restructure, end)
        elif (
            place == "write"
        ):  # the bytes are in the file, its name is not the right one
            os.fsync = at_the(times, os.fsync, end)
        elif place == "name":
            os.replace = at_the(times, os.replace, end)

    rng = np.random.default_rng(options.data_seed)
    y = rng.integers(0, 3, 160)
    x = rng.normal(size=(160, 6, 6, 2)).astype("float32") + y[:, None, None, None]
    layers = keras.layers
    with engine.scope():
        network = keras.Sequential(
            [
                keras.Input((6, 6, 2)),
                layers.Conv2D(8, 3, use_bias=False, name="first"),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.Conv2D(6, 3, activation="relu", name="second"),
                layers.GlobalAveragePooling2D(),
                layers.Dense(3),
            ]
        )
        network.compile(
            keras.optimizers.Adam(0.01), create_loss(), metrics=["accuracy"]
        )
    trainer = Nestrade(
        network,
        0.4,
        schedule=Schedule(start=0.2, stop=0.6, cuts=2, shrink=4),
        distill=0.5,
        engine=engine,
    )
    trainer.fit(
        x, y, batch_size=32, epochs=options.epochs, verbose=0, callbacks=callbacks,
        validation_data=(x[:37], y[:37]), backup_dir=options.out / "backup",
    )  # fmt: skip
    if engine.is_chief:
        weights = [keras.ops.convert_to_numpy(v) for v in trainer.network.variables]
        np.savez(
            options.out / "weights.npz", *weights, widths=list(trainer.widths.values())
        )
    print("widths", trainer.widths)


if __name__ == "__main__":
    main()

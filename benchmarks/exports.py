"""The files that two networks are exported to: what they hold, answer and take.

The networks lie in a folder as ``dense-SEED.keras`` and ``small-SEED.keras``.
"""

import time

import keras
import numpy as np

from benchmarks.clock import milliseconds
from nestrade_lib import export, load_export, load_mnist

FORMATS = {"litert": ".tflite", "litert-int8": ".tflite", "onnx": ".onnx"}


def compare(seed, folder, options):
    """Export both networks in every format; what the files hold, and what they answer."""
    (x, _), (x_test, y_test) = load_mnist()
    row = {}
    for name in ("dense", "small"):
        network = keras.saving.load_model(folder / f"{name}-{seed}.keras")
        expected = answers(network, x_test)
        network.save(folder / f"{name}.keras", include_optimizer=False)
        row[name] = {"keras": {"bytes": (folder / f"{name}.keras").stat().st_size}}
        for to in FORMATS:
            few = x[: options["calibration"]] if to == "litert-int8" else None
            path = export(network, exported(folder, name, seed, to), to, few)
            found = answers(load_export(path), x_test)
            agree = found.argmax(-1) == expected.argmax(-1)
            row[name][to] = {
                "bytes": path.stat().st_size,
                "error_percent": 100 * float((found.argmax(-1) != y_test).mean()),
                "largest_difference": float(np.abs(found - expected).max()),
                "agree_percent": 100 * float(agree.mean()),
            }
    return row


def exported(folder, name, seed, to):
    return folder / f"{name}-{seed}-{to}{FORMATS[to]}"


def answers(run, x, size=500):
    return np.concatenate(
        [np.asarray(run(x[n : n + size])) for n in range(0, len(x), size)]
    )


def clock(seed, folder, options):
    """Milliseconds that one image takes, and 256, in each runtime and in Keras."""
    callers = {}
    for name in ("dense", "small"):
        network = keras.saving.load_model(folder / f"{name}-{seed}.keras")
        callers[f"{name} call"] = lambda x, f=network: np.asarray(f(x, training=False))
        callers[f"{name} predict"] = lambda x, f=network: f.predict(x, verbose=0)
        callers[f"{name} predict_on_batch"] = network.predict_on_batch
        for to in FORMATS:
            callers[f"{name} {to}"] = load_export(exported(folder, name, seed, to))
    (_, (x, _)), rounds = load_mnist(), options["rounds"]
    taken = {str(size): milliseconds(callers, x[:size], rounds) for size in (1, 256)}
    return {"milliseconds": taken}


def one_image(network, folder, x, calls=2000):
    """Seconds of one image in LiteRT, the least of many: what other programs add is left out."""
    run = load_export(export(network, folder / "timed.tflite"))
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        run(x)
        times.append(time.perf_counter() - start)
    return min(times)

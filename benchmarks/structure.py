"""How long a trace and a cut take, and how equal they are: ``python -m benchmarks.structure``.

Writes ``benchmarks/structure.json``: LeNet-5's whole cut, and for each network of
``keras.applications`` the trace's seconds, the MACs left and the largest relative
difference between the smaller network and the original with those channels at zero.
"""

import json
import pathlib
import platform
import sys
import time

import keras
import numpy as np

from nestrade_lib import restructure, trace
from nestrade_lib.surgery import cut, verify

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from test_structure_applications import ALL, build, half_of_the_macs  # noqa: E402


def timed(function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    return result, round(time.perf_counter() - start, 3)


def lenet():
    """Seconds of trace, cut and proof together, the first time and the next ones."""
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(20, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(50, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(500, activation="relu"),
            layers.Dense(10),
        ]
    )
    network.compile("adam", "mse")
    network.train_on_batch(np.zeros((2, 28, 28, 1)), np.zeros((2, 10)))
    keep = np.arange(570) % 3 > 0
    return [timed(restructure, network, keep)[1] for _ in range(5)]


def application(name):
    network = build(name)
    graph, seconds = timed(trace, network)
    keep, macs = half_of_the_macs(network, graph)
    smaller, cutting = timed(cut, network, keep, graph)
    probe = np.random.default_rng(0).normal(size=(2, *network.input_shape[1:]))
    errors = verify(network, smaller, keep, probe.astype("float32"), graph)
    return {
        "groups": graph.count,
        "trace_seconds": seconds,
        "cut_seconds": cutting,
        "macs_left": round(macs, 4),
        "largest_difference": max(errors.values()),
    }


def main():
    report = {
        "machine": f"{platform.processor() or platform.machine()}, {platform.system()}",
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "lenet5_seconds": lenet(),
        "applications": {},
    }
    print("LeNet-5", report["lenet5_seconds"], flush=True)
    for name in ALL:
        report["applications"][name] = application(name)
        print(name, report["applications"][name], flush=True)
        (HERE / "structure.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""What a cut costs on two devices, and whether twenty cuts leave anything behind.

    python -m benchmarks.devices            # a minute
    python -m benchmarks.devices --quick    # a look, writing nothing

Two logical devices share this machine's processor: a speed-up is not to be seen here.
"""

import argparse
import gc
import tempfile
import time
import weakref

import keras
import numpy as np

from benchmarks.overhead import resident
from benchmarks.record import RESULTS, Record
from benchmarks.training import Data, compiled, lenet5
from nestrade_lib import load_mnist, restructure, trace
from nestrade_lib.engines import logical_devices, start


def cuts(engine, data, count):
    """Cut some units of LeNet-5 `count` times, with a step on all devices after each.

    Seconds are from the trace to the end of the first step after the cut, which traces
    it anew. Memory is compared over the second half of the cuts.
    """
    keras.utils.set_random_seed(0)
    x, y = (a[:256] for a in data.train)
    with engine.scope():
        network = compiled(lenet5())
    engine.prepare(network)
    step = {"x": x, "y": y, "batch_size": 128, "shuffle": False}
    engine.fit(network, keras.callbacks.Callback(), 0, **step)
    gone, seconds, memory = [], [], []
    for _ in range(count):
        gone.append(weakref.ref(network))
        begin = time.perf_counter()
        graph = trace(network)
        mask = np.ones(graph.count, bool)
        mask[np.flatnonzero(graph.layers == "dense1")[:10]] = False
        with engine.cut_scope():
            network = restructure(network, mask, graph, x[:16])
        engine.prepare(network)
        engine.fit(network, keras.callbacks.Callback(), 0, **step)
        seconds.append(time.perf_counter() - begin)
        gc.collect()
        memory.append(resident())
    half = count // 2
    return {
        "devices": engine.replicas,
        "cuts": count,
        "seconds_a_cut": float(np.median(seconds)),
        "seconds_slowest": max(seconds),
        "old_networks_alive": sum(network() is not None for network in gone),
        "resident_mb_a_cut": (memory[-1] - memory[half - 1]) / (count - half),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    logical_devices(2)
    folder = tempfile.mkdtemp() if options.quick else RESULTS
    record = Record(f"devices/cuts-{keras.backend.backend()}", folder)
    data = Data(*load_mnist())
    for devices in record.missing([1, 2]):
        engine = start("single") if devices == 1 else start(devices=devices)
        figures = cuts(engine, data, 4 if options.quick else 20)
        record.add(devices, figures)
        print(figures, flush=True)


if __name__ == "__main__":
    main()

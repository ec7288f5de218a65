"""What Nestrade itself costs: where it does nothing, at a cut, and in memory.

python -m benchmarks.overhead            # some minutes
python -m benchmarks.overhead --quick    # a look, writing nothing
"""

import argparse
import gc
import resource
import statistics
import tempfile
import time
import tracemalloc
import weakref

import keras
import numpy as np

from benchmarks.record import RESULTS, Record
from benchmarks.training import Data, compiled, lenet5
from nestrade_lib import Nestrade, load_mnist, restructure, trace
from nestrade_lib.costs import ChannelCosts
from nestrade_lib.schedule import choose
from nestrade_lib.surgery import cut, verify


def idle(seed, data, epochs=1):
    """Whole fits with a budget of 1 against Keras' own, in turn: one pair a seed."""
    x, y = data.train
    taken = {}
    ways = ["keras", "nestrade"] if seed % 2 else ["nestrade", "keras"]
    for way in ways:
        keras.utils.clear_session()
        keras.utils.set_random_seed(seed)
        clock, processor = time.perf_counter(), time.process_time()
        network = compiled(lenet5())
        if way == "nestrade":
            network = Nestrade(network, 1)
        network.fit(x, y, batch_size=128, epochs=epochs, verbose=0)
        taken[way] = time.perf_counter() - clock, time.process_time() - processor
    slower = [a / b - 1 for a, b in zip(taken["nestrade"], taken["keras"])]
    return {
        "keras_seconds": taken["keras"][0],
        "nestrade_seconds": taken["nestrade"][0],
        "slower_percent": 100 * slower[0],
        "processor_slower_percent": 100 * slower[1],
    }


def one_cut(seed, data):
    """One cut of LeNet-5 to two thirds of its MACs, until the first step after it.

    The scores are random: what a cut takes away hardly changes its time.
    """
    rng = np.random.default_rng(seed)
    x, y = (a[:256] for a in data.train)
    network = compiled(lenet5())
    network.fit(x, y, batch_size=128, verbose=0)
    graph = trace(network)
    marks, processor = [time.perf_counter()], time.process_time()
    costs = ChannelCosts(network, graph)
    limit = costs.total(np.ones(graph.count, bool))["macs"] * 2 / 3
    keep = choose(graph, costs, rng.random(graph.count), {"macs": limit})
    marks.append(time.perf_counter())
    smaller = cut(network, keep, graph)
    marks.append(time.perf_counter())
    errors = verify(network, smaller, keep, x[:16], graph)
    marks.append(time.perf_counter())
    trace(smaller)
    marks.append(time.perf_counter())
    smaller.fit(x[:128], y[:128], batch_size=128, verbose=0)
    marks.append(time.perf_counter())
    names = "choice", "cut", "proof", "trace", "first_step"
    parts = dict(zip(names, np.diff(marks).tolist(), strict=True))
    return {
        "seconds": marks[-1] - marks[0],
        "processor_seconds": time.process_time() - processor,
        **{f"{name}_seconds": value for name, value in parts.items()},
        **{f"{name}_difference": float(value) for name, value in errors.items()},
    }


def many_cuts(seed, data, cuts=50, smaller=True):
    """Memory over cuts that take some channels each, with a step between them.

    The control builds a plain Keras network of the same widths instead of cutting:
    TensorFlow keeps something of each training step that it has traced. Python's own
    memory and the process' size are taken after a fifth of the cuts and at the end,
    and the networks that are gone are counted.
    """
    x, y = (a[:128] for a in data.train)
    network = compiled(lenet5())
    units = network.get_layer("dense1").units
    gone = []
    tracemalloc.start()
    warm = None
    for n in range(cuts):
        less = max(1, 9 - n // 10)
        units -= less
        gone.append(weakref.ref(network))
        if smaller:
            graph = trace(network)
            keep = np.ones(graph.count, bool)
            keep[np.flatnonzero(graph.layers == "dense1")[:less]] = False
            network = restructure(network, keep, graph, x[:16])
        else:
            network = compiled(lenet5((20, 50, units)))
        network.fit(x, y, batch_size=128, verbose=0)
        if n == cuts // 5:
            gc.collect()
            warm = tracemalloc.get_traced_memory()[0], resident()
    gc.collect()
    last = tracemalloc.get_traced_memory()[0], resident()
    tracemalloc.stop()
    after = cuts - cuts // 5
    return {
        "cuts": cuts,
        "old_networks_alive": sum(network() is not None for network in gone),
        "python_kb_a_cut": (last[0] - warm[0]) / 1e3 / after,
        "resident_kb_a_cut": 1e3 * (last[1] - warm[1]) / after,
        "resident_mb_last": last[1],
    }


def resident():
    """Megabytes that the process holds now; on other systems than Linux, its peak."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize() / 1e6
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names", nargs="*", help="cut, idle, memory, memory-without; all by default"
    )
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    data = Data(*load_mnist())
    if options.quick:
        data = data.shorter(2000)
    few = options.quick
    parts = {
        "cut": (one_cut, 2 if few else 10, {}),
        "idle": (idle, 2 if few else 6, {}),
        "memory": (many_cuts, 1, {"cuts": 3 if few else 50}),
        "memory-without": (many_cuts, 1, {"cuts": 3 if few else 50, "smaller": False}),
    }
    folder = tempfile.mkdtemp() if few else RESULTS
    compiled(lenet5()).fit(*(a[:256] for a in data.train), verbose=0)  # pays the start
    for name in options.names or parts:
        measure, seeds, settings = parts[name]
        record = Record(f"overhead/{name}", folder)
        for seed in record.missing(range(seeds)):
            record.add(seed, measure(seed, data, **settings))
        rows = record.content["seeds"].values()
        print(name, {
            key: float(f"{statistics.median(row[key] for row in rows):.3g}")
            for key in record.content["summary"]
        })  # fmt: skip


if __name__ == "__main__":
    main()

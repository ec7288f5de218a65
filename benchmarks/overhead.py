"""What Nestrade itself costs: where it does nothing, at a cut, between its pieces, and
in memory; a whole run, on each backend. And what masks would have saved in its place.

python -m benchmarks.overhead            # some minutes
python -m benchmarks.overhead --quick    # a look, writing nothing
"""

import argparse
import contextlib
import gc
import resource
import statistics
import tempfile
import time
import weakref

import keras
import numpy as np

from benchmarks.record import RESULTS, Record
from benchmarks.training import BATCH, TUNED, Data, compiled, lenet5
from nestrade_lib import Nestrade, Schedule, load_mnist, trace
from nestrade_lib.choice import choose
from nestrade_lib.costs import ChannelCosts
from nestrade_lib.surgery import cut, verify
from nestrade_lib.surgery.slices import Slices, values


def idle(seed, data, rounds=3, samples=10_000):
    """Whole fits with a budget of 1 and Keras' own, in turn, tracing included.

    The best of the rounds counts: other programs only ever slow one down.
    """
    x, y = (a[:samples] for a in data.train)
    best = {way: (float("inf"), float("inf")) for way in ("keras", "nestrade")}
    for number in range(rounds):
        for way in sorted(best, reverse=number % 2):
            keras.utils.clear_session()
            keras.utils.set_random_seed(seed)
            clock, processor = time.perf_counter(), time.process_time()
            network = compiled(lenet5())
            if way == "nestrade":
                network = Nestrade(network, 1)
            network.fit(x, y, batch_size=128, verbose=0)
            taken = time.perf_counter() - clock, time.process_time() - processor
            best[way] = tuple(map(min, best[way], taken))
    slower = [a / b - 1 for a, b in zip(best["nestrade"], best["keras"])]
    return {
        "keras_seconds": best["keras"][0],
        "nestrade_seconds": best["nestrade"][0],
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
    costs = ChannelCosts(graph)
    limit = costs.total(np.ones(graph.count, bool))["macs"] * 2 / 3
    mask = choose(graph, costs, rng.random(graph.count), {"macs": limit})
    marks.append(time.perf_counter())
    smaller = cut(network, mask, graph)
    marks.append(time.perf_counter())
    errors = verify(network, smaller, mask, x[:16], graph)
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


def masks(seed, data, share=0.1, samples=256, rounds=60):
    """A prediction by LeNet-5, by the same with nine tenths at zero, and cut: in turn.

    The best of the rounds counts: other programs only ever slow one down. The scores
    are random.
    """
    keras.utils.set_random_seed(seed)
    network = lenet5()
    graph = trace(network)
    costs = ChannelCosts(graph)
    limit = costs.total(np.ones(graph.count, bool))["macs"] * share
    scores = np.random.default_rng(seed).random(graph.count)
    mask = choose(graph, costs, scores, {"macs": limit})
    slices, masked = Slices(graph, mask, network), keras.models.clone_model(network)
    masked.set_weights([slices.zeroed(*item) for item in values(network).items()])
    networks = {"dense": network, "masked": masked, "cut": cut(network, mask, graph)}
    x, best = data.train[0][:samples], dict.fromkeys(networks, float("inf"))
    for _ in range(rounds + 1):  # the first one traces
        for name, one in networks.items():
            start = time.perf_counter()
            one.predict_on_batch(x)
            best[name] = min(best[name], time.perf_counter() - start)
    return {
        **{f"{name}_ms": 1000 * seconds for name, seconds in best.items()},
        "masked_share": best["masked"] / best["dense"],
        "cut_share": best["cut"] / best["dense"],
    }


def pieces(seed, data, count=10, steps=100, batch=512):
    """Short fits of a small LeNet-5: of batches as Keras hands them to tf.data, and
    without its tuner, as Nestrade does. In turn.
    """
    from nestrade_lib.engines.feeding import as_dataset  # TensorFlow's alone

    x, y = (a[: steps * batch] for a in data.train)
    network, taken = compiled(lenet5((5, 8, 127))), {"tuned": [], "untuned": []}
    for number in range(count + 1):  # the first one traces
        for way in sorted(taken, reverse=number % 2):
            batches = ((x[n::steps], y[n::steps]) for n in range(steps))
            given = as_dataset(batches) if way == "untuned" else batches
            start = time.perf_counter()
            network.fit(given, steps_per_epoch=steps, verbose=0)
            taken[way].append(time.perf_counter() - start)
    means = {way: statistics.fmean(times[1:]) for way, times in taken.items()}
    return {
        "pieces": count,
        **{f"{way}_seconds": seconds for way, seconds in means.items()},
        "longest_tuned_seconds": max(taken["tuned"][1:]),
        "longest_untuned_seconds": max(taken["untuned"][1:]),
    }


def whole_run(seed, data, epochs=20):
    """LeNet-5 to 6.7 % of its MACs: its time, how often its step is traced, its pieces."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    trainer = Nestrade(compiled(lenet5()), 0.067, **TUNED)
    x, y = data.train
    with counted("train_step") as tracings, counted("fit") as pieces:
        clock, processor = time.perf_counter(), time.process_time()
        trainer.fit(x, y, batch_size=BATCH, epochs=epochs, verbose=0)
        clock = time.perf_counter() - clock, time.process_time() - processor
    right = trainer.predict(data.test[0], verbose=0).argmax(-1) == data.test[1]
    return {
        "seconds": clock[0],
        "processor_seconds": clock[1],
        "tracings": len(tracings),
        "pieces": len(pieces),
        "cuts": len(trainer.cuts),
        "test_error_percent": 100 * float(1 - right.mean()),
    }


@contextlib.contextmanager
def counted(name):
    """A list that grows with each call of a method of Keras' models in Python."""
    method, calls = getattr(keras.Model, name), []

    def call(self, *args, **options):
        calls.append(name)
        return method(self, *args, **options)

    setattr(keras.Model, name, call)
    try:
        yield calls
    finally:
        setattr(keras.Model, name, method)


class Sizes(keras.callbacks.Callback):
    """After each cut, how large the process is, and a trace of the network before."""

    def __init__(self, trainer):
        super().__init__()
        self.trainer, self.megabytes = trainer, []
        self.networks = [weakref.ref(trainer.network)]

    def on_train_batch_end(self, batch, logs=None):
        if len(self.trainer.cuts) > len(self.megabytes):
            gc.collect()
            self.megabytes.append(resident())
            self.networks.append(weakref.ref(self.trainer.network))

    def figures(self):
        gc.collect()
        first, count = len(self.megabytes) // 5, len(self.megabytes)
        grown = self.megabytes[-1] - self.megabytes[first]
        return {
            "cuts": count,
            "old_networks_alive": sum(n() is not None for n in self.networks[:-1]),
            "resident_kb_a_cut": 1e3 * grown / (count - 1 - first),
            "resident_mb_last": self.megabytes[-1],
        }


def many_cuts(seed, data, cuts=60, samples=2560):
    """Memory over the cuts of one run, from the first fifth of them to the last.

    Late in a run some of the planned cuts have nothing to take.
    """
    keras.utils.set_random_seed(seed)
    x, y = (a[:samples] for a in data.train)
    schedule = Schedule(0.05, 0.95, cuts, max_pruning_ratio=0.35)
    options = TUNED | {"schedule": schedule, "growth": 1}
    trainer = Nestrade(compiled(lenet5()), 0.05, **options)
    sizes = Sizes(trainer)
    trainer.fit(x, y, batch_size=128, epochs=cuts, verbose=0, callbacks=[sizes])
    return sizes.figures()


def many_networks(seed, data, networks=50):
    """The control: plain Keras networks, each a little smaller, built one by one.

    Of each training step that it has traced, TensorFlow keeps the graph.
    """
    x, y = (a[:128] for a in data.train)
    units, megabytes = 500, []
    for n in range(networks):
        units -= max(1, 9 - n // 10)
        network = compiled(lenet5((20, 50, units)))
        network.fit(x, y, batch_size=128, verbose=0)
        del network
        gc.collect()
        megabytes.append(resident())
    first = networks // 5
    return {
        "networks": networks,
        "resident_kb_a_network": 1e3
        * (megabytes[-1] - megabytes[first])
        / (networks - 1 - first),
        "resident_mb_last": megabytes[-1],
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
        "names",
        nargs="*",
        help="cut, idle, masks, pieces, run-BACKEND, memory, memory-without; "
        "all by default",
    )
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    data = Data(*load_mnist())
    if options.quick:
        data = data.shorter(2000)
    few = options.quick
    parts = {
        "cut": (one_cut, 2 if few else 10, {}),
        "idle": (idle, 2 if few else 5, {}),
        "masks": (masks, 2 if few else 5, {}),
        "pieces": (pieces, 1 if few else 3, {"count": 2, "steps": 4} if few else {}),
        f"run-{keras.backend.backend()}": (whole_run, 1, {"epochs": 2} if few else {}),
        "memory": (many_cuts, 1, {"cuts": 6, "samples": 512} if few else {}),
        "memory-without": (many_networks, 1, {"networks": 4} if few else {}),
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

"""What the benchmarks of training share: networks, a measured run, many resumed runs.

Each configuration has one record, ``results/<benchmark>/<configuration>.json``, with
a row a seed. Runs of one seed follow each other, so that what is compared was measured
side by side: A B A B.
"""

import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import keras

from benchmarks.record import Record
from nestrade_lib import Nestrade, Schedule, count_costs, create_loss

RATE, BATCH = 2e-3, 128
# The recipe of most records, tuned for these epochs: not the library's default.
EARLY = Schedule(0.05, 0.15, cuts=8, max_pruning_ratio=0.35)
BY_DEFAULT = {"importance": "kfac", "anneal": "once", "growth": 1, "schedule": None}
TUNED = {"importance": "taylor", "anneal": "twice", "growth": 2, "schedule": EARLY}


@dataclass(frozen=True)
class Data:
    """Arrays of one data set; `shorter` for a quick look."""

    train: tuple
    test: tuple

    def shorter(self, samples):
        return Data(
            *(tuple(a[:samples] for a in part) for part in self.__dict__.values())
        )


def lenet5(widths=(20, 50, 500)):
    """The pruning literature's LeNet-5, at any widths."""
    layers = keras.layers
    first, second, hidden = widths
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(first, 5, activation="relu", name="conv1"),
            layers.MaxPooling2D(name="pool1"),
            layers.Conv2D(second, 5, activation="relu", name="conv2"),
            layers.MaxPooling2D(name="pool2"),
            layers.Flatten(name="flatten"),
            layers.Dense(hidden, activation="relu", name="dense1"),
            layers.Dense(10, name="logits"),
        ],
        name="lenet5",
    )


def compiled(network, rate=RATE):
    network.compile(keras.optimizers.Adam(rate), create_loss(), metrics=["accuracy"])
    return network


def cosine(data, epochs, rate=RATE):
    """The learning rate falls to zero over the whole run."""
    steps = epochs * -(-len(data.train[0]) // BATCH)
    return keras.optimizers.schedules.CosineDecay(rate, steps)


def train_plainly(network, data, epochs, rate=RATE):
    compiled(network, cosine(data, epochs, rate))
    network.fit(*data.train, batch_size=BATCH, epochs=epochs, verbose=0)
    return network


def train_smaller(network, data, epochs, budget, **options):
    trainer = Nestrade(compiled(network), budget, **TUNED | options)
    trainer.fit(*data.train, batch_size=BATCH, epochs=epochs, verbose=0)
    return trainer.network


def measure(train, dense, data, seed):
    """Figures of one training: ``train(data, seed)`` gives the network at its last epoch.

    Time counts all that `train` does, on the clock and on the processor (summed over
    its cores; it depends less on what else the machine does).
    """
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    clock, processor = time.perf_counter(), time.process_time()
    network = train(data, seed)
    seconds = time.perf_counter() - clock, time.process_time() - processor
    x, y = data.test
    right = network.predict(x, batch_size=1000, verbose=0).argmax(-1) == y
    costs = count_costs(network)
    widths = {
        f"width_{layer.name}": layer.output.shape[-1]
        for layer in network.layers
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense))
    }
    return {
        "test_error_percent": 100 * float(1 - right.mean()),
        "macs_percent": 100 * costs.macs / dense.macs,
        "params_percent": 100 * costs.params / dense.params,
        "seconds": round(seconds[0], 2),
        "processor_seconds": round(seconds[1], 2),
        "latency_ms_1": latency(network, x[:1]),
        "latency_ms_256": latency(network, x[:256]),
        **widths,
    }


def latency(network, x, times=30):
    """Milliseconds of one prediction of these inputs: the median."""
    network.predict_on_batch(x)
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        network.predict_on_batch(x)
        taken.append(1000 * (time.perf_counter() - start))
    return round(statistics.median(taken), 3)


def warm_up(network, data):
    """The first training of a process pays for its start: nobody's time."""
    data = data.shorter(2 * BATCH)
    train_plainly(network, data, 1).predict(data.test[0], verbose=0)


class Runs:
    """All configurations of one benchmark; what is recorded is not run again.

    Parameters
    ----------
    name : str
        Of the folder of its records.
    trains : dict of str to callable
        ``train(data, seed)`` gives a trained network; by configuration.
    descriptions : dict of str to dict
        What is told of each configuration. ``pair`` names the one whose times are its
        measure.
    dense : CostTable
        Whose costs are 100 %.
    data : Data
    folder : path or None
        Of all records; None writes to one that is thrown away.
    """

    def __init__(self, name, trains, descriptions, dense, data, folder):
        self.name, self.trains, self.descriptions = name, trains, descriptions
        self.dense, self.data = dense, data
        self.folder = Path(folder or tempfile.mkdtemp())

    def record(self, configuration):
        record = Record(f"{self.name}/{configuration}", self.folder)
        record.content["configuration"] = self.descriptions[configuration]
        return record

    def stored(self, configuration):
        """The record of a configuration as it is, measured here or elsewhere."""
        path = self.folder / self.name / f"{configuration}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def go(self, seeds, names):
        todo = [
            (seed, name)
            for seed in seeds
            for name in names
            if self.record(name).missing([seed])
        ]
        for n, (seed, name) in enumerate(todo):
            print(f"[{n + 1}/{len(todo)}] {name}, seed {seed} ...", flush=True)
            figures = measure(self.trains[name], self.dense, self.data, seed)
            self.record(name).add(seed, figures)
            print(
                f"    error {figures['test_error_percent']:.2f} %, "
                f"MACs {figures['macs_percent']:.2f} %, "
                f"parameters {figures['params_percent']:.2f} %, "
                f"{figures['seconds']:.0f} s, processor {figures['processor_seconds']:.0f} s",
                flush=True,
            )

    def summarize(self):
        """One table of all records: means over seeds, times as shares of dense."""
        path = self.folder / f"{self.name}.json"
        # Rows of other settings, such as other numbers of epochs, stay.
        table = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        rows = {name: self.stored(name) for name in self.trains}
        rows = {name: content for name, content in rows.items() if content}
        for name, content in rows.items():
            summary = content["summary"]
            row = {
                "configuration": content["configuration"],
                "seeds": list(content["seeds"]),
            }
            row |= {key: summary[key] for key in summary if not key.startswith("width")}
            row |= self.shares(
                content, rows.get(content["configuration"].get("pair"), {})
            )
            table[name] = row
            error, share = summary["test_error_percent"], row.get("seconds_share", {})
            print(
                f"{name:34} n={len(row['seeds'])} error {error['mean']:.2f} ± {error['sd']:.2f} % "
                f"MACs {summary['macs_percent']['mean']:.2f} % "
                f"time {share.get('mean', float('nan')):.2f} of dense"
            )
        path.parent.mkdir(exist_ok=True)
        fresh = path.with_suffix(".part")
        fresh.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
        fresh.replace(path)

    @staticmethod
    def shares(content, dense):
        """Times over the dense run's of the same seed."""
        both = [seed for seed in content["seeds"] if seed in dense.get("seeds", {})]
        shares = {}
        for unit in ("seconds", "processor_seconds"):
            found = [content["seeds"][s][unit] / dense["seeds"][s][unit] for s in both]
            if found:
                spread = statistics.stdev(found) if len(found) > 1 else 0.0
                shares[f"{unit}_share"] = {
                    "mean": statistics.fmean(found),
                    "sd": spread,
                    "pairs": len(found),
                }
        return shares

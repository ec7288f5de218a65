"""LeNet-5 at a tenth of its MACs, under settings that nobody tuned a recipe for.

    python -m benchmarks.grid                         # all of it: a day on one core
    python -m benchmarks.grid --rounds 1              # a ninth: half an hour
    python -m benchmarks.grid --cells adam-0.001-128  # those whose names begin so
    python -m benchmarks.grid --quick                 # a look at each, writing nothing

A cell is an optimizer with its learning rate, a batch size, and epochs × samples. In each
one the same seed trains four ways: dense; by Nestrade with no argument but the budget; and
the widths that Nestrade found, from scratch: at the user's rate, as dense ("scratch"), and
at that of Nestrade after its cuts, raised and along a cosine to zero ("scratch-raised").
Recipes are chosen by the validation error, of the last 10,000 training images; the test
error is for the tables. What is recorded is not run again. Errors alone are compared, so
any machine may go on with the record; each row names its own.
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time

import keras

from benchmarks.record import RESULTS, Record, commit, load, today
from benchmarks.training import lenet5
from nestrade_lib import Nestrade, count_costs, create_loss, load_mnist
from nestrade_lib.training.annealing import raised

BUDGET = 0.1
OPTIMIZERS = {
    "adam-0.001": (keras.optimizers.Adam, 1e-3),
    "sgd-0.05": (keras.optimizers.SGD, 0.05),
    "adam-0.0003": (keras.optimizers.Adam, 3e-4),
    "rmsprop-0.001": (keras.optimizers.RMSprop, 1e-3),
    "adamw-0.001": (keras.optimizers.AdamW, 1e-3),
    "adam-0.003": (keras.optimizers.Adam, 3e-3),
}
BATCHES = 128, 32, 512
EPOCHS = 6, 3, 20
SAMPLES = 20_000, 50_000, 5_000
ROUNDS = len(EPOCHS) * len(SAMPLES)
METHODS = "dense", "nestrade", "scratch", "scratch-raised"
BAR = {"dense": 2.0, "cell": 0.3, "mean": 0.15}  # percent, and points above dense


def cells(rounds):
    """Pairs (name, settings), in rounds: each has every optimizer with every batch size once.

    Lengths and sizes go round, so that each of them is in a third of a round's cells.
    """
    for turn in range(rounds):
        for i, optimizer in enumerate(OPTIMIZERS):
            for j, batch in enumerate(BATCHES):
                epochs = EPOCHS[(i + j + turn // 3) % 3]
                samples = SAMPLES[(i + j + turn) % 3]
                name = f"{optimizer}-{batch}-{epochs}x{samples}"
                values = optimizer, batch, epochs, samples
                names = "optimizer", "batch_size", "epochs", "samples"
                yield name, dict(zip(names, values, strict=True))


def train(method, settings, data, widths):
    """A network, at the end of its last epoch."""
    x, y = (array[: settings["samples"]] for array in data)
    steps = settings["epochs"] * -(-len(x) // settings["batch_size"])
    make, rate = OPTIMIZERS[settings["optimizer"]]
    is_sgd = make is keras.optimizers.SGD
    if method == "scratch-raised":
        sizes = (count_costs(each).macs for each in (lenet5(), lenet5(widths)))
        peak = rate if is_sgd else raised(rate, *sizes)
        rate = keras.optimizers.schedules.CosineDecay(peak, steps)
    options = {"momentum": 0.9} if is_sgd else {}
    network = lenet5(widths) if method.startswith("scratch") else lenet5()
    network.compile(make(rate, **options), create_loss(), metrics=["accuracy"])
    trainer = Nestrade(network, BUDGET) if method == "nestrade" else network
    sizes = {name: settings[name] for name in ("batch_size", "epochs")}
    trainer.fit(x, y, **sizes, verbose=0)
    return trainer.network if method == "nestrade" else network


def measure(method, settings, seed, data, widths):
    """One row: its errors in percent, its size, and its time."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    start = time.process_time()
    network = train(method, settings, data["train"], widths)
    seconds = time.process_time() - start
    macs, dense = (count_costs(each).macs for each in (network, lenet5()))
    layers = "conv1", "conv2", "dense1"
    return {
        **{f"{part}_error": error(network, *data[part]) for part in ("validation", "test")},
        "macs_percent": round(100 * macs / dense, 2),
        "widths": [network.get_layer(name).output.shape[-1] for name in layers],
        "processor_seconds": round(seconds, 1),
    }  # fmt: skip


def error(network, x, y):
    right = network.predict(x, batch_size=1000, verbose=0).argmax(-1) == y
    return round(100 * float(1 - right.mean()), 2)


def summarize(rows):
    """A row per cell, of the means over its seeds; and how many hold the bar."""
    table = {}
    for row in rows:
        names = "optimizer", "batch_size", "epochs", "samples"
        cell = table.setdefault(row["cell"], {name: row[name] for name in names})
        cell.setdefault(row["method"], []).append(row["test_error"])
    complete = {}
    for name, cell in table.items():
        if not all(method in cell for method in METHODS):
            continue
        cell["seeds"] = min(len(cell[method]) for method in METHODS)
        cell |= {method: statistics.fmean(cell[method]) for method in METHODS}
        cell["difference"] = cell["nestrade"] - cell["dense"]
        cell["is_in_bar"] = cell["dense"] <= BAR["dense"]
        is_near = not cell["is_in_bar"] or cell["difference"] <= BAR["cell"]
        cell["holds"] = is_near and cell["nestrade"] <= cell["scratch"]
        complete[name] = cell
    in_bar = [cell for cell in complete.values() if cell["is_in_bar"]]
    differences = [cell["difference"] for cell in in_bar]
    return {
        "cells": complete,
        "planned": len(list(cells(ROUNDS))),
        "count": len(complete),
        "in_bar": len(in_bar),
        "near_dense": sum(each <= BAR["cell"] for each in differences),
        "mean_difference": statistics.fmean(differences) if differences else None,
        "best_of_small": sum(
            cell["nestrade"] <= cell["scratch"] for cell in complete.values()
        ),
    }


def write(record):
    """Write the record, with a line per row."""
    content = record.content
    content["summary"] = summarize(content["rows"])
    text = json.dumps({**content, "rows": []}, indent=1)
    rows = ",\n  ".join(json.dumps(row) for row in content["rows"])
    text = text.replace('"rows": []', f'"rows": [\n  {rows}\n ]')
    record.write(text + "\n")


def run(record, seeds, chosen, data):
    """Measure what the record lacks, cell by cell."""
    rows = record.content["rows"]
    found = {(row["cell"], row["method"], row["seed"]): row for row in rows}
    todo = list(itertools.product(seeds, chosen, METHODS))
    for n, (seed, (cell, settings), method) in enumerate(todo):
        key = cell, method, seed
        if key in found:
            continue
        small = found.get((cell, "nestrade", seed), {}).get("widths")
        figures = measure(method, settings, seed, data, small)
        told = {"date": today(), "commit": commit(), "load": load(), **record.machine}
        names = dict(zip(("cell", "method", "seed"), key, strict=True))
        found[key] = names | settings | figures | told
        rows.append(found[key])
        write(record)
        print(f"[{n + 1}/{len(todo)}] {cell} {method}: {figures}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", nargs="*", default=[""], help="beginnings of names")
    parser.add_argument(
        "--rounds", type=int, choices=range(1, ROUNDS + 1), default=ROUNDS
    )
    parser.add_argument("--samples", type=int, nargs="*", default=SAMPLES)
    parser.add_argument("--epochs", type=int, nargs="*", default=EPOCHS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    (x, y), test = load_mnist()
    data = {
        "train": (x[:50_000], y[:50_000]),
        "validation": (x[50_000:], y[50_000:]),
        "test": test,
    }
    chosen = [
        (name, settings)
        for name, settings in cells(options.rounds)
        if name.startswith(tuple(options.cells))
        and settings["samples"] in options.samples
        and settings["epochs"] in options.epochs
    ]
    if options.quick:
        data = {name: (x[:500], y[:500]) for name, (x, y) in data.items()}
        chosen = [(name, settings | {"epochs": 1}) for name, settings in chosen]
    folder = tempfile.mkdtemp() if options.quick else RESULTS
    record = Record("grid", folder, has_times=False)
    record.content.pop("seeds", None)  # which are in the rows
    record.content.setdefault("rows", [])
    run(record, options.seeds, chosen, data)
    write(record)  # with the summary as it is defined now
    summary = record.content["summary"]
    print({name: value for name, value in summary.items() if name != "cells"})


if __name__ == "__main__":
    main()

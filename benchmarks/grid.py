"""LeNet-5 at a tenth of its MACs, under settings that nobody tuned a recipe for.

    python -m benchmarks.grid                             # all of it: days on two cores
    python -m benchmarks.grid --cells adam-0.001-128      # those whose names begin so
    python -m benchmarks.grid --quick                     # a look at each, writing nothing

A cell is an optimizer with its learning rate, a batch size, and epochs × samples. In each
cell the same seeds train the dense network, both recipes, and the widths of the second one
from scratch. Recipes are chosen here: the error is that of the last 10,000 training images.
What is recorded is not run again.
"""

import argparse
import functools
import itertools

import keras

from benchmarks.record import RESULTS
from benchmarks.training import Data, Runs, lenet5, warm_up
from nestrade_lib import Nestrade, Schedule, count_costs, create_loss, load_mnist

BUDGET = 0.1
OPTIMIZERS = {
    "adam-0.001": lambda: keras.optimizers.Adam(1e-3),
    "sgd-0.05": lambda: keras.optimizers.SGD(0.05, momentum=0.9),
    "adam-0.0003": lambda: keras.optimizers.Adam(3e-4),
    "rmsprop-0.001": lambda: keras.optimizers.RMSprop(1e-3),
    "adamw-0.001": lambda: keras.optimizers.AdamW(1e-3),
    "adam-0.003": lambda: keras.optimizers.Adam(3e-3),
}
BATCHES = 128, 32, 512
LENGTHS = (6, 20_000), (3, 20_000), (20, 5_000)  # epochs, samples
RECIPES = {
    "taylor": {
        "importance": "taylor",
        "anneal": "twice",
        "schedule": Schedule(0.05, 0.15, cuts=8, max_pruning_ratio=0.35),
        "growth": 2,
    },
    "kfac": {
        "importance": "kfac",
        "anneal": "once",
        "schedule": Schedule(None, None, cuts=4, max_pruning_ratio=1.0),
        "growth": 1,
    },
}


def rows(runs, shorter=None):
    """All rows of all cells: name to (train, what describes it)."""
    table = {}
    for length, batch, optimizer in itertools.product(LENGTHS, BATCHES, OPTIMIZERS):
        epochs, samples = shorter or length
        cell = f"{optimizer}-{batch}-{epochs}x{samples}"
        description = {
            "optimizer": optimizer,
            "batch_size": batch,
            "epochs": epochs,
            "samples": samples,
            "pair": f"{cell}-dense",
        }
        fit = functools.partial(_fit, OPTIMIZERS[optimizer], batch, epochs, samples)
        table[f"{cell}-dense"] = (fit, description | {"method": "dense"})
        for recipe, options in RECIPES.items():
            described = options | {"schedule": vars(options["schedule"])}
            described |= {"method": recipe, "macs": BUDGET}
            table[f"{cell}-{recipe}"] = (
                functools.partial(fit, options=options),
                description | described,
            )
        table[f"{cell}-scratch"] = (
            functools.partial(fit, widths=_widths(runs, f"{cell}-kfac")),
            description | {"method": "scratch"},
        )
    return table


def _widths(runs, name):
    """Those that a recorded row ended with, by its seed."""

    def widths(seed):
        row = runs().record(name).content["seeds"][str(seed)]
        return [row[f"width_{layer}"] for layer in ("conv1", "conv2", "dense1")]

    return widths


def _fit(make_optimizer, batch, epochs, samples, data, seed, options=None, widths=None):
    """Train dense, by a recipe's options, or with other widths."""
    network = lenet5(widths(seed)) if widths else lenet5()
    network.compile(make_optimizer(), create_loss(), metrics=["accuracy"])
    trainer = Nestrade(network, BUDGET, **options) if options else network
    x, y = (array[:samples] for array in data.train)
    trainer.fit(x, y, batch_size=batch, epochs=epochs, verbose=0)
    return trainer.network if options else network


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", nargs="*", default=[""], help="beginnings of names")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    (x, y), _ = load_mnist()
    data = Data((x[:50_000], y[:50_000]), (x[50_000:], y[50_000:]))
    all_rows = rows(lambda: runs)
    if options.quick:
        data, all_rows = data.shorter(1000), rows(lambda: runs, (1, 1000))
    chosen = [name for name in all_rows if name.startswith(tuple(options.cells))]
    runs = Runs(
        "grid",
        {name: train for name, (train, _) in all_rows.items()},
        {name: description for name, (_, description) in all_rows.items()},
        count_costs(lenet5()),
        data,
        None if options.quick else RESULTS,
    )
    warm_up(lenet5(), data)
    runs.go(options.seeds, chosen)
    runs.summarize()


if __name__ == "__main__":
    main()

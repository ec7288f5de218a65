"""A residual network with batch norms on Fashion-MNIST, at a quarter of its MACs.

    python -m benchmarks.fashion             # hours on two cores
    python -m benchmarks.fashion --epochs 4 --seeds 0
    python -m benchmarks.fashion --quick     # a look, writing nothing

The environment variable NESTRADE_DATA names the folder with ``fashion_mnist.npz``;
without it Keras downloads the data. Trained on all 60,000 images; figures of the test
images after the last epoch. Dense and Nestrade in turn, seed by seed.
"""

import argparse
from pathlib import Path

from benchmarks.record import RESULTS
from benchmarks.training import Data, Runs, train_plainly, train_smaller, warm_up
from nestrade_lib import (
    Budget,
    Schedule,
    count_costs,
    create_resnet,
    load_fashion_mnist,
    load_mnist,
)

# A budget of MACs alone thins the insides of the blocks and leaves the wide stream
# between them, where the time goes: batch norms, additions, activations.
BUDGET = Budget(macs=0.25, activation_bytes=0.5)
# Multiples of 16 are as good as of 8, and sooner cuts cost little: `experiments.jsonl`.
SCHEDULE = Schedule(start=0.08, stop=0.2, cuts=5, round_to=16, max_pruning_ratio=0.35)


def network():
    return create_resnet((28, 28, 1), 10, widths=(32, 64, 128))


def configurations(epochs):
    dense, small, by_macs = (f"{x}-{epochs}" for x in ("dense", "nestrade", "by-macs"))
    trains = {
        dense: lambda data, seed: train_plainly(network(), data, epochs),
        small: lambda data, seed: train_smaller(
            network(), data, epochs, BUDGET, schedule=SCHEDULE, growth=1
        ),
        by_macs: lambda data, seed: train_smaller(
            network(), data, epochs, BUDGET.shares["macs"]
        ),
    }
    told = {
        dense: {"method": "dense", "epochs": epochs},
        small: {"method": "nestrade", **BUDGET.shares, "epochs": epochs, "pair": dense,
                "schedule": vars(SCHEDULE), "growth": 1},
        by_macs: {"method": "nestrade", "macs": BUDGET.shares["macs"],
                  "epochs": epochs, "pair": dense},
    }  # fmt: skip
    return trains, told


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder")
    parser.add_argument("names", nargs="*", help="configurations; all by default")
    options = parser.parse_args()
    if options.quick:
        # Nothing is downloaded for a look: the digits have the same shapes.
        data, options.epochs, options.seeds = Data(*load_mnist()).shorter(600), 2, [0]
    else:
        data = Data(*load_fashion_mnist())
    trains, told = configurations(options.epochs)
    folder = None if options.quick else options.results
    runs = Runs("fashion", trains, told, count_costs(network()), data, folder)
    warm_up(network(), data)
    unknown = set(options.names) - set(trains)
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}. Known: {', '.join(trains)}")
    runs.go(options.seeds, options.names or list(trains))
    runs.summarize()


if __name__ == "__main__":
    main()

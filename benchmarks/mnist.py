"""LeNet-5 on MNIST: Nestrade against dense training, and against other ways to be small.

    python -m benchmarks.mnist                      # all of it: many hours on two cores
    python -m benchmarks.mnist small dense          # these configurations only
    python -m benchmarks.mnist --quick              # a look at each, writing nothing

All networks train on all 60,000 images; the figures are of the 10,000 test images after
the *last* epoch. Settings were chosen on 50,000 and 10,000 of the training images:
see ``appendix/what-was-tried.md``. What has been measured is not measured again.
"""

import argparse

from benchmarks import baselines
from benchmarks.record import RESULTS
from benchmarks.training import (
    BY_DEFAULT,
    Data,
    Runs,
    lenet5,
    train_plainly,
    train_smaller,
    warm_up,
)
from nestrade_lib import Budget, Distillation, Schedule, count_costs, load_mnist

SEEDS = range(5, 10)  # 0 to 4 served to choose settings
BUDGETS = (0.5, 0.25, 0.1, 0.067, 0.03)
CURVE_EPOCHS, CURVE_SEEDS = 8, 3

# Less time for the same budget: it is met sooner, and batches grow more.
SWIFT = Schedule(start=0.05, stop=0.1, cuts=5, max_pruning_ratio=0.35)
# A tenth leaves room for what a longer dense phase finds.
LATE = Schedule(start=0.25, stop=0.45, cuts=10, max_pruning_ratio=0.35)
# Few parameters take longer to find: more epochs dense, more and later cuts.
PATIENT = Schedule(start=8 / 30, stop=12 / 30, cuts=12, max_pruning_ratio=0.35)

# The dense phase of PATIENT is long enough to make a good teacher.
TAUGHT = Distillation()


def rows(epochs=None):
    """The table's rows: name to (train, what is told of it)."""
    short, long = epochs or 20, epochs or 30

    def smaller(budget, epochs, **options):
        return lambda data, seed: train_smaller(
            lenet5(), data, epochs, budget, **options
        )

    def by_default(budget):
        return lambda data, seed: train_smaller(
            lenet5(), data, short, budget, **BY_DEFAULT
        )

    both = Budget(macs=0.067, params=0.01)
    return {
        "dense": (
            lambda data, seed: train_plainly(lenet5(), data, short),
            {"method": "dense", "epochs": short},
        ),
        "default": (
            by_default(0.067),
            {"method": "nestrade", "macs": 0.067, "epochs": short, **BY_DEFAULT},
        ),
        "tenth-default": (
            by_default(0.1),
            {"method": "nestrade", "macs": 0.1, "epochs": short, **BY_DEFAULT},
        ),
        "small": (
            smaller(0.067, short),
            {"method": "nestrade", "macs": 0.067, "epochs": short, "pair": "dense"},
        ),
        "small-swift": (
            smaller(0.067, short, schedule=SWIFT, growth=4),
            {"method": "nestrade", "macs": 0.067, "epochs": short, "pair": "dense",
             "schedule": vars(SWIFT), "growth": 4},
        ),
        "small-grown": (
            smaller(0.067, short, growth=4),
            {"method": "nestrade", "macs": 0.067, "epochs": short, "pair": "dense",
             "growth": 4},
        ),
        "small-and-light": (
            smaller(both, long, schedule=PATIENT, growth=1),
            {"method": "nestrade", "macs": 0.067, "params": 0.01, "epochs": long,
             "schedule": vars(PATIENT), "growth": 1},
        ),
        "small-and-light-taught": (
            smaller(both, long, schedule=PATIENT, growth=1, distill=TAUGHT),
            {"method": "nestrade", "macs": 0.067, "params": 0.01, "epochs": long,
             "schedule": vars(PATIENT), "growth": 1, "distill": vars(TAUGHT)},
        ),
        "tenth": (
            smaller(0.1, short),
            {"method": "nestrade", "macs": 0.1, "epochs": short, "pair": "dense"},
        ),
        "tenth-late": (
            smaller(0.1, short, schedule=LATE),
            {"method": "nestrade", "macs": 0.1, "epochs": short, "pair": "dense",
             "schedule": vars(LATE)},
        ),
    }  # fmt: skip


def curve(runs, epochs=CURVE_EPOCHS, budgets=BUDGETS):
    """The curve's points: every method at every budget, in the same epochs."""
    found = {}

    def from_scratch(point):
        def train(data, seed):
            row = runs().record(point).content["seeds"][str(seed)]
            widths = [row[f"width_{name}"] for name in ("conv1", "conv2", "dense1")]
            return train_plainly(lenet5(widths), data, epochs)

        return train

    def told(method, budget):
        return {
            "method": method,
            "macs": budget,
            "epochs": epochs,
            "pair": "curve-dense",
        }

    dense = {"method": "dense", "epochs": epochs}
    found["curve-dense"] = (lambda d, s: train_plainly(lenet5(), d, epochs), dense)
    for budget in budgets:
        point = f"curve-{budget}-nestrade"
        ways = {
            "nestrade": lambda d, s, b=budget: train_smaller(lenet5(), d, epochs, b),
            "scratch": from_scratch(point),
            "thinner": lambda d, s, b=budget: baselines.thinner(d, epochs, b),
            "magnitude": lambda d, s, b=budget: baselines.magnitude_fine_tune(
                d, epochs, b
            ),
            "lasso": lambda d, s, b=budget: baselines.group_lasso(d, epochs, b),
        }
        for way, train in ways.items():
            found[f"curve-{budget}-{way}"] = (train, told(way, budget))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="configurations; all by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    data = Data(*load_mnist())
    if options.quick:
        data, options.seeds = data.shorter(1500), [5]
        all_rows = rows(3) | curve(lambda: runs, 3, [0.25])
    else:
        all_rows = rows() | curve(lambda: runs)
    unknown = set(options.names) - set(all_rows)
    if unknown:
        parser.error(
            f"unknown: {', '.join(sorted(unknown))}. Known: {', '.join(all_rows)}"
        )
    trains = {name: train for name, (train, _) in all_rows.items()}
    told = {name: description for name, (_, description) in all_rows.items()}
    folder = None if options.quick else RESULTS
    runs = Runs("mnist", trains, told, count_costs(lenet5()), data, folder)
    warm_up(lenet5(), data)
    chosen = options.names or list(all_rows)
    table = [name for name in chosen if not name.startswith("curve")]
    runs.go(options.seeds, table)
    points = [name for name in chosen if name.startswith("curve")]
    runs.go(options.seeds[:CURVE_SEEDS], points)
    runs.summarize()


if __name__ == "__main__":
    main()

"""Nestrade beside what else makes a network small, on the same work, row by row in turn.

    python -m benchmarks.compare                                 # the record's rows
    python -m benchmarks.compare --network mlp --budgets 0.05    # more of them
    python -m benchmarks.compare --peers dense nestrade random --record mine.json

Peers train the same networks on the same images, for as many epochs in all, with Adam at
one learning rate that nobody tuned, annealed along a cosine. The error is that of the
10,000 test images after the last epoch. A killed run goes on where it stopped.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.compare.environments import NotInstalled, Worker
from benchmarks.compare.peers import PEERS
from benchmarks.compare.record import Comparison
from benchmarks.compare.work import DATA
from benchmarks.record import RESULTS

TUNING = "none: one learning rate for all, the framework's default of Adam"


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--network", nargs="+", choices=list(DATA), default=["lenet5", "mlp"]
    )
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--budgets", nargs="+", type=float, default=[0.25, 0.1])
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 0")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--samples", type=int, default=20_000, help="training images")
    parser.add_argument(
        "--threads", type=int, default=1, help="0: as many as they like"
    )
    parser.add_argument("--record", type=Path, default=RESULTS / "compare.json")
    return parser.parse_args(arguments)


def plan(options):
    """The rows to be measured, as keys of the record: those of a seed follow each other."""
    rows = []
    for network in options.network:
        known = {name: PEERS[name] for name in options.peers}
        known = {name: x for name, x in known.items() if network in x.networks}
        for seed in range(options.seeds):
            key = {"network": network, "seed": seed}
            dense = [name for name, peer in known.items() if peer.is_dense]
            rows += [key | {"budget": 1.0, "peer": name} for name in dense]
            for budget in options.budgets:
                others = [name for name in known if name not in dense]
                rows += [key | {"budget": budget, "peer": name} for name in others]
    return rows


def settings_of(options):
    return {
        "samples": options.samples,
        "epochs": options.epochs,
        "batch_size": 128,
        "learning_rate": 1e-3,
        "optimizer": "Adam",
        "tuning": TUNING,
        "threads": options.threads,
    }


class Runs:
    """A process per row; an environment that does not install takes its rows along."""

    def __init__(self, record, settings, folder, start=Worker):
        self.record, self.settings, self.folder = record, settings, Path(folder)
        self.start, self.missing = start, {}

    def go(self, rows):
        """Measure what is not recorded; return the problems, a line each."""
        problems = []
        for n, key in enumerate(rows, start=1):
            if self.record.find(**key):
                continue
            told = "{network} {budget:g} seed {seed} {peer}".format(**key)
            print(f"[{n}/{len(rows)}] {told} ...", flush=True)
            answer = self.measure(key)
            if "error" in answer:
                problems.append(f"{told}: {answer['error']}")
                print(f"    left out: {answer['error']}", flush=True)
                continue
            figures = answer["figures"]
            self.record.add(PEERS[key["peer"]].environment, key, figures)
            print(
                f"    error {figures['test_error_percent']:.2f} %, {figures['macs']:,} MACs, "
                f"{figures['seconds']:.0f} s, processor {figures['processor_seconds']:.0f} s",
                flush=True,
            )
        return problems

    def measure(self, key):
        peer = PEERS[key["peer"]]
        job = (
            key
            | self.settings
            | {"peer": peer.module, "data": self.data(key["network"])}
        )
        if peer.module.startswith("scratch"):
            row = self.record.find(**key | {"peer": "nestrade"})
            if row is None:
                return {
                    "error": "its widths are those of Nestrade's row, which is missing"
                }
            job["widths"] = row["widths"]
        name = peer.environment
        if name in self.missing:
            return {"error": self.missing[name]}
        try:
            worker = self.start(name, self.settings["threads"])
        except NotInstalled as problem:
            self.missing[name] = str(problem)
            return {"error": str(problem)}
        try:
            return worker.answer(job)
        finally:
            worker.end()

    def data(self, network):
        """The path of the images in a file that every environment can read."""
        name = DATA[network]
        path = self.folder / f"{name}.npz"
        if not path.is_file():
            from nestrade_lib import load_fashion_mnist, load_mnist

            load = {"mnist": load_mnist, "fashion_mnist": load_fashion_mnist}[name]
            train, test = load()
            parts = zip(("x_train", "y_train", "x_test", "y_test"), (*train, *test))
            np.savez(path, **dict(parts))
        return str(path)


def table(summary):
    """Lines to print: a table per network and budget."""
    for network, budgets in summary.items():
        for budget, peers in budgets.items():
            yield f"\n{network}, {budget} of the MACs"
            for row in peers.values():
                error, share = row["test_error_percent"], row["processor_seconds_share"]
                time = f"{share['mean']:.2f}" if share else "?"
                yield (
                    f"  {row['label']:36} n={len(row['seeds'])} "
                    f"error {error['mean']:5.2f} ± {error['sd']:.2f} %  time {time}"
                )


def main():
    options = parse()
    settings = settings_of(options)
    try:
        record = Comparison(options.record)
        for network in options.network:
            record.start(network, settings)
    except ValueError as problem:
        sys.exit(str(problem))
    with tempfile.TemporaryDirectory() as folder:
        problems = Runs(record, settings, folder).go(plan(options))
    record.write()
    print("\n".join(table(record.content["summary"])))
    if problems:
        print("\nLeft out:", *problems, sep="\n  ")


if __name__ == "__main__":
    main()

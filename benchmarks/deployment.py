"""From a network that somebody trained to files for a device: fine-tuned, cut, exported.

    python -m benchmarks.deployment             # all of its parts, one after another
    python -m benchmarks.deployment base        # trains the base on Fashion-MNIST
    python -m benchmarks.deployment transfer    # fine-tunes it on digits, dense and cut
    python -m benchmarks.deployment files       # exports both, and compares their answers
    python -m benchmarks.deployment clock       # times the files, and Keras beside them
    python -m benchmarks.deployment latency     # cuts to a budget of seconds
    python -m benchmarks.deployment widths      # times odd widths and multiples of 8

The base is a small MobileNet: `results/deployment/base.keras`. Its head is trained while
it is frozen, then all of it, the norms in inference mode, for as many epochs with and
without cuts. Each part is kept in `results/deployment.json` when it is done.
"""

import argparse
import json
import tempfile
from pathlib import Path

import keras
import numpy as np

from benchmarks.clock import milliseconds, timed
from benchmarks.exports import FORMATS, clock, compare, one_image
from benchmarks.mobilenet import (
    compile_classifier,
    create_base,
    create_classifier,
    halved,
    thaw,
    without_new_settings,
)
from benchmarks.record import RESULTS, commit, environment, load, today
from nestrade_lib import (
    Budget,
    Nestrade,
    Schedule,
    count_costs,
    export,
    load_export,
    load_fashion_mnist,
    load_mnist,
)

NETWORKS = Path(tempfile.gettempdir(), "nestrade-deployment")
RECORD, BASE = RESULTS / "deployment.json", RESULTS / "deployment/base.keras"
SETTINGS = {
    "base": {"images": 8_000, "epochs": 4, "batch_size": 64, "rate": 2e-3},
    "transfer": {
        "images": 3_000, "head_epochs": 2, "epochs": 6, "batch_size": 32,
        "head_rate": 1e-2, "rate": 1e-3, "cuts": 1, "round_to": 8,
        "budget": {"macs": 0.25},
    },
    "files": {"calibration": 500},
    "clock": {"rounds": 9},
    "latency": {"budget": 0.5, "epochs": 3, "cuts": 2, "round_to": 8},
    "widths": {"share": 0.5, "multiples": [1, 8]},
}  # fmt: skip
SEEDS = 3


# The parts -----------------------------------------------------------------------


def train_base():
    options = SETTINGS["base"]
    (x, y), test = load_fashion_mnist()
    x, y = x[: options["images"]], y[: options["images"]]
    keras.utils.set_random_seed(0)
    base = create_base()
    network = create_classifier(base)
    steps = options["epochs"] * -(-len(x) // options["batch_size"])
    rate = keras.optimizers.schedules.CosineDecay(options["rate"], steps)
    compile_classifier(network, rate)
    network.fit(x, y, options["batch_size"], options["epochs"], verbose=2)
    BASE.parent.mkdir(exist_ok=True)
    base.save(BASE)
    without_new_settings(BASE)
    return {
        "settings": options,
        "fashion_error_percent": error_of(network, *test),
        "params": base.count_params(),
        "bytes": BASE.stat().st_size,
    }


def transfer(seed, folder, options):
    """Fine-tune densely and to a quarter of the MACs; keep both networks in the folder."""
    (x, y), test = load_mnist()
    x, y = x[: options["images"]], y[: options["images"]]
    keras.utils.set_random_seed(seed)
    base = keras.saving.load_model(BASE)
    base.trainable = False
    network = create_classifier(base, training=False)
    compile_classifier(network, options["head_rate"])
    size = options["batch_size"]
    head = timed(lambda: network.fit(x, y, size, options["head_epochs"], verbose=0))
    row = {"head": head | {"error_percent": error_of(network, *test)}}
    for name, budget in (("dense", 1.0), ("small", Budget(**options["budget"]))):
        keras.utils.set_random_seed(seed)
        thawed = thaw(network, options["rate"])
        schedule = Schedule(cuts=options["cuts"], round_to=options["round_to"])
        trainer = []

        def fit(thawed=thawed, budget=budget, schedule=schedule, trainer=trainer):
            trainer.append(Nestrade(thawed, budget, schedule=schedule))
            trainer[0].fit(x, y, size, options["epochs"], verbose=0)

        if budget == 1:  # as who does not know of cuts would: along a cosine
            steps = options["epochs"] * -(-len(x) // size)
            rate = keras.optimizers.schedules.CosineDecay(options["rate"], steps)
            compile_classifier(thawed, rate)
        times = timed(fit)
        costs = count_costs(trainer[0].network)
        trainer[0].network.save(folder / f"{name}-{seed}.keras")
        row[name] = {
            **{k: v + head[k] for k, v in times.items()},
            "error_percent": error_of(trainer[0].network, *test),
            "macs": costs.macs,
            "params": costs.params,
            "cut_seconds": [round(each.seconds, 2) for each in trainer[0].cuts],
        }
    return row


def error_of(network, x, y):
    return 100 * (1 - network.evaluate(x, y, batch_size=500, verbose=0)[1])


def to_a_latency(seed, folder, options):
    """Fine-tune to a budget of seconds that one image takes in LiteRT; time it again."""
    before = SETTINGS["transfer"]
    (x, y), test = load_mnist()
    x, y = x[: before["images"]], y[: before["images"]]
    keras.utils.set_random_seed(seed)
    dense = keras.saving.load_model(folder / f"dense-{seed}.keras")

    def seconds(network):
        return one_image(network, folder, x[:1])

    compile_classifier(dense, before["rate"])
    budget = Budget(latency=options["budget"], measure=seconds)
    schedule = Schedule(cuts=options["cuts"], round_to=options["round_to"])
    trainer = Nestrade(dense, budget, schedule=schedule)
    trainer.fit(x, y, before["batch_size"], options["epochs"], verbose=0)
    runs = {}
    for name, network in (("dense", dense), ("small", trainer.network)):
        path = export(network, folder / f"latency-{name}.tflite")
        runs[name] = load_export(path)
    taken = milliseconds(runs, x[:1], SETTINGS["clock"]["rounds"])
    return {
        "met": trainer.met,
        "macs_share": trainer.costs.macs / trainer.dense_costs.macs,
        "share": min(taken["small"]) / min(taken["dense"]),
        "milliseconds": taken,
        "error_percent": error_of(trainer.network, *test),
    }


def widths(seed, folder, options):
    """Milliseconds of one image, where each layer has half of its channels."""
    dense = keras.saving.load_model(folder / f"dense-{seed}.keras", compile=False)
    networks = {"dense": dense, "odd": halved(dense, 1), "eights": halved(dense, 8)}
    callers = {}
    for name, network in networks.items():
        for to in ("litert", "onnx"):
            path = export(network, folder / f"widths-{name}{FORMATS[to]}", to)
            callers[f"{name} {to}"] = load_export(path)
    image = load_mnist()[1][0][:1]
    return {"milliseconds": milliseconds(callers, image, SETTINGS["clock"]["rounds"])}


MEASURES = {
    "transfer": transfer,
    "files": compare,
    "clock": clock,
    "latency": to_a_latency,
    "widths": widths,
}


# The record ----------------------------------------------------------------------


def kept():
    machine = environment()
    content = {"environment": machine}
    if RECORD.is_file():
        content = json.loads(RECORD.read_text(encoding="utf-8"))
    if content["environment"] != machine:
        raise ValueError(f"{RECORD} was measured elsewhere. Remove it to measure anew.")
    return content


def keep(content):
    if "widths" in content:
        content["summary"] = summarize(content)
    fresh = RECORD.with_suffix(".part")
    fresh.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    fresh.replace(RECORD)


def summarize(content):
    """Means over the seeds; times are medians of ratios within the rounds."""
    tuned = content["transfer"]["seeds"].values()
    found = content["files"]["seeds"].values()
    clocked = content["clock"]["seeds"].values()

    def mean(values):
        return float(np.mean(list(values)))

    def ratio(one, other, size):
        pairs = (
            (row["milliseconds"][size][one], row["milliseconds"][size][other])
            for row in clocked
        )
        ratios = [np.divide(a, b) for a, b in pairs]
        return float(np.median(np.concatenate(ratios)))

    spent = "processor_seconds"
    files = {
        f"{name} {to}": mean(row[name][to]["bytes"] for row in found)
        for name in ("dense", "small")
        for to in FORMATS
    }
    weights = mean(row["small"]["params"] for row in tuned)  # a byte each in int8
    return {
        "dense_error": mean(row["dense"]["error_percent"] for row in tuned),
        "small_error": mean(row["small"]["error_percent"] for row in tuned),
        "int8_error": mean(row["small"]["litert-int8"]["error_percent"] for row in found),
        "macs_percent": mean(100 * row["small"]["macs"] / row["dense"]["macs"] for row in tuned),
        "time_share": mean(row["small"][spent] / row["dense"][spent] for row in tuned),
        "times_smaller": files["dense litert"] / files["small litert-int8"],
        "weights_times_smaller": 4 * mean(row["dense"]["params"] for row in tuned) / weights,
        "bytes_per_weight": files["small litert-int8"] / weights,
        "agree_percent": mean(row["small"]["litert-int8"]["agree_percent"] for row in found),
        "agree_least": min(row["small"]["litert-int8"]["agree_percent"] for row in found),
        "litert_share": ratio("small litert", "dense litert", "1"),
        "litert_share_256": ratio("small litert", "dense litert", "256"),
        "int8_times_faster": ratio("dense litert", "small litert-int8", "1"),
        **beside(content),
        "predict_times": ratio("small predict", "small predict_on_batch", "1"),
    }  # fmt: skip


def beside(content):
    """Of budgets of seconds the shares that were reached; of widths, medians."""
    reached = [row["share"] for row in content["latency"]["seeds"].values()]
    times = [row["milliseconds"] for row in content["widths"]["seeds"].values()]
    return {"latency_least": min(reached), "latency_most": max(reached)} | {
        name: float(np.median([row[name] for row in times])) for name in times[0]
    }


def moment():
    return {"date": today(), "commit": commit(), "load": load()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", nargs="?", choices=list(SETTINGS), help="default: all")
    parser.add_argument("--networks", type=Path, default=NETWORKS)
    options = parser.parse_args()
    options.networks.mkdir(exist_ok=True)
    content = kept()
    for part in [options.part] if options.part else SETTINGS:
        if part == "base":
            if options.part or "base" not in content:
                content["base"] = train_base() | moment()
                keep(content)
            continue
        content.setdefault(part, {"settings": SETTINGS[part], "seeds": {}})
        rows = content[part]["seeds"]
        for seed in map(str, range(SEEDS)):
            if seed not in rows:
                measure, settings = MEASURES[part], SETTINGS[part]
                rows[seed] = measure(int(seed), options.networks, settings) | moment()
                keep(content)
                print(part, seed, json.dumps(rows[seed])[:400], flush=True)


if __name__ == "__main__":
    main()

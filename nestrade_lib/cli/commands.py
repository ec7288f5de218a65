"""What the commands do: report, shrink and export, each from a file to a file."""

from pathlib import Path
from typing import Any

import keras

from nestrade_lib.cli.errors import DONE, FAILED, BadInput, Failed, one_line
from nestrade_lib.cli.files import existing, read_data, require_writable, written_whole
from nestrade_lib.cli.networks import (
    compile_network,
    import_custom,
    load,
)
from nestrade_lib.cli.progress import Progress
from nestrade_lib.costs import count_costs
from nestrade_lib.exports import SUFFIXES
from nestrade_lib.exports import export as export_to
from nestrade_lib.schedule import Budget
from nestrade_lib.surgery import RefusedCut
from nestrade_lib.tables import text_table
from nestrade_lib.trainer import Nestrade
from nestrade_lib.training.checks import check_data, check_validation

COSTS = {
    "macs": "macs",
    "parameters": "params",
    "activation_bytes": "activation_bytes",
    "latency": "latency",
    "max_accuracy_drop": "max_accuracy_drop",
}


def report(options):
    """Print a network's layers and what they cost."""
    network, _ = load(options.model, import_custom(options.custom), is_compiled=False)
    try:
        table = count_costs(network, options.input_shape)
    except ValueError as error:
        message = one_line(error)
        if "open" in message:
            message = message.partition(" Pass ")[0]
            message += " Pass --input-shape, such as 224,224,3."
        raise BadInput(f"{options.model}: {message}") from error
    print(table)
    return DONE


def shrink(options):
    """Train a network to a budget, write the smaller one, and print both side by side."""
    budget = parse_budget(options.budget)
    if budget.max_accuracy_drop is not None and options.validation is None:
        raise BadInput("--budget max_accuracy_drop=: expected --validation FILE.npz.")
    size = existing(options.model).stat().st_size
    out = require_writable(options.out, (".keras",), size, options.force)
    keras.utils.set_random_seed(options.seed)
    network, trouble = load(options.model, import_custom(options.custom))
    compile_network(network, options.model, trouble, options)
    data = read_data(options.data, network)
    held_out = None
    if options.validation is not None:
        held_out = read_data(options.validation, network)
    try:
        check_data(network, data["x"], data["y"])
        if held_out is not None:
            check_validation(network, tuple(held_out.values()))
        trainer = Nestrade(
            network,
            budget,
            ignored_layers=options.ignore,
        )
        before = _measure(trainer, held_out)
        settings: dict[str, Any] = {
            "batch_size": options.batch_size,
            "epochs": options.epochs,
            "validation_data": held_out and tuple(held_out.values()),
            "callbacks": [Progress(trainer)],
            "backup_dir": options.backup_dir,
            "verbose": 0,
        }
        trainer.fit(**data, **settings)
    except (RefusedCut, FloatingPointError) as error:
        raise Failed(one_line(error)) from error
    except ValueError as error:
        raise BadInput(one_line(error)) from error
    after = _measure(trainer, held_out)
    with written_whole(out) as part:
        trainer.network.save(part)
    print(trainer.report())
    rows = [("", "before", "after"), ("bytes", f"{size:,}", f"{out.stat().st_size:,}")]
    rows += [(f"val_{k}", f"{before[k]:.4g}", f"{after[k]:.4g}") for k in before]
    print(text_table(rows, "<>>"))
    print(f"wrote {out}")
    return DONE if trainer.met else FAILED


def _measure(trainer, data):
    """What the network scores on validation data, if there are some."""
    if data is None:
        return {}
    settings: dict[str, Any] = {"verbose": 0, "return_dict": True}
    return trainer.evaluate(**data, **settings)


def export(options):
    """Write a network in the format of another runtime."""
    size, suffix = existing(options.model).stat().st_size, SUFFIXES[options.to]
    out = options.out
    if out is None:
        out = Path(options.model).with_suffix(suffix)
    out = require_writable(out, (suffix,), size, options.force)
    network, _ = load(options.model, import_custom(options.custom), is_compiled=False)
    samples = None
    if options.calibrate is not None:
        samples = read_data(options.calibrate, network, with_labels=False)["x"]
    try:
        export_to(network, out, options.to, samples)
    except (ValueError, ModuleNotFoundError) as error:
        raise BadInput(
            one_line(error).replace("calibration:", "--calibrate:")
        ) from error
    print(f"wrote {out}, {out.stat().st_size:,} bytes")
    return DONE


def parse_budget(texts):
    """Read a budget: ``COST=NUMBER``, several with commas between or one after the other.

    >>> parse_budget(["macs=0.25,parameters=0.2", "latency=0.5"])
    Budget(macs=0.25, params=0.2, latency=0.5)
    """
    limits = {}
    for text in ",".join(texts).split(","):
        name, sign, number = (part.strip() for part in text.partition("="))
        if not sign or name not in COSTS:
            raise BadInput(
                f"--budget {text}: expected COST=NUMBER with a cost of "
                f"{', '.join(COSTS)}, as in macs=0.25,parameters=0.2."
            )
        if COSTS[name] in limits:
            raise BadInput(f"--budget: expected {name} once, got it twice.")
        try:
            limits[COSTS[name]] = float(number)
        except ValueError:
            raise BadInput(
                f"--budget {text}: expected a number, got {number!r}."
            ) from None
    try:
        return Budget(**limits)
    except ValueError as error:
        raise BadInput(f"--budget: {one_line(error)}") from None

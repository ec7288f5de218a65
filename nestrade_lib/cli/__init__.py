"""The command line: what a network costs, a smaller one of it, and that one exported.

    nestrade report model.keras
    nestrade shrink model.keras --data train.npz --budget macs=0.25 --epochs 5 --out small.keras
    nestrade export small.keras --to litert-int8 --calibrate train.npz

It ends with 0; with 2 where something that was given cannot be used, and nothing was
done; with 1 where it failed, or a budget was not met; with 130 at Ctrl-C. What goes wrong is
one line on standard error. Results are written whole or not at all.
"""

import argparse
import contextlib
import math
import os
import sys
import tempfile
import warnings

from nestrade_lib import __version__
from nestrade_lib.cli.errors import FAILED, STOPPED, WRONG, BadInput, Failed, describe

FORMATS = ("litert", "litert-int8", "onnx")  # of nestrade_lib.exports


def main(arguments=None):
    """Read a command line, run it, and give the exit code.

    Examples
    --------
    >>> main(["report", "nothing.keras"])
    2
    """
    options = parser().parse_args(arguments)
    try:
        with warnings.catch_warnings(), _quiet_start():
            from nestrade_lib.cli import commands
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: _say(f"warning: {message}")
            return getattr(commands, options.command)(options)
    except KeyboardInterrupt:
        backup = getattr(options, "backup_dir", None)
        left = f"{backup} holds its epochs so far" if backup else "Nothing was written"
        _say(f"stopped. {left}.")
        return STOPPED
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if options.traceback:
            raise
        if isinstance(error, (BadInput, Failed)):
            _say(f"error: {error}")
        else:
            kind = type(error).__name__
            _say(f"error: {kind}: {describe(error)}. --traceback shows where.")
        return WRONG if isinstance(error, BadInput) else FAILED


def _say(text):
    print(f"nestrade: {' '.join(text.split())}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _quiet_start():
    """Keep back what backends write to standard error as they start, unless they fail."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "keras" in sys.modules:
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held, contextlib.ExitStack() as stack:
        real = os.dup(2)
        stack.callback(os.close, real)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(real, held.read())
            raise
        finally:
            os.dup2(real, 2)


def parser():
    """The grammar of the command line."""
    root = argparse.ArgumentParser(
        prog="nestrade", description="Make a Keras network smaller while it learns."
    )
    root.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("model", help="a .keras file, or an .h5 or .hdf5 one")
    shared.add_argument(
        "--custom",
        action="append",
        default=[],
        metavar="FILE.py",
        help="defines layers, losses or rules of one's own; it is run (or a module's name)",
    )
    shared.add_argument("--traceback", action="store_true", help="of an error")
    _add_report(commands, shared)
    _add_shrink(commands, shared)
    _add_export(commands, shared)
    return root


def _add_report(commands, shared):
    about = "print the layers of a network: parameters, MACs, bytes of activations"
    report = commands.add_parser(
        "report", parents=[shared], help=about, description=about
    )
    report.add_argument(
        "--input-shape",
        type=_shape,
        metavar="H,W,C",
        help="of one sample, where the network leaves axes open",
    )


def _add_shrink(commands, shared):
    about = "train a network to a budget, and write the smaller one"
    shrink = commands.add_parser(
        "shrink", parents=[shared], help=about, description=about
    )
    add = shrink.add_argument
    add("--data", required=True, metavar="FILE.npz", help="arrays x and y to train on")
    add("--validation", metavar="FILE.npz", help="arrays x and y to measure on")
    add(
        "--budget",
        required=True,
        action="append",
        metavar="COST=SHARE",
        help="shares to keep of macs, parameters, activation_bytes, latency; or "
        "max_accuracy_drop=POINTS. Several: macs=0.25,parameters=0.2",
    )
    add("--epochs", required=True, type=_count)
    add("--out", required=True, metavar="FILE.keras")
    add("--force", action="store_true", help="replace --out where it exists")
    add("--batch-size", type=_count, default=32)
    add("--loss", help="by Keras' name, where the file is not compiled")
    add(
        "--optimizer",
        help="by Keras' name, where the file is not compiled; adam if left out",
    )
    add(
        "--learning-rate",
        type=_positive,
        help="the file's, or the optimizer's own, if left out",
    )
    add(
        "--ignore",
        action="append",
        default=[],
        metavar="LAYER",
        help="leave it as it is",
    )
    add(
        "--backup-dir",
        metavar="FOLDER",
        help="where epochs are kept: the same command, run again, goes on",
    )
    add("--seed", type=_seed, default=0)


def _add_export(commands, shared):
    about = "write a network as LiteRT, in float or int8, or as ONNX"
    export = commands.add_parser(
        "export", parents=[shared], help=about, description=about
    )
    add = export.add_argument
    add("--to", required=True, choices=FORMATS)
    add("--calibrate", metavar="FILE.npz", help="for int8: x, some 100 to 500 samples")
    add("--out", metavar="FILE", help="MODEL.tflite or MODEL.onnx if left out")
    add("--force", action="store_true", help="replace --out where it exists")


def _number(name, read, holds, expected):
    """A reader of numbers for which something holds, by the name that argparse shows."""

    def parse(text):
        number = read(text)
        if not holds(number):
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text}")
        return number

    parse.__name__ = name
    return parse


_count = _number("whole number", int, lambda n: n >= 1, "at least 1")
_seed = _number("whole number", int, lambda n: 0 <= n < 2**32, "0 to 2**32 - 1")
_positive = _number("number", float, lambda x: 0 < x < math.inf, "a positive number")


def _shape(text):
    return tuple(map(_count, text.replace("x", ",").split(",")))


_shape.__name__ = "shape"

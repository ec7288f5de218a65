"""The page of the appendix that shows the records.

python -m benchmarks.faults.page            # writes appendix/faults.md
"""

import json
from pathlib import Path

from benchmarks.faults.texts import TEXTS
from benchmarks.record import RESULTS

PAGE = Path(__file__).parents[2] / "appendix" / "faults.md"
BACKENDS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}

TOP = """\
(app-faults)=
# What a run survives

The command `python -m benchmarks.faults` harms small runs on purpose: a network of two hidden layers, five epochs of six steps, two cuts. It keeps each try in `benchmarks/results/faults/`, and `python -m benchmarks.faults.page` makes this page of them. A cell says how many tries were survived, of how many. A run that is ended has survived if the same script, started again, ends with the weights of a run that nobody disturbed, *to the last bit*. PyTorch has one device here, so it has no workers. A dash is what was not tried; the command makes twenty tries of most kinds.

"""
ALONE = """
What needs no backend was tried once. The chief is harmed if it does not meet its worker after the message; a worker is left if it is still there half a minute after its launcher, although it ignores requests to end.

"""
RIGHT = """
Not shown: what a signal does while Python starts or ends, power that fails, disks that lie about what they have written, and clusters of several machines.

## A process that dies by itself

On processors, TensorFlow and PyTorch compute convolutions with oneDNN. In one gradient it writes past the end of its memory ([oneDNN's issue 6035](https://github.com/uxlfoundation/oneDNN/issues/6035)): that of a 1×1 convolution with strides which divide the sizes of the image, of fewer channels than a block of the processor (16 with AVX-512, 8 with AVX2). The shortcuts of residual networks are such convolutions, and cuts make their channels fewer. Keras' own `fit` then ends without a word, hangs, or trains with wrong gradients; `tests/test_onednn.py` shows an end.

Nestrade leaves out the pixels first, then convolves without strides, which is the same function; so `Nestrade.fit` is safe. Where the network that it leaves is such a one, it warns: before any other training, set `TF_ENABLE_ONEDNN_OPTS=0` in the environment before TensorFlow is imported, or `torch.backends.mkldnn.enabled = False`. Transposed 1×1 convolutions with strides die in the same way, and are left as they are. JAX is not concerned.
"""


def page(records):
    """The page as text, of rows by kind and backend."""
    head = [
        "| fault, and what is to follow | " + " | ".join(BACKENDS.values()) + " |",
        "|---" * (1 + len(BACKENDS)) + "|",
    ]
    rows = [
        f"| {text} | " + " | ".join(cell(records, name, b) for b in BACKENDS) + " |"
        for name, text in TEXTS.items()
        if any((name, backend) in records for backend in BACKENDS)
    ]
    alone = [
        f"| {text} | {cell(records, name, 'any')} |"
        for name, text in TEXTS.items()
        if (name, "any") in records
    ]
    tables = (
        "\n".join([*head, *rows, ""]),
        "\n".join(
            ["| fault, and what is to follow | survived |", "|---|---|", *alone, ""]
        ),
    )
    return TOP + tables[0] + ALONE + tables[1] + RIGHT


def cell(records, name, backend):
    """Tries that were survived, of all."""
    rows = records.get((name, backend))
    return f"{sum(map(survived, rows))} of {len(rows)}" if rows else "–"


def survived(row):
    """Whether a try was survived; the first records say it in three figures."""
    return row.get("survived", min(row.get(x, 1) for x in ("finished", "identical")))


def records():
    """The rows of all records, by kind and backend."""
    found = {}
    for path in (RESULTS / "faults").glob("*/*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        found[path.stem, path.parent.name] = list(content["seeds"].values())
    return found


if __name__ == "__main__":
    PAGE.write_text(page(records()), encoding="utf-8")

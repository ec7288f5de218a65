"""Measure the tables that are named, or all, and write their rows.

python -m benchmarks.structures
KERAS_BACKEND=jax python -m benchmarks.structures random-graphs        # or torch
"""

import json
import sys
from collections import Counter

import keras

from benchmarks.record import RESULTS, commit, environment, today
from benchmarks.structures import backbones, examples, graphs, operations, zoo
from benchmarks.structures.rows import as_json, measure

GRAPHS = "random graphs on " + keras.backend.backend()
# Kind: functions that build networks by name, and what measures one. What is not
# installed (keras-hub, kimm) has none, and its rows in the record stay.
TABLES = {
    "operations": (operations.NETWORKS, measure),
    GRAPHS: (graphs.NETWORKS, measure),
    "keras-hub": (backbones.NETWORKS, measure),
    "kimm": (zoo.NETWORKS, measure),
    "keras.io": (examples.NETWORKS, examples.train),
}
PATH = RESULTS / "structures.json"


def main(kinds):
    for kind in kinds or TABLES:
        kind = GRAPHS if kind == "random-graphs" else kind
        networks, row_of = TABLES[kind]
        if not networks:
            print(f"{kind} is not installed")
            continue
        rows = []
        for name, make in networks.items():
            rows.append(row_of(name, kind, make))
            if rows[-1].outcome != "cut":
                print(
                    f"{kind} {name}: {rows[-1].outcome} ({rows[-1].stays})", flush=True
                )
        print(kind, Counter(row.outcome.partition(":")[0] for row in rows))
        write(kind, list(map(as_json, rows)))


def write(kind, rows):
    """Replace the rows of one kind in the record."""
    record = {"measured": {}, "rows": []}
    if PATH.is_file():
        record = json.loads(PATH.read_text(encoding="utf-8"))
    others = [row for row in record["rows"] if row["kind"] != kind]
    here = {"environment": environment(), "date": today(), "commit": commit()}
    record["measured"][kind] = here
    record["rows"] = others + rows
    PATH.write_text(text_of(record), encoding="utf-8")


def text_of(record):
    """JSON with a line per row."""
    rows = ",\n  ".join(map(json.dumps, record["rows"]))
    measured = json.dumps(record["measured"], indent=1)
    return f'{{\n "measured": {measured},\n "rows": [\n  {rows}\n ]\n}}\n'


if __name__ == "__main__":
    main(sys.argv[1:])

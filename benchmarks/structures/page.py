"""The page of the appendix that shows the record.

python -m benchmarks.structures.page            # writes appendix/networks.md
"""

import json
import re
from collections import Counter
from pathlib import Path

from benchmarks.record import RESULTS

PAGE = Path(__file__).parents[2] / "appendix" / "networks.md"
LONGEST = 40  # rows of a table; of a longer one, only what is not cut

KINDS = {
    "keras.io": (
        "Examples",
        "Networks as in the examples on keras.io, written anew and small. Each is trained for "
        "three epochs under Nestrade with a budget of half of its MACs, saved, and loaded by "
        "Keras alone. The difference is that of the loaded network's outputs from those of the "
        "network in memory.",
    ),
    "keras-hub": (
        "Backbones of keras-hub",
        "Small configurations, with random weights. They are unrolled first. A random half of "
        "their channels is cut.",
    ),
    "kimm": (
        "Image networks of kimm",
        "Small networks of each family, with random weights. A random half of their channels "
        "is cut.",
    ),
    "random graphs on tensorflow": (
        "Random graphs",
        "Layers, operations, constants and shared layers, joined at random. Each graph begins "
        "with a hidden layer that nothing else reads, so that there is always something to "
        "cut. A random half of the channels is cut, here on TensorFlow.",
    ),
    "random graphs on jax": ("Random graphs on JAX", "The same graphs."),
    "random graphs on torch": ("Random graphs on PyTorch", "The same graphs."),
    "operations": (
        "Single operations and layers",
        "Each stands between two dense layers. A random half of the channels is cut.",
    ),
}


def page(record):
    """The page as text."""
    parts = [
        "(app-networks)=\n# Which networks are cut\n",
        "The command `python -m benchmarks.structures` cuts the networks below and writes "
        "`benchmarks/results/structures.json`; this page is made from that record by `python "
        "-m benchmarks.structures.page`. *MACs left* is a share of those at first. *Difference* "
        "is the largest relative one between the outputs of the smaller network and those of "
        "the original with the cut channels at zero: what rounding makes, where the outcome "
        "is *cut*. *What stays* names what keeps the other channels.\n",
    ]
    for kind, (title, text) in KINDS.items():
        rows = [row for row in record["rows"] if row["kind"] == kind]
        if rows:
            parts.append(section(title, text, rows))
    return "\n".join(parts)


def section(title, text, rows):
    outcomes = Counter(row["outcome"].partition(":")[0] for row in rows)
    counts = ", ".join(
        f"{count} {outcome}" for outcome, count in outcomes.most_common()
    )
    small = sum(row["outcome"] == "cut" and (row["cut_to"] or 1) <= 0.6 for row in rows)
    lines = [f"## {title}\n", f"{text}\n"]
    lines.append(
        f"Of {len(rows)}: {counts}. At most 60 % of the MACs are left in {small}.\n"
    )
    if len(rows) > LONGEST:
        lines.append(
            f"What keeps channels, and in how many of them: {reasons(rows)}.\n"
        )
        rows = [row for row in rows if row["outcome"] != "cut"]
    if rows:
        lines += ["| network | outcome | MACs left | difference | what stays |"]
        lines += ["|---|---|---|---|---|", *map(line, rows)]
    return "\n".join(lines) + "\n"


def reasons(rows, most=8):
    """The commonest reasons why channels stay, each with the number of its rows."""
    found = Counter(
        reason
        for row in rows
        for reason in {
            re.split(r":| \(\w+Error", x)[0] for x in row["stays"].split("; ")
        }
        if reason and "'" not in reason  # those that name a layer are of one network
    )
    return "; ".join(f"{reason} ({n})" for reason, n in found.most_common(most))


def line(row):
    share = "–" if row["cut_to"] is None else f"{100 * row['cut_to']:.0f} %"
    difference = "–" if row["difference"] is None else f"{row['difference']:.0e}"
    cells = row["name"], short(row["outcome"]), share, difference, short(row["stays"])
    return f"| {' | '.join(cells)} |"


def short(text, most=160):
    """A reason without the backend's words for it."""
    text = re.sub(r" \((\w+Error): .*?\)(?=[,;]|$)", r" (\1)", text)
    text = re.sub(r"\s+", " ", text).replace("|", "/")
    text = re.sub(r"([*_<>\[\]{}])", r"\\\1", text)
    return text if len(text) <= most else text[:most].rsplit(" ", 1)[0] + " …"


def main():
    path = RESULTS / "structures.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    PAGE.write_text(page(record), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Check the house rules of the library's files; exit with a line for each breach.

A file has at most 300 lines, and its docstring opens with one sentence on one line,
which stands in CONTRIBUTING's map of the modules.
"""

import sys

from scripts.module_map import ROOT, summary

LONGEST_FILE = 300


def breaches(library):
    """Yield the name of each file of ``library`` with each of its breaches."""
    for path in sorted(library.rglob("*.py")):
        name = path.relative_to(library.parent).as_posix()
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > LONGEST_FILE:
            yield f"{name} has {lines} lines, more than {LONGEST_FILE}"
        if not summary(path).endswith("."):
            yield f"{name}: the docstring's first line is not one whole sentence"


if __name__ == "__main__":
    sys.exit("\n".join(breaches(ROOT / "nestrade_lib")) or 0)

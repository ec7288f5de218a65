"""Run notebooks and store what they print, so that a second run changes no byte.

Where code and results are as stored, the file stays as it is, times and other things
included that differ from run to run: cells tagged ``nbval-ignore-output``, and what
``tests/nbval-sanitize.cfg`` names.

    python -m scripts.execute_notebooks [--check] [NOTEBOOK ...]

Without a path, every notebook of the book is run. ``--check`` writes nothing and
fails where a notebook's file would change.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from scripts.notebooks import ROOT, pages

# ipykernel shows what compiled code writes to stderr unless this variable is set.
# pytest sets it, so a notebook stored without it would fail in the test run.
ENVIRONMENT = {
    "PYTEST_CURRENT_TEST": "stored as the test run will see it",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "PYTHONHASHSEED": "0",
}
SANITIZE = re.findall(
    r"^regex: (.*)\nreplace: (.*)$",
    (ROOT / "tests/nbval-sanitize.cfg").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def execute(path, timeout=600):
    """Run the notebook at ``path`` in its folder and return it as text."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(Path(path).resolve().parent)}},
    )
    client.execute(env={**os.environ, **ENVIRONMENT}, stderr=subprocess.DEVNULL)
    notebook.metadata.language_info.pop("version", None)
    # Live widgets need a kernel: no page shows them.
    notebook.metadata.pop("widgets", None)
    text = nbformat.writes(notebook) + "\n"
    stored = Path(path).read_text(encoding="utf-8")
    return stored if essence(text) == essence(stored) else text


def essence(text):
    """A notebook without what may differ from one run to the next."""
    notebook = nbformat.reads(text, as_version=4)
    for cell in notebook.cells:
        if "nbval-ignore-output" in cell.metadata.get("tags", []):
            # That there is an output stays; it may be missing since the cell has changed.
            cell.metadata["kinds"] = [output.output_type for output in cell.outputs]
            cell.outputs = []
    text = nbformat.writes(notebook)
    for pattern, replacement in SANITIZE:
        text = re.sub(pattern, replacement, text)
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("notebooks", nargs="*", type=Path)
    arguments = parser.parse_args()
    changed = []
    for path in arguments.notebooks or pages(".ipynb"):
        text = execute(path)
        name = os.path.relpath(path, ROOT)
        if text == path.read_text(encoding="utf-8"):
            print(f"{name}: unchanged")
            continue
        changed.append(name)
        print(f"{name}: {'would change' if arguments.check else 'stored'}")
        if not arguments.check:
            path.write_text(text, encoding="utf-8", newline="\n")
    sys.exit(bool(arguments.check and changed))


if __name__ == "__main__":
    main()

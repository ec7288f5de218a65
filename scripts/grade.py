"""Grade student notebooks: run each, and give the points whose self-check passes.

    python -m scripts.grade NOTEBOOK [NOTEBOOK ...] [--csv FILE]

The checks are those of the book, whatever a student's notebook holds in their place, so a
deleted or changed check earns nothing. The book's self-checks are the tests already, and
nbclient is locked with the book: nbgrader and otter-grader would add a server or a format
of their own. A notebook is a program: grade where you would run its author's code.
"""

import argparse
import csv
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError
from nbformat import v4

from scripts.exercises import chapters, exercises_of

PLACE = re.compile(r"# (?:Check of|Your answer to) ([\w-]+)[,:]")


class Mark(NamedTuple):
    """What one exercise earned, and why."""

    exercise: str
    points: int
    most: int
    reason: str


def grade(notebook, timeout=300, folder=None):
    """Run ``notebook`` and return a `Mark` for each exercise of its chapters.

    A cell that raises, or that runs for more than ``timeout`` seconds, is left behind,
    and the next one runs.
    """
    named = set(PLACE.findall("\n".join(cell.source for cell in notebook.cells)))
    tasks = [
        task
        for chapter in chapters()
        if named.intersection(task.name for task in exercises_of(chapter))
        for task in exercises_of(chapter)
    ]
    if not tasks:
        raise ValueError(
            "Expected a student notebook of `make course`, got one without an exercise: "
            "each has a cell that begins with `# Your answer to`."
        )
    notebook, checks = _with_our_checks(notebook, tasks)
    client = NotebookClient(
        notebook,
        timeout=timeout,
        interrupt_on_timeout=True,
        allow_errors=True,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder or Path.cwd())}},
    )
    try:
        client.execute(env={**os.environ}, stderr=subprocess.DEVNULL)
    except DeadKernelError:
        pass  # the checks after it have not run, and say so
    return [_mark(task, checks[task.name]) for task in tasks]


def _with_our_checks(notebook, tasks):
    """Return ``notebook`` with each check as we wrote it, and the checks by exercise."""
    checks = {task.name: v4.new_code_cell(task.check) for task in tasks}
    cells, placed = [], set()
    for cell in notebook.cells:
        match = PLACE.match(cell.source) if cell.cell_type == "code" else None
        name = match[1] if match else None
        if name in checks and cell.source.startswith("# Check of"):
            if name in placed:
                continue
            placed.add(name)
            cell = checks[name]
        cells.append(cell)
    cells += [check for name, check in checks.items() if name not in placed]
    return v4.new_notebook(cells=cells, metadata=notebook.metadata), checks


def _mark(task, check):
    errors = [o for o in check.outputs if o.output_type == "error"]
    if check.execution_count is None:
        return Mark(task.name, 0, task.points, "did not run")
    if errors:
        reason = f"{errors[0].ename}: {errors[0].evalue}".split("\n")[0]
        return Mark(task.name, 0, task.points, reason.removeprefix("AssertionError: "))
    return Mark(task.name, task.points, task.points, "")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--csv", type=Path, help="write every mark to this file")
    parser.add_argument("--timeout", type=int, default=300, help="seconds per cell")
    options = parser.parse_args(arguments)
    if options.csv and not options.csv.parent.is_dir():
        parser.error(f"--csv: {options.csv.parent} is not a folder.")
    rows = []
    for path in options.notebooks:
        try:
            marks = grade(
                nbformat.read(path, as_version=4),
                options.timeout,
                path.resolve().parent,
            )
        except Exception as error:  # in whatever way a file is broken, go on
            print(f"{path}: not graded: {error}", file=sys.stderr)
            rows.append((path, "", 0, "", f"not graded: {error}"))
            continue
        for mark in marks:
            print(f"  {mark.exercise:14} {mark.points} of {mark.most}  {mark.reason}")
        earned, most = (sum(column) for column in list(zip(*marks))[1:3])
        print(f"{path}: {earned} of {most} points")
        rows += [(path, *mark) for mark in marks]
    if options.csv:
        with options.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["notebook", *Mark._fields])
            writer.writerows(rows)
    return int(any(row[1] == "" for row in rows))


if __name__ == "__main__":
    sys.exit(main())

"""Make the notebooks of a course from the chapters and their solutions.

    python -m scripts.course [CHAPTER ...]

writes `_build/course/student/` and `_build/course/teacher/`. In a student's notebook,
answers and outputs are out, and each exercise has a cell for the answer and one that
checks it. The teacher's has the answers, run. Both are plain Markdown, for any Jupyter.
"""

import argparse
import re

import nbformat
from nbformat import v4

from scripts.exercises import chapters, exercises_of
from scripts.notebooks import ROOT
from scripts.plain_markdown import equation_numbers, plain

FOLDER = ROOT / "_build" / "course"
# Of the metadata of cells, what means something outside the book.
KEPT_TAGS = {"hide-input", "raises-exception"}


def notebook_of(chapter, teacher=False):
    """Return the notebook of a chapter for a student, or for the teacher."""
    path = ROOT / f"chapters/{chapter}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    tasks = {task.place: task for task in exercises_of(chapter)}
    markdown = [c.source for c in notebook.cells if c.cell_type == "markdown"]
    numbers = equation_numbers(markdown)
    cells = []
    for place, cell in enumerate(notebook.cells):
        if place - 1 in tasks:  # the check in a comment
            cells += _answer_cells(tasks[place - 1], teacher, numbers)
            continue
        if cell.cell_type == "markdown":
            cell.source = plain(cell.source, numbers, answers=teacher)
            if place in tasks:
                cell.source = _heading(tasks[place]) + cell.source
            if not teacher:
                cell.source = re.sub(r"^Solutions, .*\n+", "", cell.source)
        cells.append(cell)
    for number, cell in enumerate(cells):
        cells[number] = _handed_out(cell, teacher)
    notebook.cells = cells
    return notebook


def _heading(task):
    return f"### Exercise {task.name} (points: {task.points})\n\n"


def _answer_cells(task, teacher, numbers):
    """The cells after an exercise: for the answer, and the one that checks it."""
    check = v4.new_code_cell(task.check)
    if not teacher:
        return [v4.new_code_cell(task.stub), check]
    cells = []
    for cell in task.worked:
        cell = cell.copy()
        if cell.cell_type == "markdown":
            cell.source = plain(cell.source, numbers).replace(
                "## ", "#### Solution: ", 1
            )
        cells.append(cell)
    # The check was the last line of the last cell: what it printed comes last, too.
    check.outputs, cells[-1].outputs = cells[-1].outputs, []
    return [cell for cell in cells if cell.source] + [check]


def _handed_out(cell, teacher):
    """A copy of ``cell`` with an identity of its own and without the book's metadata."""
    tags = sorted(KEPT_TAGS.intersection(cell.metadata.get("tags", [])))
    metadata = {"tags": tags} if tags else {}
    if cell.cell_type == "markdown":
        return v4.new_markdown_cell(cell.source, metadata=metadata)
    outputs = cell.outputs if teacher else []
    return v4.new_code_cell(cell.source, metadata=metadata, outputs=outputs)


def filled(notebook, answers):
    """Return a copy of a student's notebook with ``answers`` (name -> code) written in."""
    notebook = nbformat.from_dict(notebook)
    for cell in notebook.cells:
        match = re.match(r"# Your answer to ([\w-]+):", cell.source)
        if match and match[1] in answers:
            cell.source = answers[match[1]]
    return notebook


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapters", nargs="*", help=", ".join(chapters()))
    names = parser.parse_args().chapters or chapters()
    for kind in ("student", "teacher"):
        folder = FOLDER / kind
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            notebook = notebook_of(name, teacher=kind == "teacher")
            nbformat.write(notebook, folder / f"{name}.ipynb")
        print(f"{len(names)} notebooks in {folder.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

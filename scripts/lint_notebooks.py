"""What every page of the book keeps to, beyond what running it shows.

    python -m scripts.lint_notebooks

A rule takes a notebook and yields a message for each breach. nbval compares outputs
when the notebook runs; it passes in silence a cell that never ran, one tagged as
raising that does not raise, and a skipped one, so those are rules here.
"""

import re
import statistics
import sys
from pathlib import PurePosixPath

import nbformat
import yaml

from scripts.notebooks import FOLDERS, ROOT, pages

LONGEST_CELL = 20
LONGEST_MEDIAN = 6
EXERCISES = 6
QUESTIONS = 5
# Words of this project's own early pages that stopped readers.
HABITS = re.compile(
    r"\b(told|otherwise than|for ever(?!y)|by heart|haunts?|shall)\b", re.I
)
SETUP_CELL = (ROOT / "scripts" / "setup_cell.ipy").read_text(encoding="utf-8").strip()


def code_cells(notebook):
    """Yield the name and the cell of each code cell, numbered as nbval does."""
    cells = (cell for cell in notebook.cells if cell.cell_type == "code")
    for number, cell in enumerate(cells):
        yield f"code cell {number}", cell


def tags(cell):
    return cell.metadata.get("tags", [])


def starts_with_setup(notebook):
    """Every notebook opens with the one setup cell of scripts/setup_cell.ipy."""
    first = next((cell for _, cell in code_cells(notebook)), None)
    if first is None or first.source.strip() != SETUP_CELL:
        yield "the first code cell is not scripts/setup_cell.ipy"
        return
    if "nbval-ignore-output" not in tags(first):
        yield "the setup cell lacks the tag nbval-ignore-output: versions differ"
    if "hide-input" not in tags(first):
        yield "the setup cell lacks the tag hide-input: it stands above the picture"


def ran_in_order(notebook):
    """The stored outputs come from one run, from top to bottom."""
    for count, (name, cell) in enumerate(code_cells(notebook), start=1):
        if cell.execution_count is None:
            yield f"{name} never ran"
        elif cell.execution_count != count:
            yield f"{name} has execution count {cell.execution_count}, not {count}"


def nothing_skipped(notebook):
    """No cell opts out of the test run, by tag or by comment."""
    for name, cell in code_cells(notebook):
        for tag in {"nbval-skip", "skip-execution"}.intersection(tags(cell)):
            yield f"{name} is skipped by the tag {tag}"
        if re.search(r"#\s*(NBVAL|PYTEST_VALIDATE)_", cell.source):
            yield f"{name} steers nbval by a comment: use a tag"


def raises_where_tagged(notebook):
    """A cell raises if, and only if, it is tagged raises-exception."""
    for name, cell in code_cells(notebook):
        raised = any(output.output_type == "error" for output in cell.outputs)
        if raised and "raises-exception" not in tags(cell):
            yield f"{name} raised an error"
        if not raised and "raises-exception" in tags(cell):
            yield f"{name} is tagged raises-exception and raised none"


def assertions_print(notebook):
    """A cell that asserts also prints, so that a reader of the page sees what holds."""
    for name, cell in code_cells(notebook):
        if not cell.outputs and re.search(r"^assert\b", cell.source, re.MULTILINE):
            yield f"{name} asserts and shows nothing: print what holds"


def no_addresses(notebook):
    """No output shows where an object lies in memory: it means nothing to a reader."""
    for name, cell in code_cells(notebook):
        for output in cell.outputs:
            texts = [output.get("text", ""), *output.get("data", {}).values()]
            if any(re.search(r"<\S+.* at 0x[0-9a-f]+>", str(text)) for text in texts):
                yield f"{name} shows the address of an object: give it a name"


def short_cells(notebook):
    """A cell is read without scrolling."""
    for name, cell in code_cells(notebook):
        lines = len(cell.source.splitlines())
        if lines > LONGEST_CELL:
            yield f"{name} has {lines} lines, more than {LONGEST_CELL}"


def prose_leads(notebook):
    """In a chapter, code comes in pieces that are taken in at a glance."""
    lengths = [len(cell.source.splitlines()) for _, cell in code_cells(notebook)]
    if statistics.median(lengths or [0]) > LONGEST_MEDIAN:
        yield f"the median code cell is longer than {LONGEST_MEDIAN} lines"


def pictures_described(notebook):
    """Whoever cannot see a picture can read what it shows."""
    for name, cell in code_cells(notebook):
        data = [output.get("data", {}) for output in cell.outputs]
        drawn = any(mime.startswith("image/") for each in data for mime in each)
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        if drawn and not alt.strip():
            yield f"{name} draws a picture without mystnb.image.alt in its metadata"
        for each in data:
            for message in undescribed(each.get("text/html", "")):
                yield f"{name}: {message}"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            yield from undescribed(cell.source)


def captioned(notebook):
    """In a chapter, every figure has a number and a caption, by which text refers to it."""
    for name, cell in code_cells(notebook):
        pictures = (output.get("data", {}) for output in cell.outputs)
        caption = cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", "")
        if any("image/png" in data for data in pictures) and not caption.strip():
            yield f"{name} draws a figure without mystnb.figure.caption in its metadata"


def exercises_and_quiz(notebook):
    """A chapter has exercises and a quiz, which needs no script."""
    text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
    grades = ("Warm-up", "Build", "Explore")
    counts = [
        len(re.findall(rf"^\*\*{grade}[.,]", text, re.MULTILINE)) for grade in grades
    ]
    if sum(counts) < EXERCISES or not all(counts):
        yield f"the exercises are {sum(counts)}, not {EXERCISES} in three grades"
    # A fence of backticks ends where code stands in its first line.
    question = r"^(?::{3,}\{dropdown\} \d\.|`{3,}\{dropdown\} \d\.[^`\n]*$)"
    questions = len(re.findall(question, text, re.MULTILINE))
    if questions < QUESTIONS:
        yield f"the quiz has {questions} questions, not {QUESTIONS}"


def plain_words(notebook):
    """The prose keeps off words that stopped readers."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            yield from unusual(cell.source)


def unusual(text):
    """Yield the words of ``text`` that stopped readers."""
    for match in HABITS.finditer(text):
        yield f"write {match[0]!r} in plainer words"


def undescribed(text):
    """Yield the pictures of Markdown or HTML ``text`` that have no alt text."""
    for match in re.finditer(r"!\[\s*\]\(([^)]*)\)", text):
        yield f"picture without alt text: {match[1]}"
    for match in re.finditer(r"<img\b[^>]*>", text):
        if not re.search(r"\balt\s*=\s*(\"[^\"]*\w|'[^']*\w)", match[0]):
            yield f"picture without alt text: {match[0][:60]}"
    directive = r"^([`:]{3,})\{(?:image|figure)\}(.*)\n((?:(?!\1).*\n)*)"
    for match in re.finditer(directive, text, flags=re.MULTILINE):
        if not re.search(r"^\s*:?alt:\s*\S", match[3], flags=re.MULTILINE):
            yield f"picture without alt text: {match[2].strip()}"


RULES = (
    starts_with_setup,
    ran_in_order,
    nothing_skipped,
    raises_where_tagged,
    assertions_print,
    no_addresses,
    short_cells,
    pictures_described,
    plain_words,
)
CHAPTER_RULES = (*RULES, prose_leads, captioned, exercises_and_quiz)


def lint(notebook, rules=CHAPTER_RULES):
    """Yield every breach of the rules in ``notebook``."""
    for rule in rules:
        yield from rule(notebook)


def listed_pages(table):
    """Yield every page that a table of contents names, at any depth."""
    if isinstance(table, list):
        for entry in table:
            yield from listed_pages(entry)
    elif isinstance(table, dict):
        yield from (table[key] for key in ("root", "file") if key in table)
        yield from listed_pages(list(table.values()))


def contents_agree(table, names):
    """The table of contents names the pages that there are, and no others."""
    listed = {str(PurePosixPath(name).with_suffix("")) for name in listed_pages(table)}
    listed = {name for name in listed if name.startswith(FOLDERS)}
    present = {str(PurePosixPath(name).with_suffix("")) for name in names}
    for name in sorted(present - listed):
        yield f"_toc.yml does not list {name}"
    for name in sorted(listed - present):
        yield f"_toc.yml lists {name}, which is not there"


def breaches():
    """Yield the name of each page of the book with each of its breaches."""
    found = pages(".md", ".ipynb")
    names = [path.relative_to(ROOT).as_posix() for path in found]
    table = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    for message in contents_agree(table, names):
        yield "_toc.yml", message
    for path, name in zip(found, names, strict=True):
        if path.suffix == ".md":
            text = path.read_text(encoding="utf-8")
            messages = (*undescribed(text), *unusual(text))
        else:
            rules = CHAPTER_RULES if name.startswith("chapters/") else RULES
            messages = lint(nbformat.read(path, as_version=4), rules)
        for message in messages:
            yield name, message
    for path in sorted(ROOT.glob("*.md")):
        for message in undescribed(path.read_text(encoding="utf-8")):
            yield path.name, message


def main():
    found = [f"{name}: {message}" for name, message in breaches()]
    sys.exit("\n".join(found) or 0)


if __name__ == "__main__":
    main()

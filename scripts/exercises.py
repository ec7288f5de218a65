"""The exercises of the chapters, found by their structure: what the course is made of.

A chapter states an exercise in an `{exercise}` block, and the code cell after it calls the
exercise's self-check in a comment. The solutions notebook of the same name calls the same
check with the right answer. From the two follow a stub, a cell that checks and the points.
"""

import ast
import functools
import re
from dataclasses import dataclass
from pathlib import PurePosixPath

import nbformat
import yaml

from scripts.lint_notebooks import listed_pages
from scripts.notebooks import ROOT

# A question with letters is worth one point, whatever its grade.
POINTS = {"Warm-up": 1, "Build": 2, "Explore": 3}
BLOCK = re.compile(
    r"`{3}\{exercise\}\n:label: ex-(?P<name>[\w-]+)\n"
    r"\*\*(?P<grade>[\w-]+)(?P<question>, a question)?\."
)
IMPORT = "from nestrade_lib.book import exercises"


@dataclass
class Exercise:
    """One exercise: its place in the chapter, its points, and the cells made of it."""

    chapter: str
    name: str
    grade: str
    is_question: bool  # with letters
    points: int
    place: int  # of the block among the cells of the chapter
    stub: str
    check: str
    worked: list  # the cells of the solution, without the check

    @property
    def answer(self):
        """The code of the solution, as one cell that may stand in place of the stub."""
        code = [cell.source for cell in self.worked if cell.cell_type == "code"]
        return "\n\n".join([self.stub.splitlines()[0], *code]).replace(
            "\n\n\n\n", "\n\n\n"
        )


def chapters():
    """Return the names of the chapters in the order of the book."""
    table = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    pages = map(PurePosixPath, listed_pages(table))
    return [page.name for page in pages if page.parts[0] == "chapters"]


@functools.cache
def exercises_of(chapter):
    """Return the exercises of the chapter of this name, in their order."""
    cells = nbformat.read(ROOT / f"chapters/{chapter}.ipynb", as_version=4).cells
    return [
        _exercise(chapter, place, match, cells)
        for place, cell in enumerate(cells)
        if (match := BLOCK.search(cell.source))
    ]


def _exercise(chapter, place, match, cells):
    name = match["name"]
    points = 1 if match["question"] else POINTS[match["grade"]]
    *setup, line = re.findall(r"^# (.+)$", cells[place + 1].source, re.MULTILINE)
    call = _call(re.sub(r'"?\byour ([\w ]+)"?', _underscored, line))
    worked, right = _solution(chapter, call)
    functions = {
        node.name: node
        for cell in worked
        if cell.cell_type == "code"
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.FunctionDef)
    }
    asked, texts = _answers(name, call, functions)
    stub = [f"# Your answer to {name}: {', '.join(texts)}.", *setup]
    stub += [_stub(variable, functions) for variable in asked]
    values = [*right.args, *(keyword.value for keyword in right.keywords)]
    pairs = [
        (target.id, ast.unparse(value))
        for target, value in zip(call.args, values, strict=True)
        if isinstance(target, ast.Name) and target.id != ast.unparse(value)
    ]
    if pairs:
        targets, sources = map(", ".join, zip(*pairs))
        worked[-1].source = f"{worked[-1].source}\n\n{targets} = {sources}".strip()
    title = f"# Check of {name}, points: {points}. Leave this cell as it is."
    check = f"{title}\n{IMPORT}\n\n{ast.unparse(call)}"
    return Exercise(
        chapter=chapter,
        name=name,
        grade=match["grade"],
        is_question=bool(match["question"]),
        points=points,
        place=place,
        stub="\n".join(stub),
        check=check,
        worked=worked,
    )


def _call(source):
    return ast.parse(source).body[0].value


def _underscored(match):
    return f"your_{match[1].replace(' ', '_')}__"


def _answers(name, call, functions):
    """Give each answer in ``call`` a variable of its own; return these and what to do."""
    variable = name.replace("-", "_")
    several = sum(_is_placeholder(argument) for argument in call.args) > 1
    asked, texts = [], []
    for place, argument in enumerate(call.args):
        text = ast.unparse(argument)
        if _is_placeholder(argument):
            words = text.strip("_").replace("_", " ")
            target = variable
            if several:
                target += "_" + text.strip("_").removeprefix("your_")
            call.args[place] = ast.Name(target)
            asked.append(target)
            texts.append(f"set {target} to {words}")
        elif isinstance(argument, ast.Name) and not _is_given(text):
            asked.append(text)
            texts.append(f"{'write' if text in functions else 'set'} {text}")
    return asked, texts or [f"make {ast.unparse(call.args[-1])} pass"]


def _is_placeholder(argument):
    """Whether an argument stands for a value: `your letter`, `[first, second]`."""
    if isinstance(argument, ast.Name):
        return argument.id.endswith("__")
    return isinstance(argument, ast.List)


def _is_given(name):
    """Whether the chapter has the object already: its test data, its classes."""
    return name in ("x", "x_test", "y_test") or name[0].isupper()


def _stub(variable, functions):
    if variable not in functions:
        return f"{variable} = None"
    return f"def {variable}({ast.unparse(functions[variable].args)}):\n    ..."


def _solution(chapter, call):
    """Return the cells of the solution that calls the same check, and its call."""
    path = ROOT / f"appendix/solutions/{chapter}.ipynb"
    block = []
    for cell in nbformat.read(path, as_version=4).cells[2:]:
        if cell.cell_type == "markdown" and re.search(
            "^## ", cell.source, re.MULTILINE
        ):
            block = []
        block.append(cell)
        if cell.cell_type != "code":
            continue
        for node in ast.parse(cell.source).body:
            found = getattr(node, "value", None)
            if isinstance(node, ast.Expr) and _same_check(found, call):
                lines = cell.source.splitlines()
                del lines[node.lineno - 1 : node.end_lineno]
                lines = [line for line in lines if line != IMPORT]
                cell.source = "\n".join(lines).strip()
                return block, found
    raise ValueError(f"{path} has no solution that calls {ast.unparse(call)}.")


def _same_check(found, call):
    if not isinstance(found, ast.Call) or ast.unparse(found.func) != ast.unparse(
        call.func
    ):
        return False
    question = [a.value for a in call.args if isinstance(a, ast.Constant)]
    return not question or found.args[0].value == question[0]

"""The checks bite: whatever a notebook may get wrong, one of them says so."""

import os
import re
import subprocess
import sys

import nbformat
import pytest
from nbformat import v4

from scripts import jupyter_book_2, lint_notebooks
from scripts.execute_notebooks import execute
from scripts.mutation_check import mutations
from scripts.notebooks import ROOT
from tests.conftest import LONGEST

# The code cells of a small chapter, and what each is there for.
ALT = {"alt": "A line that rises from 1 to 2."}
DRAWN = {"mystnb": {"image": ALT, "figure": {"caption": "A line."}}}
TO_DO = "\n".join(
    [f"**{grade}.** Add." for grade in ("Warm-up", "Build", "Explore") for _ in "12"]
    + [f"```{{dropdown}} {n}. What is 1 + 1?\n2\n```" for n in range(1, 6)]
)
CELLS = [
    v4.new_code_cell("import sys"),
    v4.new_code_cell("print('the sum is', 1 + 1)"),
    v4.new_code_cell("[][0]", metadata={"tags": ["raises-exception"]}),
    v4.new_code_cell("print('≈ 98.97 %')"),
    v4.new_code_cell(
        "import matplotlib.pyplot as plt\n\nplt.plot([1, 2])\nplt.show()",
        metadata=DRAWN,
    ),
]
SUM, ERROR, ROUGHLY, PICTURE = 1, 2, 3, 4


def code_cell(notebook, number):
    return [cell for _, cell in lint_notebooks.code_cells(notebook)][number]


@pytest.fixture(scope="module")
def chapter(tmp_path_factory):
    """A small chapter, executed as `make notebooks` does."""
    path = tmp_path_factory.mktemp("book") / "chapter.ipynb"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [v4.new_markdown_cell(f"# A small chapter\n\n{TO_DO}"), *CELLS]
    nbformat.write(v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    path.write_text(execute(path), encoding="utf-8")
    return path


def test_second_execution_changes_no_byte(chapter):
    assert execute(chapter) == chapter.read_text(encoding="utf-8")


# What the test run catches


def failures(folder):
    """Run the notebooks of ``folder`` as `make test` does; return what failed."""
    command = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml"]
    run = subprocess.run(
        [*command, "--rootdir", folder, "-p", "no:cacheprovider", "-rf", folder],
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode in (0, 1), run.stdout + run.stderr
    return set(re.findall(r"FAILED \S*?(\w+)\.ipynb::Cell (\d)", run.stdout))


def test_the_test_run_fails_on_each_spoiled_copy_and_no_other(chapter, tmp_path):
    def copy_with(name, cell, **changes):
        notebook = nbformat.read(chapter, as_version=4)
        code_cell(notebook, cell).update(changes)
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")

    def printed(text):
        return [v4.new_output("stream", text=text)]

    copy_with("good", SUM)
    copy_with("another_machine", ROUGHLY, outputs=printed("≈ 98.89 %\n"))
    copy_with("altered", SUM, outputs=printed("the sum is 3\n"))
    copy_with("lost", SUM, outputs=[])
    copy_with("raised", SUM, source="print('the sum is', 1 / 0)")
    copy_with("another_error", ERROR, source="1 / 0")
    copy_with("no_error", ERROR, source="[0][0]")
    copy_with("nothing_drawn", PICTURE, source="None")
    assert failures(tmp_path) == {
        ("altered", str(SUM)),
        ("lost", str(SUM)),
        ("raised", str(SUM)),
        ("another_error", str(ERROR)),
        ("no_error", str(ERROR)),
        ("nothing_drawn", str(PICTURE)),
    }


# What the lint catches


@pytest.fixture
def notebook(chapter):
    """The small chapter with the setup cell that every chapter opens with."""
    notebook = nbformat.read(chapter, as_version=4)
    source = lint_notebooks.SETUP_CELL
    metadata = {"tags": ["nbval-ignore-output", "hide-input"]}
    code_cell(notebook, 0).update(source=source, metadata=metadata, outputs=[])
    return notebook


def test_lint_passes_what_holds(notebook):
    assert list(lint_notebooks.lint(notebook)) == []


LINES_21 = "\n".join(["1"] * 21)
PNG_TAG = "<img src='a.png'>"
ADDRESS = "<keras.src.History object at 0x7f8a>"
SPOILED_CELLS = [
    ("setup_cell.ipy", 0, {"source": "import nestrade_lib"}),
    ("nbval-ignore-output", 0, {"metadata": {"tags": ["hide-input"]}}),
    ("hide-input", 0, {"metadata": {"tags": ["nbval-ignore-output"]}}),
    ("print what holds", SUM, {"source": "assert True", "outputs": []}),
    ("never ran", SUM, {"execution_count": None, "outputs": []}),
    ("execution count 7", SUM, {"execution_count": 7}),
    ("nbval-skip", SUM, {"metadata": {"tags": ["nbval-skip"]}}),
    ("skip-execution", SUM, {"metadata": {"tags": ["skip-execution"]}}),
    ("by a comment", SUM, {"source": "1  # NBVAL_IGNORE_OUTPUT"}),
    ("raised an error", ERROR, {"metadata": {}}),
    ("raised none", ERROR, {"outputs": []}),
    (
        "the address",
        SUM,
        {"outputs": [v4.new_output("display_data", {"text/plain": ADDRESS})]},
    ),
    ("21 lines", SUM, {"source": LINES_21}),
    ("figure.caption", PICTURE, {"metadata": {"mystnb": {"image": ALT}}}),
    (
        "mystnb.image.alt",
        PICTURE,
        {"metadata": {"mystnb": {**DRAWN["mystnb"], "image": {"alt": " "}}}},
    ),
    (
        "without alt text",
        SUM,
        {"outputs": [v4.new_output("display_data", {"text/html": PNG_TAG})]},
    ),
]


@pytest.mark.parametrize("message, cell, changes", SPOILED_CELLS)
def test_lint_names_what_is_wrong_with_a_cell(notebook, message, cell, changes):
    code_cell(notebook, cell).update(nbformat.from_dict(changes))
    found = list(lint_notebooks.lint(notebook))
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize(
    "before, after, message",
    [
        ("**Build.**", "**Buy.**", "the exercises are 4"),
        ("**Build.** Add.\n", "", "the exercises are 4"),
        ("{dropdown} 5. ", "{dropdown} ", "the quiz has 4 questions"),
        ("{dropdown} 5. ", "{dropdown} 5. `x` ", "the quiz has 4 questions"),
        ("What is", "We told you of", "'told' in plainer words"),
    ],
)
def test_lint_names_what_is_wrong_with_the_text(notebook, before, after, message):
    text = notebook.cells[0]
    text.source = text.source.replace(before, after)
    assert any(message in found for found in lint_notebooks.lint(notebook))


def test_lint_holds_the_median_cell_to_six_lines(notebook):
    for _, cell in lint_notebooks.code_cells(notebook):
        if cell.source != lint_notebooks.SETUP_CELL:
            cell.source = "\n".join(["1"] * 7)
    assert any("median" in message for message in lint_notebooks.lint(notebook))


@pytest.mark.parametrize(
    "bare, described",
    [
        ("![](a.png)", "![A falling curve](a.png)"),
        ("![ ](a.png)", "[![Open in Colab](a.svg)](b)"),
        (PNG_TAG, "<img alt='A falling curve' src='a.png'>"),
        ("<img alt='' src='a.png'>", '<img src="a.png" alt="A curve">'),
        (
            "```{figure} a.png\n:width: 50%\nCaption\n```\n",
            "```{figure} a.png\n:alt: A falling curve\nCaption\n```\n",
        ),
        (
            ":::{image} a.png\n:::\n\n:alt: elsewhere\n",
            ":::{image} a.png\n:alt: A falling curve\n:::\n",
        ),
    ],
)
def test_lint_finds_pictures_without_alt_text(notebook, bare, described):
    notebook.cells.append(v4.new_markdown_cell(described))
    assert list(lint_notebooks.lint(notebook)) == []
    notebook.cells.append(v4.new_markdown_cell(f"Some text.\n\n{bare}"))
    assert len(list(lint_notebooks.lint(notebook))) == 1


def test_lint_compares_the_table_of_contents_with_the_folders():
    parts = [{"chapters": [{"file": "chapters/one"}, {"file": "appendix/map.md"}]}]
    table = {"root": "intro", "parts": parts}
    pages = ["chapters/one.ipynb", "appendix/map.md"]
    assert list(lint_notebooks.contents_agree(table, pages)) == []
    assert list(lint_notebooks.contents_agree(table, pages[1:])) == [
        "_toc.yml lists chapters/one, which is not there"
    ]
    assert list(lint_notebooks.contents_agree(table, [*pages, "chapters/two.md"])) == [
        "_toc.yml does not list chapters/two"
    ]


# The library


def test_importing_the_library_loads_no_backend():
    program = """
import sys
import nestrade_lib
heavy = {"keras", "tensorflow", "jax", "torch", "numpy", "matplotlib"}
print(sorted(heavy.intersection(sys.modules)))
"""
    run = [sys.executable, "-c", program]
    output = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)
    assert output.stdout == "[]\n"


# The order of the tests


def test_the_longest_files_are_there():
    assert all((ROOT / name).is_file() for name in LONGEST)


MUTATIONS = mutations()


@pytest.mark.parametrize("name", MUTATIONS)
def test_what_a_seeded_fault_replaces_is_there_once(name):
    text = (ROOT / MUTATIONS[name]["file"]).read_text(encoding="utf-8")
    assert text.count(MUTATIONS[name]["old"]) == 1
    for test in MUTATIONS[name]["tests"]:
        file, function = test.split("[")[0].split("::")
        assert f"def {function}(" in (ROOT / file).read_text(encoding="utf-8")


def test_jupyter_book_2_may_not_know_what_is_listed_and_nothing_else():
    said = """building
⛔️ intro.md:25 unknown directive: button-ref
⛔️ chapters/one.ipynb:3 unknown directive: button-ref
⚠️  appendix/references.md:6 unexpected option "all" provided (in bibliography)
"""
    (error,) = jupyter_book_2.unknown(said)
    assert error.startswith("chapters/one.ipynb:3")

"""The package as it is installed: its version, its dependencies, its parts."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import nestrade_lib
from nestrade_lib import cluster, engines, training
from nestrade_lib.book import plots
from scripts import lint_library, module_map

ROOT = Path(__file__).resolve().parent.parent


def output_of(program):
    """What ``program`` prints in a Python that finds no matplotlib and no ipywidgets."""
    block = "import sys; sys.modules.update(matplotlib=None, ipywidgets=None)\n"
    run = [sys.executable, "-c", block + program]
    return subprocess.run(
        run, cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


def test_the_citation_has_the_version_of_the_package():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    version = re.search(r"^version: (\S+)$", citation, re.MULTILINE)
    assert version[1] == nestrade_lib.__version__


def test_the_library_needs_neither_matplotlib_nor_the_book():
    program = """
import importlib, pkgutil, nestrade_lib
# It looks into packages by importing them, and passes over one that cannot be imported.
for module in pkgutil.walk_packages(nestrade_lib.__path__, "nestrade_lib."):
    if module.name.endswith(("book", "__main__")) or ".book." in module.name:
        continue
    importlib.import_module(module.name)
print([name for name in sys.modules if "nestrade_lib.book" in name])
"""
    assert output_of(program) == "[]\n"


def test_an_installed_library_has_every_file_of_the_source(tmp_path):
    library = ROOT / "nestrade_lib"
    shutil.copytree(library, tmp_path / library.name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    offline = ["--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*command, *offline, "--wheel-dir", tmp_path, tmp_path], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    tracked = ["git", "ls-files", "nestrade_lib"]
    files = subprocess.run(
        tracked, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(files.stdout.split()) <= set(zipfile.ZipFile(wheel).namelist())


def test_the_book_says_how_to_install_what_it_draws_with():
    program = """
try:
    import nestrade_lib.book.plots
except ModuleNotFoundError as error:
    print(error.name, "nestrade-lib[book]" in str(error))
"""
    assert output_of(program) == "matplotlib True\n"


@pytest.mark.parametrize("package", [nestrade_lib, training, engines, cluster, plots])
def test_every_name_that_a_stub_states_is_there(package):
    assert package.__all__
    for name in package.__all__:
        assert getattr(package, name).__name__ == name


def test_lint_finds_long_files_and_unfinished_first_lines(tmp_path):
    library = tmp_path / "library"
    library.mkdir()
    (library / "right.py").write_text('"""One idea."""\n')
    (library / "long.py").write_text('"""One idea."""\n' + 300 * "x = 1\n")
    (library / "split.py").write_text('"""One idea, which\ngoes on."""\n')
    assert list(lint_library.breaches(library)) == [
        "library/long.py has 301 lines, more than 300",
        "library/split.py: the docstring's first line is not one whole sentence",
    ]


def test_the_map_has_each_module_and_package(tmp_path):
    inner = tmp_path / "library" / "inner"
    inner.mkdir(parents=True)
    for path in (inner.parent / "__init__.py", inner / "__init__.py", inner / "a.py"):
        path.write_text(f'"""What {path.parent.name}/{path.name} is."""\n')
    rows = module_map.module_map(inner.parent).splitlines()
    assert "| `inner/` | What inner/__init__.py is. |" in rows
    assert rows[-2] == "| `a.py` | What inner/a.py is. |"

"""Say whether the pages parse in Jupyter Book 2, which the book is not built with.

    python -m scripts.jupyter_book_2

needs node, and npm's registry once. Jupyter Book 2 is made on mystmd, which reads a copy
of the pages with its own table of contents; no theme is fetched and nothing is built here.
What it cannot know is listed below with the reason. Any other error fails.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from scripts.lint_notebooks import listed_pages
from scripts.notebooks import FOLDERS, ROOT

VERSION = "1.8.3"
TOOLS = ROOT / "_build" / f"mystmd-{VERSION}"
KNOWN = (
    r"intro\.md:\d+ unknown directive: button-(ref|link)",  # of sphinx-design
    r"appendix/api\.md:\d+ unknown directive: eval-rst",  # the docstrings, by autodoc
    r"appendix/playground\.md:\d+ unknown directive: playground",  # of _ext/
    r"appendix/glossary\.md:\d+ Unexpected node",  # it wants terms as definition lists
)
# A theme that is there, so that none is looked for.
NO_THEME = {
    "jtex": "v1",
    "title": "None",
    "kind": "site",
    "version": "1.0.0",
    "build": {"install": "", "start": ""},
}


def project(pages):
    """Return the project file that Jupyter Book 2 wants, with these pages."""
    return {
        "version": 1,
        "project": {
            "title": "Nestrade",
            "bibliography": ["references.bib"],
            "toc": [{"file": page} for page in pages],
        },
        "site": {"title": "Nestrade", "template": "./theme"},
    }


def copied(folder):
    """Copy the pages into ``folder``, with a project file; return their names."""
    for name in (*FOLDERS, "assets"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("intro.md", "references.bib"):
        shutil.copy(ROOT / name, folder)
    table = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    pages = [
        next(
            page
            for page in (f"{name}.md", f"{name}.ipynb")
            if (folder / page).is_file()
        )
        for name in listed_pages(table)
    ]
    (folder / "theme").mkdir()
    (folder / "theme/template.yml").write_text(yaml.safe_dump(NO_THEME))
    (folder / "theme/server.js").write_text("")
    (folder / "myst.yml").write_text(yaml.safe_dump(project(pages)))
    return pages


def unknown(said):
    """Return the errors in what mystmd has said that are not among the known ones."""
    errors = re.findall(r"^⛔\ufe0f? *(.+)", said, re.MULTILINE)
    return [e for e in errors if not any(re.match(known, e) for known in KNOWN)]


def main():
    if shutil.which("npm") is None:
        sys.exit("jupyter-book-2: expected node and npm on the PATH.")
    command = TOOLS / "node_modules/.bin/myst"
    if not command.exists():
        install = ["npm", "install", "--silent", "--no-fund", "--no-audit"]
        install += ["--ignore-scripts", "--prefix", TOOLS, f"mystmd@{VERSION}"]
        subprocess.run(install, check=True)
    with tempfile.TemporaryDirectory() as folder:
        pages = copied(Path(folder))
        run = [command, "build", "--site", "--ci"]
        done = subprocess.run(run, cwd=folder, capture_output=True, text=True)
        written = list(Path(folder, "_build/site/content").glob("*.json"))
    said = done.stdout + done.stderr
    errors = unknown(said)
    if done.returncode or len(written) != len(pages):
        errors.append(
            f"expected {len(pages)} pages, got {len(written)}:\n{said[-2000:]}"
        )
    if errors:
        sys.exit("\n".join(f"jupyter-book-2: {error}" for error in errors))
    print(f"{len(pages)} pages parse in Jupyter Book 2 (mystmd {VERSION})")


if __name__ == "__main__":
    main()

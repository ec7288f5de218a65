"""Write the map of the library into CONTRIBUTING.md, from its modules' first lines.

python scripts/module_map.py            write it
python scripts/module_map.py --check    fail where the map is not what the modules say
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "CONTRIBUTING.md"
PART = re.compile(r"(?<=<!-- module map -->\n).*(?=<!-- end of the map -->)", re.DOTALL)


def summary(path):
    """Return the first line of a module's docstring, or of a package's."""
    source = path / "__init__.py" if path.is_dir() else path
    text = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8")))
    return (text or "").partition("\n")[0].replace("|", r"\|")


def rows(package):
    """Yield a row of the map for each module and each package inside ``package``."""
    for path in sorted(package.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        if (path / "__init__.py").is_file():
            yield f"| `{path.name}/` | {summary(path)} |"
        elif path.suffix == ".py" and path.name != "__init__.py":
            yield f"| `{path.name}` | {summary(path)} |"


def module_map(library):
    """Return the map: a table for the library, and one for each package in it."""
    packages = sorted(path.parent for path in library.glob("*/__init__.py"))
    tables = []
    for package in (library, *packages):
        name = package.relative_to(library.parent).as_posix()
        tables.append("\n".join([f"| `{name}/` | |", "|---|---|", *rows(package)]))
    return "\n" + "\n\n".join(tables) + "\n\n"


def main(arguments):
    page = PAGE.read_text(encoding="utf-8")
    fresh = PART.sub(lambda _: module_map(ROOT / "nestrade_lib"), page)
    if arguments == ["--check"]:
        if fresh != page:
            sys.exit("CONTRIBUTING.md: run `make map`, the modules have changed.")
    else:
        PAGE.write_text(fresh, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(sys.argv[1:])

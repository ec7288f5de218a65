"""Where the book's notebooks are: found by folder, never listed."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("chapters", "appendix")


def pages(*suffixes, root=ROOT):
    """Return the pages of the book that end in one of ``suffixes``, sorted."""
    return sorted(
        path
        for folder in FOLDERS
        for path in (root / folder).rglob("*")
        if path.suffix in suffixes and ".ipynb_checkpoints" not in path.parts
    )

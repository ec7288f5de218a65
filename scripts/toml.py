"""TOML on every Python that the book supports."""

import sys

if sys.version_info >= (3, 11):
    import tomllib
else:  # which pytest brings along there
    import tomli as tomllib


def read_toml(path):
    """The tables of a file."""
    return tomllib.loads(path.read_text(encoding="utf-8"))

"""Public names of a package that are imported when they are first used."""

import ast
import importlib
from pathlib import Path


def attach_stub(package, filename):
    """Make the ``__getattr__``, ``__dir__`` and ``__all__`` of a package from its stub.

    The stub, ``__init__.pyi`` beside ``filename``, holds ``from .module import name as
    name`` lines alone, so that editors see what Python imports when it is first used.

    >>> import nestrade_lib
    >>> find, _, names = attach_stub("nestrade_lib", nestrade_lib.__file__)
    >>> "count_costs" in names, find("count_costs").__name__
    (True, 'count_costs')
    """
    stub = ast.parse(Path(filename).with_suffix(".pyi").read_text(encoding="utf-8"))
    module_of = {
        alias.name: f"{package}.{line.module}"
        for line in stub.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
    }
    names = sorted(module_of)

    def find(name):
        if name not in module_of:
            raise AttributeError(
                f"{package} has no {name!r}. It has: {', '.join(names)}."
            )
        return getattr(importlib.import_module(module_of[name]), name)

    return find, lambda: names, names

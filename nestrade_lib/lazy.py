"""Public names of a package that are imported when they are first used."""

import importlib


def lazy_names(package, home):
    """Give a package's ``__all__``, ``__getattr__`` and ``__dir__`` (PEP 562).

    Parameters
    ----------
    package : str
        Its ``__name__``.
    home : dict of str to str
        For each public name, the module of the package that defines it.

    Returns
    -------
    (list of str, callable, callable)

    Examples
    --------
    >>> names, find, _ = lazy_names("nestrade_lib", {"count_costs": "costs"})
    >>> names, find("count_costs").__name__
    (['count_costs'], 'count_costs')
    """
    names = sorted(home)

    def find(name):
        if name not in home:
            raise AttributeError(
                f"{package} has no {name!r}. It has: {', '.join(names)}."
            )
        return getattr(importlib.import_module(f"{package}.{home[name]}"), name)

    return names, find, lambda: names

"""What the book adds to the library: figures, sliders, self-checks and a simulator.

The library itself never imports this package. It needs the extra ``book``
(``pip install "nestrade-lib[book]"``): matplotlib and ipywidgets.
"""

from importlib.util import find_spec

if find_spec("matplotlib") is None:
    raise ModuleNotFoundError(
        "nestrade_lib.book draws with matplotlib, which is not installed. "
        "Install the book's extra: pip install 'nestrade-lib[book]'",
        name="matplotlib",
    )

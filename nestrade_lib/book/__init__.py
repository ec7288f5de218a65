"""What the book adds to the library: figures, sliders, self-checks and a simulator.

The library itself never imports this package. It needs the extra ``book``
(``pip install "nestrade-lib[book]"``): matplotlib and ipywidgets.
"""

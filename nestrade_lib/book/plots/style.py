"""One palette, small figures, on paper that a dark page can hold.

The colours are Okabe and Ito's, which the colour-blind tell apart.
"""

import contextlib
from collections.abc import Iterator

import matplotlib.pyplot as plt
from matplotlib.rcsetup import cycler

BLUE, ORANGE, GREEN, RED, PURPLE, SKY = (
    "#0072B2", "#D55E00", "#009E73", "#CC3311", "#AA4499", "#56B4E9",
)  # fmt: skip
INK, PAPER = "#262626", "#FFFFFF"
LIGHT_ORANGE, GREY = "#F08A5D", "#D9D9D9"

# One meaning for each colour. Blue and orange are training and test, or the negative and
# positive sign of a weight; in pictures of time, blue computes and orange is what makes it
# wait, each with a lighter shade. A cost has its own colour wherever it is drawn.
COST_COLOURS = {
    "params": GREEN,
    "macs": PURPLE,
    "activation_bytes": SKY,
    "latency": RED,
}
COST_NAMES = {
    "params": "parameters",
    "macs": "MACs",
    "activation_bytes": "activation bytes",
    "latency": "latency",
}

_STYLE: dict = {
    "axes.edgecolor": INK,
    "axes.facecolor": PAPER,
    "axes.labelcolor": INK,
    "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, PURPLE, RED, SKY]),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.dpi": 200,  # sharp on a phone; pages show an inch as 100 pixels
    "figure.facecolor": PAPER,
    "font.size": 10.5,
    "legend.frameon": False,
    "savefig.facecolor": PAPER,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw in the book's style inside a ``with`` block.

    Examples
    --------
    >>> with style():
    ...     figure, axes = plt.subplots()
    >>> plt.close(figure)
    """
    with plt.rc_context(_STYLE):
        yield

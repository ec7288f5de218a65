"""Pictures that move without a kernel: a slider linked to pictures drawn before.

The link runs in the page, so that a static book moves as a notebook does. A picture
in a widget cannot carry alt text: show the same content as a figure beside it.

>>> import matplotlib.pyplot as plt
>>> slider = picture_slider({"0": plt.figure(), "1": plt.figure()}, "strength")
>>> slider.children[0].options
('0', '1')
"""

import io
from collections.abc import Callable, Mapping, Sequence

import ipywidgets
import matplotlib.pyplot as plt
from matplotlib.figure import Figure


def picture_slider(pictures: Mapping[str, Figure], name: str) -> ipywidgets.VBox:
    """Make a slider over figures.

    Parameters
    ----------
    pictures : dict of str to matplotlib.figure.Figure
        By the label that the slider shows. The figures are closed.
    name : str
        What the slider sets.

    Returns
    -------
    ipywidgets.VBox
        The slider above the pictures. Where ipywidgets is older than version 8 and
        has no ``Stack``, the pictures are tabs, one behind the other.

    Raises
    ------
    ValueError
        If there is no picture.

    Examples
    --------
    See the module's.
    """
    if not pictures:
        raise ValueError("pictures: expected at least one figure, got none.")
    return picture_sliders(pictures.get, {name: list(pictures)})


def picture_sliders(
    draw: Callable[..., Figure], settings: Mapping[str, Sequence]
) -> ipywidgets.VBox:
    """Make several sliders over figures, one for each combination of their settings.

    Parameters
    ----------
    draw : callable
        Takes a value of each slider and returns a `matplotlib.figure.Figure`. They are
        drawn once, here, and closed.
    settings : dict of str to sequence
        By what the slider sets, the values that it has.

    Returns
    -------
    ipywidgets.VBox
        The sliders above the pictures, which lie in stacks within stacks.

    Raises
    ------
    ValueError
        If there is no slider, or one without values.

    Examples
    --------
    >>> def draw(devices, network):
    ...     return plt.figure()
    >>> sliders = picture_sliders(draw, {"devices": (1, 2), "network": ("small", "large")})
    >>> [slider.options for slider in sliders.children[:2]]
    [('1', '2'), ('small', 'large')]
    """
    if not settings or not all(len(values) for values in settings.values()):
        raise ValueError(
            f"settings: expected sliders with at least one value each, got {settings!r}."
        )
    stacks = [[] for _ in settings]  # those that each slider moves
    options = list(settings.values())

    def page(*chosen):
        depth = len(chosen)
        if depth == len(options):
            layout = ipywidgets.Layout(max_width="100%")
            return ipywidgets.Image(
                value=_png(draw(*chosen)), format="png", layout=layout
            )
        children = [page(*chosen, value) for value in options[depth]]
        stack = getattr(ipywidgets, "Stack", ipywidgets.Tab)(children=children)
        stack.selected_index = 0
        stacks[depth].append(stack)
        return stack

    pages, sliders = page(), []
    for (name, values), moved in zip(settings.items(), stacks, strict=True):
        slider = ipywidgets.SelectionSlider(
            options=[str(value) for value in values],
            description=name,
            layout=ipywidgets.Layout(width="100%", max_width="30em"),
            style={"description_width": "initial"},
        )
        for stack in moved:
            ipywidgets.jslink((slider, "index"), (stack, "selected_index"))
        sliders.append(slider)
    return ipywidgets.VBox([*sliders, pages])


def _png(figure):
    """The figure's picture, without the date and version that a file would carry."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=140, metadata={"Software": None})
    plt.close(figure)
    return stream.getvalue()

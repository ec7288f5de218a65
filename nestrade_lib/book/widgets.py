"""Sliders over pictures drawn before, which need no kernel; and live ones, which draw.

Those over pictures are plain HTML, so that they work in a notebook, in the built book,
from a file, and by keyboard alone. Show the same content as a figure beside them, for
paper. Live sliders are those of ipywidgets.

>>> import matplotlib.pyplot as plt
>>> picture_slider({"0": plt.figure(), "1": plt.figure()}, "strength")
sliders over 2 pictures: strength (0, 1)
"""

import base64
import html
import io
import itertools
import json
from collections.abc import Callable, Mapping, Sequence

import ipywidgets
import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

# Runs where a slider moves: says its value, and shows the one picture for all values.
_MOVED = (
    "const box = this.closest('.picture-sliders'); let chosen = 0;"
    "for (const slider of box.querySelectorAll('input')) {"
    " const values = JSON.parse(slider.dataset.values);"
    " chosen = chosen * values.length + Number(slider.value);"
    " slider.nextElementSibling.value = values[slider.value];"
    " slider.setAttribute('aria-valuetext', values[slider.value]); }"
    "box.querySelectorAll('img').forEach((picture, n) => {"
    " picture.style.display = n === chosen ? 'block' : 'none'; });"
)


class PictureSliders:
    """Sliders above pictures, one for each combination of their values.

    Attributes
    ----------
    settings : dict of str to list of str
        By the slider's name, its values.
    pictures : list of bytes
        WebP files, in the order of the combinations, the last slider's value first.
    """

    def __init__(self, settings: Mapping[str, list[str]], pictures: list[bytes]):
        self.settings = dict(settings)
        self.pictures = pictures

    def __repr__(self):
        named = [f"{name} ({', '.join(of)})" for name, of in self.settings.items()]
        return f"sliders over {len(self.pictures)} pictures: {'; '.join(named)}"

    def _repr_html_(self):
        sliders = [
            '<label style="display: block; max-width: 30em">'
            f"{html.escape(name)} "
            f'<input type="range" min="0" max="{len(values) - 1}" value="0" '
            f'style="width: 100%" aria-valuetext="{html.escape(values[0])}" '
            f'data-values="{html.escape(json.dumps(values))}" oninput="{_MOVED}">'
            f"<output>{html.escape(values[0])}</output></label>"
            for name, values in self.settings.items()
        ]
        combinations = itertools.product(*self.settings.values())
        pictures = []
        for n, (values, picture) in enumerate(
            zip(combinations, self.pictures, strict=True)
        ):
            alt = ", ".join(f"{k}: {v}" for k, v in zip(self.settings, values))
            pictures.append(
                f'<img style="display: {"none" if n else "block"}; max-width: 100%" '
                f'alt="{html.escape(alt)}" '
                f'src="data:image/webp;base64,{base64.b64encode(picture).decode()}">'
            )
        return f'<div class="picture-sliders">{"".join(sliders + pictures)}</div>'


def picture_slider(pictures: Mapping[str, Figure], name: str) -> PictureSliders:
    """Make a slider over figures.

    Parameters
    ----------
    pictures : dict of str to matplotlib.figure.Figure
        By the label that the slider shows. The figures are closed.
    name : str
        What the slider sets.

    Returns
    -------
    PictureSliders

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
) -> PictureSliders:
    """Make several sliders over figures, one for each combination of their settings.

    Parameters
    ----------
    draw : callable
        Takes a value of each slider and returns a `matplotlib.figure.Figure`. Each
        figure is drawn once, here, and closed.
    settings : dict of str to sequence
        By what the slider sets, the values that it has.

    Returns
    -------
    PictureSliders

    Raises
    ------
    ValueError
        If there is no slider, or one without values.

    Examples
    --------
    >>> def draw(devices, network):
    ...     return plt.figure()
    >>> picture_sliders(draw, {"devices": (1, 2), "network": ("small", "large")})
    sliders over 4 pictures: devices (1, 2); network (small, large)
    """
    if not settings or not all(len(values) for values in settings.values()):
        raise ValueError(
            f"settings: expected sliders with at least one value each, got {settings!r}."
        )
    pictures = [
        _webp(draw(*chosen)) for chosen in itertools.product(*settings.values())
    ]
    labels = {name: [str(value) for value in of] for name, of in settings.items()}
    return PictureSliders(labels, pictures)


def live(draw: Callable[..., Figure], **sliders) -> ipywidgets.interactive:
    """Make sliders that draw a new figure at any value, with a running kernel.

    Parameters
    ----------
    draw : callable
        Takes a value of each slider by its name and returns a `matplotlib.figure.Figure`.
    **sliders : ipywidgets.Widget or tuple or list
        What ``ipywidgets.interactive`` makes a control of, as ``(least, most, step)``.

    Returns
    -------
    ipywidgets.interactive

    Raises
    ------
    ValueError
        If there is no slider.

    Examples
    --------
    >>> import contextlib
    >>> with contextlib.redirect_stdout(None):  # it clears a screen if there is no kernel
    ...     sliders = live(lambda devices: plt.figure(), devices=(1, 8))
    >>> sliders.children[0].min, sliders.children[0].max
    (1, 8)
    """
    if not sliders:
        raise ValueError("sliders: expected at least one, as devices=(1, 8), got none.")

    def show(**values):
        draw(**values)
        plt.show()

    return ipywidgets.interactive(show, **sliders)


def _webp(figure):
    """The figure as a WebP file of few colours: a page holds dozens of them."""
    drawn, stream = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100)
    plt.close(figure)
    picture = Image.open(drawn).convert("RGB").quantize(16).convert("RGB")
    picture.save(stream, "WEBP", lossless=True, method=6)
    return stream.getvalue()

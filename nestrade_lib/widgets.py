"""Pictures that move without a kernel: a slider linked to pictures drawn before.

The link runs in the page, so that a static book moves as a notebook does. A picture
in a widget cannot carry alt text: show the same content as a figure beside it.

>>> import matplotlib.pyplot as plt
>>> slider = picture_slider({"0": plt.figure(), "1": plt.figure()}, "strength")
>>> slider.children[0].options
('0', '1')
"""

import io

import matplotlib.pyplot as plt


def picture_slider(pictures, name):
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
    import ipywidgets

    if not pictures:
        raise ValueError("pictures: expected at least one figure, got none.")
    images = [
        ipywidgets.Image(
            value=_png(figure), format="png", layout=ipywidgets.Layout(max_width="100%")
        )
        for figure in pictures.values()
    ]
    pages = getattr(ipywidgets, "Stack", ipywidgets.Tab)(children=images)
    pages.selected_index = 0
    slider = ipywidgets.SelectionSlider(
        options=list(pictures),
        description=name,
        layout=ipywidgets.Layout(width="100%", max_width="30em"),
        style={"description_width": "initial"},
    )
    ipywidgets.jslink((slider, "index"), (pages, "selected_index"))
    return ipywidgets.VBox([slider, pages])


def _png(figure):
    """The figure's picture, without the date and version that a file would carry."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=140, metadata={"Software": None})
    plt.close(figure)
    return stream.getvalue()

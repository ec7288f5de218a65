"""The figures of code cells: sharp on every screen, and light.

They are drawn with more pixels than a page has. So each is shown at its size in inches,
with 100 of the page's pixels an inch, and stored with a palette where that looks the same.
"""

from io import BytesIO
from pathlib import Path

from docutils import nodes
from PIL import Image, ImageChops


def with_palette(png):
    """Return the PNG file `png` with a palette, where that is smaller and looks the same.

    Few figures have more than 256 colours; the palette then takes the nearest, and no
    channel may move by more than 9 of 255, which no eye sees.
    """
    image = Image.open(BytesIO(png))
    if image.mode == "P" or image.convert("RGBA").getextrema()[3][0] < 255:
        return png  # it has one already, or something shines through
    dpi = image.info.get("dpi", (100, 100))
    image = image.convert("RGB")
    coded = image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    moved = ImageChops.difference(image, coded.convert("RGB")).getextrema()
    out = BytesIO()
    coded.save(out, "PNG", optimize=True, dpi=dpi)
    same = max(most for _, most in moved) <= 9
    return min(png, out.getvalue(), key=len) if same else png


def is_from_cell(app, uri):
    """Whether an image lies in the build folder, where myst-nb writes cells' figures."""
    path = Path(app.srcdir, uri)
    return path.suffix == ".png" and Path(app.outdir).parent in path.parents


def _make_light(app, env):
    # Before Sphinx copies them into the site.
    for uri in filter(lambda uri: is_from_cell(app, uri), env.images):
        path = Path(app.srcdir, uri)
        png = path.read_bytes()
        lighter = with_palette(png)
        if lighter != png:
            path.write_bytes(lighter)


def _show_in_inches(app, doctree, docname):
    for node in doctree.findall(nodes.image):
        if is_from_cell(app, node["uri"]) and "width" not in node:
            image = Image.open(Path(app.srcdir, node["uri"]))
            inches = image.width / image.info.get("dpi", (100, 100))[0]
            node["width"] = f"{100 * inches:.0f}px"


def setup(app):
    app.connect("env-updated", _make_light)
    app.connect("doctree-resolved", _show_in_inches)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

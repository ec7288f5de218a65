"""The book's own Sphinx extensions, and the page that lists the library."""

import io
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

import nestrade_lib
from _ext.figures import with_palette
from _ext.lean_site import prune
from nestrade_lib import cluster, engines, training
from nestrade_lib.book import simulate

ROOT = Path(__file__).resolve().parent.parent


def warnings_of(source, tmp_path, suffix=".md"):
    """Build one page with the image check and return what Sphinx warns of."""
    (tmp_path / f"index{suffix}").write_text(source, encoding="utf-8")
    (tmp_path / "dot.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    warnings = io.StringIO()
    with docutils_namespace():
        app = Sphinx(
            tmp_path,
            None,
            tmp_path / "out",
            tmp_path / "doctrees",
            "html",
            {"extensions": ["myst_nb", "_ext.accessible"], "nb_execution_mode": "off"},
            status=None,
            warning=warnings,
        )
        app.build()
    return [
        line for line in warnings.getvalue().splitlines() if "alternative text" in line
    ]


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("# A\n\n![](dot.svg)", 1),
        ("# A\n\n![A dot.](dot.svg)", 0),
        ("# A\n\n```{figure} dot.svg\nCaption.\n```", 1),
        ("# A\n\n```{figure} dot.svg\n:alt: A dot.\n\nCaption.\n```", 0),
        ('# A\n\n<p><img src="dot.svg"><img src="dot.svg" alt=" "></p>', 2),
        ('# A\n\n<img src="dot.svg" alt="A dot.">', 0),
    ],
)
def test_images_in_markdown_need_alternative_text(source, count, tmp_path):
    assert len(warnings_of(source, tmp_path)) == count


@pytest.mark.parametrize("alt", [None, "A dot."])
def test_images_from_cells_need_alternative_text(alt, tmp_path):
    metadata = {"mystnb": {"image": {"alt": alt}}} if alt else {}
    png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
    output = nbformat.v4.new_output("display_data", data={"image/png": png})
    cell = nbformat.v4.new_code_cell(
        "show()", metadata=metadata, outputs=[output], execution_count=1
    )
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("# A"), cell]
    )
    found = warnings_of(nbformat.writes(notebook), tmp_path, ".ipynb")
    assert len(found) == (0 if alt else 1)


@pytest.mark.parametrize(
    ("css", "kept"),
    [
        (".used{a:b}", ".used{a:b}"),
        (".unused{a:b}", ""),
        (".used .unused{a:b}", ""),
        (".unused,.used>p{a:b}", ".used>p{a:b}"),
        (".used:not(.unused){a:b}", ".used:not(.unused){a:b}"),
        (":is(.used,.unused) p{a:b}", ":is(.used,.unused) p{a:b}"),
        ("p{a:b}", "p{a:b}"),
        ("@media print{.used{a:b}.unused{a:b}}", "@media print{.used{a:b}}"),
        ("@media print{.unused{a:b}}", ""),
        ("@font-face{src:url(a.woff)}", "@font-face{src:url(a.woff)}"),
    ],
)
def test_prune_keeps_what_is_in_use(css, kept):
    assert prune(css, {"used"}) == kept


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA")).astype(int)


@pytest.mark.parametrize("colours", [1, 2, 200, 256, 700, 40_000])
def test_a_palette_is_used_only_where_nothing_is_seen_of_it(colours):
    rng = np.random.default_rng(colours)
    palette = rng.integers(0, 256, (colours, 3), dtype=np.uint8)
    out = io.BytesIO()
    choice = rng.integers(0, colours, (200, 200))
    Image.fromarray(palette[choice]).save(out, "PNG", dpi=(200, 200))
    lean = with_palette(out.getvalue())
    moved = np.abs(pixels(lean) - pixels(out.getvalue())).max()
    assert len(lean) <= len(out.getvalue()) and moved <= (0 if colours <= 256 else 9)
    assert round(Image.open(io.BytesIO(lean)).info["dpi"][0]) == 200
    assert with_palette(lean) == lean


def test_transparent_figures_stay_as_they_are():
    out = io.BytesIO()
    Image.new("RGBA", (50, 50), (0, 0, 0, 10)).save(out, "PNG")
    assert with_palette(out.getvalue()) == out.getvalue()


def test_the_library_page_lists_every_public_name():
    page = (ROOT / "appendix/api.md").read_text(encoding="utf-8")
    listed = {}
    for module, part in re.findall(
        r"^\.\. currentmodule:: (\S+)$(.*?)(?=^\.\. currentmodule|^```$)",
        page,
        re.M | re.S,
    ):
        names = re.findall(
            r"^\.\. auto(?:function|class|exception):: (\w+)", part, re.M
        )
        listed.setdefault(module, []).extend(names)
    for module in (nestrade_lib, training, engines, cluster, simulate):
        assert sorted(listed[module.__name__]) == sorted(module.__all__)

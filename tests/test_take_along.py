"""The book to take along: formulas for e-readers, and the one page that is printed."""

import re
from xml.etree import ElementTree

import nbformat
import pytest
from bs4 import BeautifulSoup

from _ext.ebook import mathml
from scripts import pdf, take_along
from scripts.notebooks import pages

FORMULA = re.compile(r"^\$\$\n(.+?)^\$\$|(?<![\\$`])\$([^$\n]+)\$", re.M | re.S)


@pytest.mark.parametrize("path", pages(".ipynb"), ids=lambda path: path.stem)
def test_every_formula_becomes_mathml(path):
    cells = nbformat.read(path, as_version=4).cells
    for cell in cells:
        for block, inline in FORMULA.findall(
            cell.source * (cell.cell_type == "markdown")
        ):
            formula = mathml(block or inline)
            assert ElementTree.fromstring(formula) is not None and "\\" not in formula


def test_pages_become_one_page_with_links_within_it(tmp_path, monkeypatch):
    page = """<link rel="stylesheet" href="_static/a.css"><article class="bd-article">
    <h1 id="top">{}<a class="headerlink" href="#top">#</a></h1>
    <a href="{}#top">there</a> <a href="#top">here</a> <a href="https://a.b/">out</a>
    <img src="{}_images/a.png"><details class="above-input"><pre>setup</pre></details>
    <details class="sd-dropdown"><summary>1</summary>2</details></article>"""
    (tmp_path / "chapters").mkdir()
    (tmp_path / "intro.html").write_text(page.format("A", "chapters/b.html", ""))
    (tmp_path / "chapters/b.html").write_text(page.format("B", "../intro.html", "../"))
    monkeypatch.setattr(pdf, "SITE", tmp_path)
    monkeypatch.setattr(pdf, "listed_pages", lambda table: ["intro", "chapters/b"])
    soup = BeautifulSoup(pdf.one_page(), "html.parser")
    ids = [element["id"] for element in soup.select("[id]")]
    assert len(ids) == len(set(ids)) == 4
    links = [link["href"] for link in soup.select("a")]
    inside = [link.rpartition("#")[2] for link in links if link != "https://a.b/"]
    assert inside == ["chapters-b--top", "intro--top", "intro--top", "chapters-b--top"]
    assert [image["src"] for image in soup.select("img")] == ["_images/a.png"] * 2
    assert "setup" not in soup.text and all(
        "open" in d.attrs for d in soup.select("details")
    )


def test_the_first_page_links_what_is_there_and_names_commands_for_the_rest():
    page = (pdf.ROOT / "intro.md").read_text(encoding="utf-8")
    named = [name for name, _ in take_along.NAMED.findall(page)]
    assert named == ["nestrade.pdf", "nestrade.epub", "slides/index.html"]
    assert take_along.linked(page, lambda name: False) == page
    some = take_along.linked(page, lambda name: name.endswith(".pdf"))
    assert '<a href="nestrade.pdf">PDF</a>' in some and "`make epub`" in some
    assert take_along.linked(some, lambda name: False) == some

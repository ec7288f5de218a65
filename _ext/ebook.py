"""What an e-book needs: a cover, and formulas as MathML, since readers run no MathJax."""

from bs4 import BeautifulSoup
from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util.math import get_node_equation_number


def mathml(latex, display="inline"):
    """Return LaTeX as a MathML element."""
    # `aligned` is unknown to the converter; `split` is the same inside one formula.
    latex = latex.replace("{aligned}", "{split}")
    # The one operator of the book that the converter does not know.
    return convert(latex.replace(r"\arg", r"\operatorname{arg}"), display=display)


def _inline(visitor, node):
    visitor.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def _block(visitor, node):
    number = ""
    if node.get("number"):
        label = get_node_equation_number(visitor, node)
        number = f' <span class="eqno">({label})</span>'
    ids = "".join(f' id="{name}"' for name in node.get("ids", [])[:1])
    formula = mathml(node.astext(), display="block")
    visitor.body.append(f'<div class="math"{ids}>{formula}{number}</div>\n')
    raise nodes.SkipNode


def _cover(app, config):
    config.epub_cover = ("_static/preview.png", "epub-cover.html")


def make_still(page):
    """Take out of a parsed page what moves: of sliders, the first picture stays."""
    for element in page.select("script, .copybtn, .headerlink, #playground"):
        element.decompose()
    for sliders in page.select(".picture-sliders"):
        for moving in [
            *sliders.select("label, input, output"),
            *sliders.select("img")[1:],
        ]:
            moving.decompose()


def _as_xml(app, pagename, templatename, context, doctree):
    """Raw HTML of outputs need not be XML, which an e-book is."""
    context["script_files"] = []
    if "body" in context:
        page = BeautifulSoup(context["body"], "html.parser")
        make_still(page)
        for element in page.select("#exercise-content"):  # one for each exercise
            del element["id"]
        context["body"] = str(page)


def setup(app):
    app.connect("html-page-context", _as_xml, priority=950)
    app.connect("config-inited", _cover)
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

"""Pages for readers who do not see them.

Every image without alternative text is a warning, so that a strict build fails. Covers Markdown images, figures, images in raw HTML, and the outputs of code cells.
A code cell names its figure in its metadata:

    {"mystnb": {"image": {"alt": "Test accuracy rises from 0.95 to 0.99 in five epochs."}}}
"""

from html.parser import HTMLParser

from docutils import nodes
from sphinx.util import logging

logger = logging.getLogger(__name__)


class _ImagesWithoutAlt(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.sources = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "img" and not (attrs.get("alt") or "").strip():
            self.sources.append(attrs.get("src") or "no source")


def images_without_alt(doctree):
    """Yield (node, source) for each image of a page that has no alternative text."""
    for node in doctree.findall(nodes.image):
        if not node.get("alt", "").strip():
            yield node, node["uri"]
    for node in doctree.findall(nodes.raw):
        if "html" in node.get("format", ""):
            for source in _ImagesWithoutAlt(node.astext()).sources:
                yield node, source


def _check(app, doctree, docname):
    # Cell outputs become images only after the post-transforms: hence this late event.
    for node, source in images_without_alt(doctree):
        where = (docname, node.line) if node.line else docname
        logger.warning(
            "image without alternative text: %s. Write ![what it shows](file), :alt: in a "
            "figure, or `mystnb: {image: {alt: ...}}` in the metadata of the code cell.",
            source[:80],
            location=where,
            type="image_alt",
        )


def _plain_citations(app, pagename, templatename, context, doctree):
    """Docutils calls citations a list, without list items: a screen reader counts none."""
    if "body" in context:
        context["body"] = context["body"].replace(
            '<div role="list" class="citation-list">', '<div class="citation-list">'
        )


def setup(app):
    app.connect("doctree-resolved", _check)
    app.connect("html-page-context", _plain_citations)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

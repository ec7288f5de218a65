"""The page on which one draws a digit: the directive `playground`, and what only it loads.

Costs and digits to choose from come from the record of `python -m scripts.playground`.
Without scripts, on paper and in an e-book, the table of costs stays.
"""

import json
from pathlib import Path

from docutils import nodes
from jinja2 import Template
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "benchmarks" / "results" / "playground.json"
TEMPLATE = Path(__file__).with_suffix(".html")
# What is loaded when the reader asks for it, in this order.
ON_DEMAND = (
    "vendor/onnxruntime/ort.js",
    "vendor/onnxruntime/wasm.js",
    "playground/networks.js",
)


class Playground(SphinxDirective):
    """The board, the answers and the table of costs, as HTML."""

    def run(self):
        for path in (RECORD, TEMPLATE):
            self.env.note_dependency(str(path))
        record = json.loads(RECORD.read_text(encoding="utf-8"))
        size = sum((ROOT / "assets" / path).stat().st_size for path in ON_DEMAND)
        html = Template(TEMPLATE.read_text(encoding="utf-8")).render(
            **record["networks"],
            samples=record["samples"],
            scripts=ON_DEMAND,
            megabytes=round(size / 1e6),
        )
        return [nodes.raw("", html, format="html")]


def _load(app, pagename, templatename, context, doctree):
    if app.builder.name == "html" and 'id="playground"' in context.get("body", ""):
        app.add_css_file("playground/playground.css")
        for name in ("board", "runtime", "page"):
            app.add_js_file(f"playground/{name}.js", loading_method="defer")


def setup(app):
    app.add_directive("playground", Playground)
    app.connect("html-page-context", _load)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

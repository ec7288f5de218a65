"""Links that need the repository's address say so, as long as nobody has stated it.

`_config.yml` states the address. Where it still has the placeholder, GitHub's workflow or
the git remote of a fork names it, and every page follows. Where neither does, such links
lead to a page of this book, which says what to do; an e-book keeps their text alone.
"""

import re
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent))  # as jupyter-book runs elsewhere
from scripts import address

PAGE = "no-address"
OWNER = rb"[^\"]*\b" + address.PLACEHOLDER.encode() + rb"\b[^\"]*"
HREF = re.compile(rb'\bhref="(https?://' + OWNER + rb')"')
HEAD = re.compile(
    rb'<(?:link rel="canonical" href|meta [^>]*content)="' + OWNER + rb'"[^>]*>\s*'
)
LINK = re.compile(rb"<a [^>]*" + HREF.pattern + rb"[^>]*>(.*?)</a>", re.DOTALL)
TITLE = "This link needs an address"
BODY = f"""<section><h1>{TITLE}</h1>
<p>It leads to the repository of this book: to Colab, Kaggle, Binder or GitHub. Nobody has
stated yet where that is, so this copy of the book cannot know. Everything else works.</p>
<p>If this copy is yours, set the address, and build the book again:</p>
<pre>make address URL=https://github.com/YOU/BOOK
make book</pre>
<p>A clone whose git remote is on GitHub needs no more than <code>make book</code>.</p>
</section>"""


def resolve(html, depth, known=None):
    """Return a page's bytes, ``depth`` folders down, with links that lead somewhere."""
    if known:
        return address.replace(
            html, address.Address(address.PLACEHOLDER, "nestrade"), known
        )
    page = b"../" * depth + PAGE.encode() + b".html"
    return HREF.sub(rb'href="' + page + rb'" data-address="\1"', HEAD.sub(b"", html))


def _known():
    """The repository's address, or None."""
    found = address.found(address.ROOT)
    return None if found.owner == address.PLACEHOLDER else found


def _page(app):
    if app.builder.format == "html" and app.builder.name != "epub" and not _known():
        yield PAGE, {"title": TITLE, "body": BODY}, "page.html"


def _in_epub(app, pagename, templatename, context, doctree):
    if app.builder.name == "epub" and "body" in context:
        body = context["body"].encode()
        known = _known()
        body = resolve(body, 0, known) if known else LINK.sub(rb"\2", body)
        context["body"] = body.decode()


def _in_site(app, exception):
    if exception or app.builder.format != "html" or app.builder.name == "epub":
        return
    known, site = _known(), Path(app.outdir)
    for path in site.rglob("*.html"):
        html = path.read_bytes()
        depth = len(path.relative_to(site).parts) - 1
        if (resolved := resolve(html, depth, known)) != html:
            path.write_bytes(resolved)


def setup(app):
    app.connect("html-collect-pages", _page)
    app.connect("html-page-context", _in_epub, priority=940)  # before it becomes XML
    app.connect("build-finished", _in_site, priority=460)  # after the first page's copy
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

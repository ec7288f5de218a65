"""Print the built book as one PDF, by Chromium.

    python -m scripts.pdf

writes `_build/nestrade.pdf` from `_build/html`: the pages of the table of contents, one
after the other on one page, with links among them. Sliders become their first picture,
and answers stand open. Sphinx' own single page cannot hold cells whose input is hidden.
"""

import re
import shutil
import subprocess
import sys
from pathlib import PurePosixPath
from urllib.parse import urldefrag

import yaml
from bs4 import BeautifulSoup

from _ext.ebook import make_still
from scripts.lint_notebooks import listed_pages
from scripts.notebooks import ROOT

SITE = ROOT / "_build" / "html"
PAGE = SITE.with_name("print.html")
FILE = ROOT / "_build" / "nestrade.pdf"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# What is of use on a screen only.
DROPPED = (
    ".prev-next-area, .front-button, details.above-input, input[type=checkbox], "
    "a[href*='colab.research'], a[data-address*='colab.research']"
)


def one_page():
    """Return the pages of the book as one HTML page."""
    table = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    names = list(listed_pages(table))
    articles = [_article(name, names) for name in names]
    style = (ROOT / "scripts/templates/print.css").read_text(encoding="utf-8")
    first = BeautifulSoup((SITE / f"{names[0]}.html").read_bytes(), "html.parser")
    sheets = "\n".join(
        str(link)
        for link in first.select("link[rel=stylesheet]")
        if "//" not in link["href"]
    )
    return f"""<!DOCTYPE html>
<html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">
<title>Nestrade</title><base href="{SITE.name}/">{sheets}<style>{style}</style>
<script>window.MathJax = {{options: {{ignoreHtmlClass: "book", processHtmlClass: "math"}},
  tex: {{inlineMath: [["\\\\(", "\\\\)"]]}}}};</script>
<script src="_static/vendor/mathjax/mathjax.js"></script></head>
<body class="book">{"".join(articles)}</body></html>
"""


def _article(name, names):
    """The article of one page, its addresses and links those of the one page."""
    html = (SITE / f"{name}.html").read_bytes()
    article = BeautifulSoup(html, "html.parser").select_one("article.bd-article")
    article.name, article["class"] = "section", "bd-article"
    make_still(article)
    for element in article.select(DROPPED):
        element.decompose()
    for link in article.select("a[data-address]"):
        link.unwrap()
    for answer in article.select("details"):
        answer["open"] = ""
    for element in article.select("[id]"):
        element["id"] = _anchor(name, element["id"])
    folder = PurePosixPath(name).parent
    for image in article.select("img[src]"):
        if not image["src"].startswith("data:"):
            image["src"] = _resolved(folder, image["src"])
    for link in article.select("a[href]"):
        path, anchor = urldefrag(link["href"])
        if re.match(r"[a-z]+:", path):
            continue
        page = _resolved(folder, path).removesuffix(".html") if path else name
        if page in names:
            link["href"] = f"../{PAGE.name}#{_anchor(page, anchor)}"
    article["id"] = _anchor(name, "")
    return str(article)


def _anchor(name, identity):
    return f"{name.replace('/', '-')}--{identity}"


def _resolved(folder, path):
    """A path in the site, of one that is relative to ``folder``."""
    parts = []
    for part in (folder / path).parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return "/".join(parts)


def main():
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(
            "pdf: expected Chromium on the PATH (Debian: apt-get install chromium)."
        )
    if not (SITE / "index.html").is_file():
        sys.exit(f"pdf: expected the built book in {SITE}: run `make book`.")
    PAGE.write_text(one_page(), encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu"]
    command += ["--allow-file-access-from-files", "--virtual-time-budget=60000"]
    command += ["--no-pdf-header-footer", f"--print-to-pdf={FILE}", PAGE.as_uri()]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, timeout=600)
    print(f"The book is ready: {FILE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

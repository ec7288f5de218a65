"""Put the PDF, the EPUB and the slides beside the pages, and link them on the first page.

    python -m scripts.take_along

takes what `make pdf`, `make epub` and `make slides` have built. The first page names each;
where the file is there, its name becomes a link, and elsewhere the command stays.
"""

import re
import shutil

from scripts.notebooks import ROOT

BUILT = ROOT / "_build"
SITE = BUILT / "html"
NAMED = re.compile(
    r'<span data-take-along="([^"]+)">(.*?)(?: <small>.*?</small>)?</span>', re.DOTALL
)


def linked(html, is_there):
    """Return the page with a link for each file that is there."""

    def link(match):
        return (
            f'<a href="{match[1]}">{match[2]}</a>' if is_there(match[1]) else match[0]
        )

    return NAMED.sub(link, html)


def main():
    for name in ("nestrade.pdf", "nestrade.epub"):
        if (BUILT / name).is_file():
            shutil.copyfile(BUILT / name, SITE / name)
    if (BUILT / "slides").is_dir():
        shutil.copytree(BUILT / "slides", SITE / "slides", dirs_exist_ok=True)
    for page in (SITE / "intro.html", SITE / "index.html"):
        html = linked(
            page.read_text(encoding="utf-8"), lambda name: (SITE / name).is_file()
        )
        page.write_text(html, encoding="utf-8")


if __name__ == "__main__":
    main()

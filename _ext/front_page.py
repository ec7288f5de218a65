"""Make index.html the book's first page.

Sphinx names pages after their sources, so that the address of the site itself would
only redirect to intro.html. Here it is the same page; its canonical address is one.
"""

import shutil
from pathlib import Path


def _copy_first_page(app, exception):
    if exception is None and app.builder.format == "html":
        site = Path(app.outdir)
        shutil.copyfile(site / f"{app.config.root_doc}.html", site / "index.html")


def setup(app):
    # Before lean_site, and before a redirect is written where no index.html is.
    app.connect("build-finished", _copy_first_page, priority=450)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

"""Build the whole book as one EPUB, for e-book readers.

    python -m scripts.epub

writes `_build/nestrade.epub` with Sphinx' own builder. It takes `_config.yml` without what
only a site has: scripts, launch buttons, its theme. Formulas become MathML.
"""

import shutil
import subprocess
import sys
from datetime import datetime, timezone

import yaml

from scripts.notebooks import ROOT

FOLDER = ROOT / "_build" / "epub"
FILE = ROOT / "_build" / "nestrade.epub"
OF_A_SITE = ("accessible", "front_page", "lean_site")


def configuration(config):
    """Return the book's configuration as the EPUB needs it."""
    config = dict(config)
    sphinx = {
        key: dict(value) if isinstance(value, dict) else value
        for key, value in config["sphinx"].items()
    }
    sphinx["local_extensions"] = {
        name: str(ROOT / "_ext")
        for name in (*sphinx["local_extensions"], "ebook")
        if name not in OF_A_SITE
    }
    sphinx["config"] |= {
        "epub_author": config["author"],
        "epub_basename": FILE.stem,
        "epub_css_files": ["epub.css"],
        "epub_exclude_files": ["index.html"],  # a redirect, of the build before
        "epub_show_urls": "no",
        "epub_title": "Nestrade: networks that become smaller while they train",
        "epub_tocscope": "includehidden",
        "epub_uid": "nestrade",
        "html_css_files": [],
        "html_js_files": [],
        "html_math_renderer": "mathml",
        "html_static_path": ["assets/preview.png", "scripts/templates/epub.css"],
        "html_theme_options": {},
        "version": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
    }
    config["sphinx"] = sphinx
    config["html"] = {"baseurl": config["html"]["baseurl"]}
    del config["launch_buttons"]
    return config


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    config = FOLDER / "_config.yml"
    book = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    text = yaml.safe_dump(configuration(book), allow_unicode=True)
    config.write_text(text, encoding="utf-8")
    run = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", run, "build", "--all", ROOT]
    command += ["--config", config, "--path-output", FOLDER]
    command += [
        "--builder",
        "custom",
        "--custom-builder",
        "epub",
        "-W",
        "-n",
        "--keep-going",
    ]
    subprocess.run(command, check=True)
    shutil.copyfile(FOLDER / "_build/epub" / FILE.name, FILE)
    print(f"The book is ready: {FILE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

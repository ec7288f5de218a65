"""The repository's address: one place states it, one command rewrites it."""

import io
import json
import shutil
import subprocess

import pytest
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from _ext import repository_links
from scripts import address

CONFIG = "repository:\n  url: https://github.com/OWNER/nestrade\n  branch: main\n"
# In parts, so that no test file states an address of its own.
HUB, COLAB = "https://github.com/", "https://colab.research.google.com/github/"
BINDER = "mybinder" + ".org/v2/gh/"


@pytest.fixture
def project(tmp_path):
    """A project that states its address in every form, formatted in unusual ways."""
    (tmp_path / "chapters").mkdir()
    notebook = {
        "cells": [
            {
                "source": [
                    f"[Colab]({COLAB}OWNER/nestrade/blob/main/chapters/one.ipynb)\n",
                    "é",
                ]
            },
            {"source": f"%pip install git+{HUB}OWNER/nestrade.git"},
        ]
    }
    text = json.dumps(notebook, indent=3, separators=(" , ", ":  "), ensure_ascii=False)
    (tmp_path / "chapters/one.ipynb").write_bytes(text.replace("\n", "\r\n").encode())
    (tmp_path / "_config.yml").write_text(CONFIG)
    (tmp_path / "README.md").write_text(
        f"See {HUB}OWNER/nestrade. The book: https://OWNER.github.io/nestrade/intro.html, "
        f"git@github.com:OWNER/nestrade.git, {HUB}OWNER/nestrade-extras, {HUB}keras-team/keras, "
        f"https://{BINDER}OWNER/nestrade/main?urlpath=lab"
    )
    (tmp_path / "data.npz").write_bytes(b"\0github.com/OWNER/nestrade")
    return tmp_path


def contents(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "slug", ["ada/nestrade", "Ada-L/the.book_2", "ada/ada.github.io"]
)
def test_rewrites_every_form_and_back_to_the_same_bytes(project, slug):
    before = contents(project)
    assert address.disagreements(project) == []
    address.rewrite(project, HUB + slug)
    assert address.disagreements(project) == []

    notebook = (project / "chapters/one.ipynb").read_bytes()
    assert f"{COLAB}{slug}/blob/main".encode() in notebook
    assert f"git+{HUB}{slug}.git".encode() in notebook
    readme = (project / "README.md").read_text()
    assert f"See {HUB}{slug}. The" in readme and f":{slug}.git" in readme
    assert f"{BINDER}{slug}/main?urlpath=lab" in readme
    assert "OWNER/nestrade-extras" in readme and "keras-team/keras" in readme
    owner, name = slug.split("/")
    site = (
        f"{owner}.github.io"
        if name.endswith(".github.io")
        else f"{owner}.github.io/{name}"
    )
    assert f"https://{site}/intro.html" in readme

    address.rewrite(project, f"{HUB}OWNER/nestrade")
    assert contents(project) == before


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nestrade",
        "http://github.com/a/b",
        "https://gitlab.com/a/b",
        HUB,
        f"{HUB}a",
        f"{HUB}a/",
        f"{HUB}a/b/c",
    ]
    + [
        f"{HUB}-a/b",
        f"{HUB}a b/c",
        f"{HUB}a/..",
        f"{HUB}a/b?x",
        f"{HUB}{'a' * 40}/b",
        f"{HUB}a/b\nc",
    ],
)
def test_refuses_what_is_no_address(project, url, capsys):
    before = contents(project)
    assert address.main([url], root=project) == 2
    error = capsys.readouterr().err
    assert repr(url) in error and "Expected" in error and len(error.splitlines()) == 1
    assert contents(project) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("OWNER/nestrade.git", "other/nestrade.git"),
        ("OWNER/nestrade/blob", "OWNER/other/blob"),
        ("blob/main", "blob/master"),
        ("one.ipynb", "two.ipynb"),
        ("[Colab](", "[Colab]<"),
    ],
)
def test_says_where_an_address_disagrees(project, old, new, capsys):
    notebook = project / "chapters/one.ipynb"
    text = notebook.read_text()
    notebook.write_text(
        text.replace("colab.research.google.com", "")
        if "<" in new
        else text.replace(old, new)
    )
    assert address.main(["--check"], root=project) == 1
    assert "chapters/one.ipynb" in capsys.readouterr().err


def test_without_a_configured_address(project, capsys):
    shutil.copy(project / "README.md", project / "_config.yml")
    assert address.main(["--check"], root=project) == 2
    assert "_config.yml" in capsys.readouterr().err


@pytest.fixture
def nowhere(monkeypatch):
    for name in ("GITHUB_REPOSITORY", "GITHUB_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("remote", "slug"),
    [
        (HUB + "ada/book.git", "ada/book"),
        ("git@github.com:ada/book.git", "ada/book"),
        ("ssh://git@github.com/ada/book", "ada/book"),
        ("https://example.org/ada/book", "OWNER/nestrade"),
        ("/home/ada/book", "OWNER/nestrade"),
        (None, "OWNER/nestrade"),
    ],
)
def test_a_fork_finds_its_address_by_its_remote(project, nowhere, remote, slug):
    git = ["git", "-C", str(project)]
    subprocess.run([*git, "init", "--quiet"], check=True)
    if remote:
        subprocess.run([*git, "remote", "add", "origin", remote], check=True)
    assert address.found(project).slug.decode() == slug


def test_what_is_stated_comes_before_the_workflow_and_this_before_git(
    project, monkeypatch
):
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", "ada/fork")
    assert address.found(project).slug == b"ada/fork"
    address.rewrite(project, HUB + "bob/book")
    assert address.found(project).slug == b"bob/book"


LINKS = f"""# A

[Colab]({COLAB}OWNER/nestrade/blob/main/a.ipynb), [Keras]({HUB}keras-team/keras)
"""


def built(folder, monkeypatch, known):
    """The page of ``LINKS``, built, and the files beside it."""
    monkeypatch.setattr(repository_links, "_known", lambda: known)
    (folder / "index.md").write_text(LINKS)
    config = {
        # As in test_site.py: Sphinx keeps who reads .md from one build to the next.
        "extensions": ["myst_nb", "_ext.repository_links"],
        "nb_execution_mode": "off",
        "html_baseurl": "https://OWNER.github.io/nestrade/",
    }
    with docutils_namespace():
        out = folder / "out"
        app = Sphinx(
            folder, None, out, folder / "trees", "html", config, None, io.StringIO()
        )
        app.build()
    return (out / "index.html").read_text(), {path.name for path in out.iterdir()}


def test_links_without_an_address_lead_to_a_page_that_says_so(tmp_path, monkeypatch):
    page, files = built(tmp_path, monkeypatch, None)
    assert f'href="no-address.html" data-address="{COLAB}OWNER/nestrade' in page
    assert 'rel="canonical"' not in page and f'href="{HUB}keras-team/keras"' in page
    said = (tmp_path / "out/no-address.html").read_text()
    assert "make address URL=" in said and "no-address.html" in files
    nested = repository_links.resolve(f'<a href="{HUB}OWNER/nestrade">'.encode(), 2)
    assert b'href="../../no-address.html"' in nested


def test_links_with_an_address_lead_there(tmp_path, monkeypatch):
    page, files = built(tmp_path, monkeypatch, address.Address("ada", "book"))
    assert f'href="{COLAB}ada/book/blob/main/a.ipynb"' in page
    assert 'href="https://ada.github.io/book/index.html"' in page
    assert "OWNER" not in page and "no-address.html" not in files

"""MyST Markdown as plain Markdown: what Jupyter, Colab and nbconvert can show.

The chapters use three directives (`admonition`, `dropdown`, `exercise`) and three roles
(`cite`, `eq`, `numref`). Any other directive becomes a quotation, and any other role the
text in it. Links to other pages of the book keep their text alone: a notebook that is
handed out stands by itself.
"""

import functools
import re

from pybtex.database import parse_file

from scripts.notebooks import ROOT

FENCE = re.compile(r"^(?P<fence>[`:]{3,})\{(?P<name>[\w:-]+)\} *(?P<title>.*)$")
LABEL = re.compile(r"^\([\w-]+\)=\n", re.MULTILINE)
EQUATION = re.compile(r"^\$\$ \((eq-[\w-]+)\)$", re.MULTILINE)
ROLE = re.compile(r"\{(\w+)\}`([^`]+)`")
BADGE = re.compile(r"\[!\[Open in Colab\][^\n]*\n?")
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:)([^)]*)\)")


def equation_numbers(texts):
    """Return the number of each labelled equation, in the order of ``texts``."""
    labels = [label for text in texts for label in EQUATION.findall(text)]
    return {label: number for number, label in enumerate(labels, start=1)}


def plain(text, numbers=(), answers=True):
    """Return MyST ``text`` as plain Markdown.

    ``numbers`` numbers the equations; without ``answers``, what a dropdown hides is left
    out, and a line for the reader's own answer takes its place.
    """
    numbers = dict(numbers)
    text = LABEL.sub("", BADGE.sub("", text))
    text = "\n".join(_blocks(text.splitlines(), answers))
    text = EQUATION.sub(lambda match: rf"\tag{{{numbers.get(match[1], '')}}}$$", text)
    text = ROLE.sub(lambda match: _role(match[1], match[2], numbers), text)
    text = LINK.sub(lambda match: match[1] or f"*{page_title(match[2])}*", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def _blocks(lines, answers):
    """Yield ``lines`` with each directive in them written in plain Markdown."""
    lines = iter(lines)
    for line in lines:
        match = FENCE.match(line)
        if not match:
            yield line
            continue
        body = []
        for inner in lines:
            if inner.rstrip() == match["fence"]:
                break
            body.append(inner)
        while body and re.match(r":[\w-]+:", body[0]):
            del body[0]
        body = list(_blocks(body, answers))
        if match["name"] == "exercise":
            yield from body
            continue
        title = [f"**{match['title']}**", ""] if match["title"] else []
        if match["name"] == "dropdown" and not answers:
            body = ["*Your answer:*"]
            title = [] if match["title"] == "Reveal" else title
        yield from (f"> {each}".rstrip() for each in [*title, *body])


def _role(name, content, numbers):
    if name == "cite":
        return f"({'; '.join(_source(key.strip()) for key in content.split(','))})"
    if name == "eq":
        return f"({numbers.get(content, '?')})"
    return "the figure" if name == "numref" else content


@functools.cache
def _bibliography():
    return parse_file(ROOT / "references.bib").entries


def _source(key):
    """Authors and year of a source, as an author-year citation has them."""
    entry = _bibliography()[key]
    names = [" ".join(person.last_names) for person in entry.persons["author"]]
    if len(names) > 2:
        names = [f"{names[0]} et al."]
    return f"{' and '.join(names)}, {entry.fields['year']}"


@functools.cache
def page_title(path):
    """The title of the page that a link names by its file."""
    stem = path.split("#")[0].rpartition("/")[2]
    (page,) = [
        page
        for page in (
            ROOT / "intro.md",
            *ROOT.glob("chapters/*"),
            *ROOT.glob("appendix/*"),
        )
        if page.name == stem
    ] or [None]
    if page is None:
        return "the book"
    title = re.search(r"# ([^\n\"\\]+)", page.read_text(encoding="utf-8"))
    return title[1].strip()

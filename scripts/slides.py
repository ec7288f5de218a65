"""Make slides of each chapter from its own cells, chosen by the chapter's structure.

    python -m scripts.slides [CHAPTER ...]

writes `_build/slides/`, which needs no network. To the right goes the story: the title,
what one will be able to do, prediction and answer, each section's figures, the takeaways
and the quiz. Downwards goes the detail of a section: its equations, and its short code
with what it printed. The text of the chapter is in the speaker's notes (key S).
"""

import argparse
import html
import re
import shutil

import nbformat
from nbconvert import SlidesExporter
from nbformat import v4
from pygments.formatters import HtmlFormatter

from scripts.exercises import chapters
from scripts.notebooks import ROOT
from scripts.plain_markdown import equation_numbers, page_title, plain

FOLDER = ROOT / "_build" / "slides"
TEMPLATES = ROOT / "scripts" / "templates"
LONGEST_CODE, LONGEST = 14, 18  # lines; with what it printed
LINE = 84  # letters of the text, about
BOX = re.compile(r":::\{admonition\} (.+)\n:class: (\w+)\n((?:.*\n)*?):::")
FACTS = re.compile(r"\*\*(You will be able to)\*\* (.+)")
QUESTION = re.compile(r"^([`:]{3,})\{dropdown\} (.+)\n((?:.+\n)+?)\1", re.MULTILINE)
EQUATION = re.compile(r"^\$\$\n(?:.+\n)+?\$\$.*$", re.MULTILINE)


class Deck:
    """The slides of one chapter, as the cells that nbconvert takes."""

    def __init__(self, numbers):
        self.numbers = numbers
        self.cells = []
        self.section = None
        self.notes = []
        self.sections_shown = set()

    def add(self, source, kind):
        metadata = {"slideshow": {"slide_type": kind}}
        self.cells.append(v4.new_markdown_cell(source, metadata=metadata))

    def slide(self, *parts, heading=None, down=False, code=None):
        """Add a slide, whose later parts appear one by one, with the notes before it."""
        heading = heading or self.section
        self.add(f"## {heading}\n\n{parts[0]}", "subslide" if down else "slide")
        for part in parts[1:]:
            self.add(part, "fragment")
        if code:
            self.cells.append(code)
        self.take_notes()

    def take_notes(self):
        if self.notes:
            self.add("\n\n".join(self.notes), "notes")
            self.notes = []

    def begin(self, section):
        """Begin a section; text after the last slide of the one before belongs to that."""
        self.take_notes()
        self.section = section

    def plain(self, text):
        return plain(text, self.numbers)


def deck_of(chapter):
    """Return the notebook of a chapter's slides."""
    notebook = nbformat.read(ROOT / f"chapters/{chapter}.ipynb", as_version=4)
    markdown = [c.source for c in notebook.cells if c.cell_type == "markdown"]
    deck = Deck(equation_numbers(markdown))
    title, promise = plain(notebook.cells[0].source).split("\n\n")[:2]
    deck.add(f"{title}\n\n{promise}", "slide")
    for cell in notebook.cells[2:]:
        if cell.cell_type == "code":
            _code(deck, cell)
        elif not _text(deck, cell.source):
            break
    notebook.cells = deck.cells
    notebook.metadata["title"] = title.removeprefix("# ")
    return notebook


def _text(deck, source):
    """Add the slides of a text cell; return False where the exercises begin."""
    for part in re.split(r"^(?=## )", source, flags=re.MULTILINE):
        match = re.match(r"## (.+)\n", part)
        if match:
            deck.begin(match[1])
            part = part[match.end() :]
        if deck.section == "Exercises":
            return False
        if deck.section == "Quiz":
            for number, (_, question, answer) in enumerate(QUESTION.findall(part), 1):
                deck.slide(
                    f"**{deck.plain(question)}**",
                    deck.plain(answer),
                    heading="Quiz",
                    down=number > 1,
                )
            continue
        part = _boxes(deck, part)
        _paragraphs(deck, part)
    return True


def _boxes(deck, text):
    """Add a slide for each box in ``text``, and return the text without them."""
    if facts := FACTS.search(text):
        able = [part.strip(" .") for part in facts[2].split(";")]
        deck.slide(
            f"{facts[1]}\n\n" + "\n".join(f"- {part}" for part in able),
            heading="What this is for",
        )
    for title, kind, body in BOX.findall(text):
        if kind == "predict":
            question = QUESTION.sub("", body)
            answer = QUESTION.search(body)[3]
            deck.slide(deck.plain(question), deck.plain(answer), heading=title)
        elif kind == "takeaway":
            deck.slide(deck.plain(body), heading=title)
    text = BOX.sub("", text)
    return re.sub(r"^```\{admonition\}(?:.*\n)*?```\n?", "", text, flags=re.MULTILINE)


def _paragraphs(deck, text):
    """Put text into the notes, and each equation with its paragraph on a slide."""
    rest = 0
    for match in EQUATION.finditer(text):
        before = deck.plain(text[rest : match.start()])
        rest = match.end()
        deck.notes += [before] if before else []
        lead = before.split("\n\n")[-1]
        deck.slide(
            f"{_last_sentence(lead)}\n\n{deck.plain(match[0])}", down=_below(deck)
        )
    if after := deck.plain(text[rest:]):
        deck.notes.append(after)


def _below(deck):
    """Whether the section has a slide already, below which the next one goes."""
    shown = deck.section in deck.sections_shown
    deck.sections_shown.add(deck.section)
    return shown


def _last_sentence(text):
    """The sentence that leads to what comes next: a topic in bold, or the last one."""
    if topic := re.match(r"\*\*.+?\*\*", text):
        return topic[0]
    if not text or text[0] in ">-|#*0123456789":
        return ""
    last = re.split(r"(?<=[.?!]) (?=[A-Z`*])", text.replace("\n", " "))[-1]
    if last.count("**") % 2:
        last = last.replace("**", "")  # the rest of a bold passage
    return last[0].upper() + last[1:]


def _code(deck, cell):
    picture = next((o.data["image/png"] for o in cell.outputs if _png(o)), None)
    metadata = cell.metadata.get("mystnb", {})
    if picture:
        alt = html.escape(metadata["image"]["alt"])
        caption = deck.plain(metadata["figure"]["caption"])
        data = picture.replace("\n", "")
        shown = f'<img alt="{alt}" src="data:image/png;base64,{data}">\n\n'
        caption = re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(caption))
        shown += f'<p class="caption">{caption}</p>'
        deck.slide(shown, down=_below(deck))
    code = len(cell.source.splitlines())
    printed = sum(len(_text_of(output).splitlines()) for output in cell.outputs)
    if picture or "hide-input" in cell.metadata.get("tags", []):
        _outputs(deck, cell)
        return
    lead = _last_sentence(deck.notes[-1].split("\n\n")[-1]) if deck.notes else ""
    # A line of the lead that is wrapped takes the place of two lines of code.
    left = LONGEST - code - 2 * (len(lead) // LINE)
    if code > LONGEST_CODE or not 0 < printed <= left:
        return
    shown = v4.new_code_cell(cell.source, outputs=cell.outputs)
    deck.slide(lead, down=_below(deck), code=shown)


def _outputs(deck, cell):
    """Add what a cell shows beside its picture: a table, or a list that it printed."""
    for output in cell.outputs:
        table = output.get("data", {}).get("text/markdown")
        if table:
            deck.slide(f'<div class="wide">\n\n{table}\n\n</div>', down=_below(deck))
        elif 3 <= len(output.get("text", "").splitlines()) <= LONGEST and _png_in(cell):
            text = html.escape(output.text.rstrip())
            deck.slide(f"<pre>{text}</pre>", down=_below(deck))


def _png_in(cell):
    return any(map(_png, cell.outputs))


def _text_of(output):
    return output.get("text") or output.get("data", {}).get("text/plain", "")


def _png(output):
    return "image/png" in output.get("data", {})


def write(chapter):
    """Write the slides of one chapter."""
    exporter = SlidesExporter(
        template_file="slides.html.j2", extra_template_paths=[str(TEMPLATES)]
    )
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    page, _ = exporter.from_notebook_node(deck_of(chapter))
    (FOLDER / f"{chapter}.html").write_text(page, encoding="utf-8")


def write_index():
    """Write a page that lists the decks, in the order of the book."""
    decks = [name for name in chapters() if (FOLDER / f"{name}.html").is_file()]
    links = "".join(
        f'<li><a href="{name}.html">{page_title(f"{name}.ipynb")}</a></li>\n'
        for name in decks
    )
    page = (TEMPLATES / "decks.html").read_text(encoding="utf-8")
    (FOLDER / "index.html").write_text(page.replace("DECKS", links), encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapters", nargs="*", help=", ".join(chapters()))
    names = parser.parse_args().chapters or chapters()
    FOLDER.mkdir(parents=True, exist_ok=True)
    shutil.copytree(
        ROOT / "assets/vendor",
        FOLDER / "vendor",
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("onnxruntime"),  # no slide runs networks
    )
    colours = HtmlFormatter(style="default").get_style_defs(".highlight")
    style = (TEMPLATES / "slides.css").read_text(encoding="utf-8")
    (FOLDER / "slides.css").write_text(f"{style}\n{colours}\n", encoding="utf-8")
    for name in names:
        write(name)
    write_index()
    print(f"{len(names)} decks in {FOLDER.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

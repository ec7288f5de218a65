"""The tables of the teaching page: minutes of each section, points of each exercise.

    python -m scripts.lessons                      write them into appendix/teaching.md
    python -m scripts.lessons --check              fail where the chapters say otherwise
    python -m scripts.lessons --time [CHAPTER ...] run the chapters first, and time them

A section takes the minutes in which its text and its visible code are read aloud, and
those that its cells need on one core. What was timed is in `benchmarks/results/lessons.json`.
"""

import argparse
import itertools
import json
import os
import re
import subprocess
import sys

import nbformat
from nbclient import NotebookClient
from nbformat import v4

from benchmarks.record import commit, environment, load, today
from scripts.exercises import chapters, exercises_of
from scripts.notebooks import ROOT
from scripts.plain_markdown import plain

PAGE = ROOT / "appendix" / "teaching.md"
SECONDS = ROOT / "benchmarks" / "results" / "lessons.json"
WORDS_PER_MINUTE = 150  # reading aloud
AT_HOME = ("Exercises", "Further reading")
CLOCK = """import os

def read_clock(*_):
    clock.append(sum(os.times()[:4]))

clock = []
read_clock()
get_ipython().events.register("post_run_cell", read_clock)"""
TABLE = r"(?<=<!-- {0} -->\n).*(?=<!-- end of {0} -->)"


def read(chapter):
    return nbformat.read(ROOT / f"chapters/{chapter}.ipynb", as_version=4)


def title_of(notebook):
    return re.search("^# (.+)", notebook.cells[0].source, re.MULTILINE)[1]


def sections(notebook):
    """Return the words and the code cells of each section, by its title."""
    title, found = None, {}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            if title is not None:
                shown = "hide-input" not in cell.metadata.get("tags", [])
                found[title]["words"] += words(cell.source) if shown else 0
                found[title]["cells"].append(cell)
            continue
        for part in re.split("^(?=## )", cell.source, flags=re.MULTILINE):
            if heading := re.match("## (.+)", part):
                title = heading[1]
                found[title] = {"words": 0, "cells": []}
            if title is not None:
                found[title]["words"] += words(plain(part))
    return {title: found[title] for title in found if title not in AT_HOME}


def words(text):
    """Count the words of ``text``; a formula within a line is one."""
    text = re.sub(r"(?<!\$)\$[^$\n]+\$(?!\$)", "x", text)
    return len(re.findall(r"\w[\w.'’]*", text))


def run(chapter):
    """Run a chapter and return the processor seconds of the cells of each section.

    Those of started processes count. They hardly depend on what else the machine does,
    and are at most what one core needs.
    """
    notebook = read(chapter)
    measured = [cell for cell in notebook.cells if cell.cell_type == "code"]
    first, last = v4.new_code_cell(CLOCK), v4.new_code_cell("print(*clock)")
    notebook.cells = [first, *notebook.cells, last]
    client = NotebookClient(
        notebook,
        timeout=1800,
        kernel_name="python3",
        resources={"metadata": {"path": str(ROOT / "chapters")}},
    )
    client.execute(env={**os.environ}, stderr=subprocess.DEVNULL)
    readings = [float(reading) for reading in last.outputs[0].text.split()]
    spent = [
        after - before
        for before, after in itertools.pairwise(readings[-len(measured) - 1 :])
    ]
    seconds = dict(zip(map(id, measured), spent, strict=True))
    return {
        title: round(sum(seconds[id(cell)] for cell in section["cells"]), 1)
        for title, section in sections(notebook).items()
    }


def record(names):
    """Time the chapters of these names and store what they took."""
    content = _stored()
    for name in names:
        content["environment"] = environment()
        moment = {"date": today(), "commit": commit(), "load": load()}
        content["chapters"][name] = {"seconds": run(name), **moment}
        text = json.dumps(content, indent=2) + "\n"
        SECONDS.write_text(text, encoding="utf-8")
        print(f"{name}: {sum(content['chapters'][name]['seconds'].values()):.0f} s")


def _stored():
    if not SECONDS.is_file():
        return {"chapters": {}}
    return json.loads(SECONDS.read_text(encoding="utf-8"))


def minutes_of(chapter):
    """Return the minutes of each section of a chapter, and whether its cells were timed."""
    seconds = _stored()["chapters"].get(chapter, {}).get("seconds", {})
    minutes = {
        title: section["words"] / WORDS_PER_MINUTE + seconds.get(title, 0) / 60
        for title, section in sections(read(chapter)).items()
    }
    return minutes, bool(seconds)


def minutes_table():
    """The minutes of each chapter and of its sections; "–" where no cell was timed."""
    lines = ["| chapter | minutes | its sections |", "|---|---|---|"]
    for chapter in chapters():
        minutes, timed = minutes_of(chapter)
        parts = [f"{title} {max(1, round(time))}" for title, time in minutes.items()]
        total = f"{round(sum(minutes.values()))}{'' if timed else '–'}"
        lines.append(f"| {_link(chapter)} | {total} | {' · '.join(parts)} |")
    return "\n".join(lines) + "\n"


def _link(chapter):
    return f"[{title_of(read(chapter))}](../chapters/{chapter}.ipynb)"


def points_table():
    """The points of each exercise, by its grade; "?" marks a question with letters."""
    grades = ("Warm-up", "Build", "Explore")
    lines = [f"| chapter | {' | '.join(grades)} | sum |", "|---|---|---|---|---|"]
    for chapter in chapters():
        tasks = exercises_of(chapter)
        columns = [
            ", ".join(
                f"`{task.name}`{'?' * task.is_question} {task.points}"
                for task in tasks
                if task.grade == grade
            )
            for grade in grades
        ]
        total = sum(task.points for task in tasks)
        lines.append(f"| {_link(chapter)} | {' | '.join(columns)} | {total} |")
    return "\n".join(lines) + "\n"


TABLES = {"minutes": minutes_table, "points": points_table}


def filled(page):
    """Return the text of the page with its tables as the chapters are now."""
    for name, table in TABLES.items():
        page = _table(name).sub(table().replace("\\", r"\\"), page, count=1)
    return page


def _table(name):
    return re.compile(TABLE.format(name), re.DOTALL)


def is_current(page):
    """Whether the tables are those of the chapters, the minutes give or take one."""
    fresh = filled(page)
    minutes = _table("minutes")
    if minutes.sub("", page) != minutes.sub("", fresh):
        return False
    stored, made = (
        re.split(r"(\d+)", minutes.search(text)[0]) for text in (page, fresh)
    )
    return stored[::2] == made[::2] and all(
        abs(int(one) - int(other)) <= 1 for one, other in zip(stored[1::2], made[1::2])
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--time", nargs="*", metavar="CHAPTER", help="all by default")
    options = parser.parse_args(arguments)
    if options.time is not None:
        record(options.time or chapters())
    page = PAGE.read_text(encoding="utf-8")
    if options.check:
        if not is_current(page):
            sys.exit(
                f"{PAGE.relative_to(ROOT)}: its tables are not what the chapters say. "
                "Run python -m scripts.lessons, and commit the page."
            )
        return
    PAGE.write_text(filled(page), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()

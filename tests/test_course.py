"""The course: what students get, what the teacher gets, and what the grader gives."""

import re

import nbformat
import pytest
from nbformat import v4

from scripts import lessons
from scripts.course import filled, notebook_of
from scripts.exercises import chapters, exercises_of
from scripts.grade import grade, main
from scripts.plain_markdown import plain

ANSWERED = ("input-pipelines", "structure-optimization")
PARTS = ("# Setup", "# Your answer", "# Check of")


def exercises_alone(*names):
    """One notebook of the exercises of these chapters, which solutions need no more of."""
    cells = [cell for name in names for cell in notebook_of(name).cells]
    return v4.new_notebook(cells=[c for c in cells if c.source.startswith(PARTS)])


def answers(*names):
    return {task.name: task.answer for name in names for task in exercises_of(name)}


@pytest.mark.parametrize("chapter", chapters())
def test_a_chapter_has_ten_points_and_a_stub_for_each_exercise(chapter):
    tasks = exercises_of(chapter)
    assert len(tasks) == 6 and sum(task.points for task in tasks) == 10
    source = "\n".join(cell.source for cell in notebook_of(chapter).cells)
    for task in tasks:
        assert source.count(task.stub) == source.count(task.check) == 1
        compile(task.stub, task.name, "exec")
        compile(task.answer, task.name, "exec")


@pytest.mark.parametrize("chapter", chapters())
def test_student_notebooks_hold_no_answer_and_no_output(chapter):
    student, teacher = notebook_of(chapter), notebook_of(chapter, teacher=True)
    for notebook in (student, teacher):
        nbformat.validate(notebook)
        text = "\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")
        assert not re.search(r"^[`:]{3,}\{|\{\w+\}`|\]\(\)|OWNER", text, re.MULTILINE)
    assert not any(cell.get("outputs") for cell in student.cells)
    given = "\n".join(cell.source for cell in student.cells)
    for task in exercises_of(chapter):
        solution = [cell.source for cell in task.worked]
        assert not any(source in given for source in solution if len(source) > 40)
    shown = "\n".join(cell.source for cell in teacher.cells)
    original = nbformat.read(f"chapters/{chapter}.ipynb", as_version=4)
    hidden = [
        answer.strip()
        for cell in original.cells
        for answer in re.findall(r"\{dropdown\} .+\n((?:.+\n)+?)[`:]{3}", cell.source)
    ]
    assert len(hidden) >= 6
    for answer in hidden:
        lines = [
            line
            for line in plain(answer).splitlines()
            if len(line) > 9 and "(" not in line
        ]
        assert all(line in shown and line not in given for line in lines)


def test_solutions_score_full_marks_in_whatever_order_checks_stand():
    notebook = filled(exercises_alone(*ANSWERED), answers(*ANSWERED))
    # A deleted check and one that was changed count as ours.
    checks = [c for c in notebook.cells if c.source.startswith("# Check of")]
    notebook.cells.remove(checks[0])
    checks[1].source = checks[1].source.splitlines()[0]
    marks = grade(notebook)
    assert [mark for mark in marks if mark.points < mark.most] == []
    assert sum(mark.points for mark in marks) == 20


def test_empty_and_wrong_answers_score_none(tmp_path, capsys):
    notebook = exercises_alone(*chapters())
    wrong = {
        "gs-macs": "gs_macs = 288",
        "gs-halved": "gs_halved = 'a'",
        "gs-l1": "def l1_penalty(kernel, strength):\n    return float('nan')",
        "ip-need": "raise SystemExit",
        "ip-pace": "ip_pace = (",
        "ip-share": "def rows(*_):\n    raise KeyboardInterrupt",
        "so-parameters": "so_parameters = []",
    }
    path = tmp_path / "student.ipynb"
    nbformat.write(filled(notebook, wrong), path)
    other = tmp_path / "other.ipynb"
    nbformat.write(v4.new_notebook(), other)
    broken = tmp_path / "broken.ipynb"
    broken.write_text('{"cells": [{"cell_type": "code"}], "nbformat": 4}')
    table = tmp_path / "marks.csv"
    names = [str(each) for each in (broken, path, other)]
    with pytest.raises(SystemExit):
        main([*names, "--csv", str(tmp_path / "missing" / "marks.csv")])
    assert "missing is not a folder" in capsys.readouterr().err
    assert main([*names, "--csv", str(table)]) == 1
    shown = capsys.readouterr()
    assert f"{path}: 0 of {10 * len(chapters())} points" in shown.out
    assert "Not yet: 288 MACs are those of one output position." in shown.out
    assert "without an exercise" in shown.err
    assert f"{broken}: not graded" in shown.err
    assert (
        len(table.read_text(encoding="utf-8").splitlines())
        == 1 + 6 * len(chapters()) + 2
    )


def test_the_tables_of_the_teaching_page_are_what_the_chapters_say():
    page = lessons.PAGE.read_text(encoding="utf-8")
    assert lessons.is_current(page)
    assert lessons.is_current(lessons.filled(page))
    assert not lessons.is_current(page.replace("`gs-l1` 2", "`gs-l2` 2"))


def test_plans_name_sections_and_exercises_and_leave_time_for_them():
    page = lessons.PAGE.read_text(encoding="utf-8")
    plans = page[page.index("## A workshop") : page.index("## Minutes for")]
    names = {task.name for chapter in chapters() for task in exercises_of(chapter)}
    named = set(re.findall("`([a-z]{2}-[a-z0-9]+)`", plans))
    assert len(named) > 20 and named <= names
    chapter, steps = None, []
    for part in re.split(r" \| |\n", plans):
        if link := re.search(r"chapters/([\w-]+)\.ipynb", part):
            chapter = link[1]
        titles = re.findall(r"\*([^*]+)\*", part)
        minutes = lessons.minutes_of(chapter)[0] if titles else {}
        assert set(titles) <= set(minutes), chapter
        # "- 25 minutes: *The loss*", or a row whose last cell had the minutes.
        given = re.match(r"(?:- )?(\d+)(?: minutes|$)", part)
        given = int(given[1]) if given else None
        if titles and (given or steps):
            assert 2 * sum(minutes[title] for title in titles) <= (given or steps[-1])
        steps = [given] if given and not titles else []
    assert chapter == "many-machines"

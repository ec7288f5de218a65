"""CONTRIBUTING's walks through the code name what is there, in the order of its calls."""

import ast
import re

import pytest

from scripts.notebooks import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
WALKS = {
    part.splitlines()[0]: re.findall(r"^\d+\. `([\w/.]+)` `([\w.]+)`", part, re.M)
    for part in PAGE.partition("\n## Walks\n")[2]
    .partition("\n## ")[0]
    .split("\n### ")[1:]
}


def definition(path, name):
    """The syntax tree of a function, class or method of a file."""
    node = ast.parse((ROOT / "nestrade_lib" / path).read_text(encoding="utf-8"))
    for part in name.split("."):
        node = next(
            child
            for child in node.body
            if isinstance(child, (ast.FunctionDef, ast.ClassDef)) and child.name == part
        )
    return node


def names_in(node):
    """Every name that a piece of code uses, attributes included."""
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return names | {
        each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)
    }


def test_there_are_four_walks_of_at_most_ten_steps():
    assert len(WALKS) == 4
    assert all(2 <= len(steps) <= 10 for steps in WALKS.values())


@pytest.mark.parametrize("title", WALKS)
def test_each_step_of_a_walk_uses_or_is_used_by_one_before_it(title):
    passed, used = set(), set()
    for path, name in WALKS[title]:
        uses, name = names_in(definition(path, name)), name.rpartition(".")[2]
        assert not passed or name in used or uses & passed, f"{path}: {name}"
        passed.add(name)
        used |= uses


@pytest.mark.parametrize(("path", "name"), re.findall(r"`([\w/]+\.py)`\s`(\w+)`", PAGE))
def test_what_the_walks_name_is_there(path, name):
    assert definition(path, name)

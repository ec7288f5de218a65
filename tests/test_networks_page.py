"""The appendix' page of networks has what the record has."""

import json

import pytest

from benchmarks.record import RESULTS
from benchmarks.structures.page import PAGE, page, short

RECORD = json.loads((RESULTS / "structures.json").read_text(encoding="utf-8"))


def test_the_page_is_made_from_the_record():
    assert PAGE.read_text(encoding="utf-8") == page(RECORD)


def test_no_network_of_the_record_is_cut_wrongly():
    assert not [row["name"] for row in RECORD["rows"] if row["outcome"] == "wrong"]


@pytest.mark.parametrize(
    "text, shown",
    [
        ("no (ValueError: {{a}} [1] b:), once: add", "no (ValueError), once: add"),
        ("a_b | c", r"a\_b / c"),
    ],
)
def test_a_reason_is_shown_without_the_words_of_a_backend(text, shown):
    assert short(text) == shown

"""Slides: picture, prediction and answer of each chapter, with nothing from outside."""

import re

import pytest

from scripts import slides
from scripts.exercises import chapters


def kinds(deck, kind):
    return [
        cell.source
        for cell in deck.cells
        if cell.metadata.get("slideshow", {}).get("slide_type") == kind
    ]


@pytest.mark.parametrize("chapter", chapters())
def test_a_deck_has_picture_prediction_and_answer(chapter):
    deck = slides.deck_of(chapter)
    right, down = kinds(deck, "slide"), kinds(deck, "subslide")
    pictures = [source for source in right + down if "<img" in source]
    assert pictures and all(re.search(r'alt="[^"]{20,}"', p) for p in pictures)
    headings = [source.splitlines()[0] for source in right]
    for heading in ("What this is for", "Predict before you run", "Takeaways", "Quiz"):
        assert f"## {heading}" in headings
    assert len(kinds(deck, "fragment")) == 1 + 5  # the prediction's answer, the quiz's
    assert not any("```" in source for source in right + down)
    # Nothing of the text's marks is left over, where a slide takes a part of it.
    leads = [source.split("\n\n")[1] for source in right + down]
    assert not [lead for lead in leads if lead.count("**") % 2 or lead[:1].islower()]


def test_slides_load_nothing_from_outside(tmp_path, monkeypatch):
    monkeypatch.setattr(slides, "FOLDER", tmp_path)
    slides.write("input-pipelines")
    page = (tmp_path / "input-pipelines.html").read_text(encoding="utf-8")
    loaded = re.findall(
        r'<(?:script|link|img|iframe)\b[^>]*?(?:src|href)="([^"]*)', page
    )
    assert loaded and not [url for url in loaded if re.match(r"(https?:)?//", url)]
    ours = [url for url in loaded if url.startswith("vendor/")]
    assert ours and all((slides.ROOT / "assets" / url).is_file() for url in ours)

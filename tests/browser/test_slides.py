"""The slides in a real browser: what each shows fits on a screen of 1280 by 720."""

import pytest

from scripts.exercises import chapters
from scripts.slides import FOLDER

SCREEN = {"width": 1280, "height": 720}
# Every slide with all its parts shown: how far down and to the right something reaches.
# Notes and MathJax's text of an equation for screen readers are not seen.
REACH = """() => {
  const hidden = "aside, aside *, mjx-assistive-mml, mjx-assistive-mml *"
  Reveal.configure({transition: "none"})
  return Reveal.getSlides().map(slide => {
    const {h, v} = Reveal.getIndices(slide)
    Reveal.slide(h, v, 999)
    const boxes = [...slide.querySelectorAll(`*:not(${hidden})`)]
      .map(element => element.getBoundingClientRect())
      .filter(box => box.width && box.height)
    return [slide.querySelector("h1, h2").textContent,
            Math.max(...boxes.map(box => box.right)),
            Math.max(...boxes.map(box => box.bottom))]
  })
}"""


@pytest.mark.parametrize("chapter", chapters())
def test_nothing_reaches_beyond_a_slide(chapter, visit):
    deck = FOLDER / f"{chapter}.html"
    if not deck.is_file():
        pytest.skip("no slides: run `make slides`")
    seen = visit(deck.as_uri(), viewport=SCREEN)
    assert not seen.failed and not seen.complaints
    slides = seen.page.evaluate(REACH)
    assert len(slides) > 10
    assert [
        s for s in slides if s[1] > SCREEN["width"] or s[2] > SCREEN["height"]
    ] == []

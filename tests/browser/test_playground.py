"""The page on which one draws: what is drawn, chosen or amiss, and what is said of it."""

import json

import numpy as np
import pytest

from nestrade_lib import load_mnist
from scripts.playground import RECORD, SEVEN, draw

PAGE = "appendix/playground.html"
HEAVIEST = 1e6  # bytes, before the networks are asked for
RUNTIME = ("ort.js", "wasm.js", "networks.js")
BLOT = [(x, y) for n in range(13) for x, y in ((0.1, n / 12), (0.9, n / 12 + 0.04))]


@pytest.fixture(scope="module")
def ready(browser, address):
    """The page on a phone, its networks loaded, for all tests of what it answers."""
    window = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, color_scheme="light"
    )
    page, asked = window.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}/{PAGE}")
    assert not [url for url in asked if url.partition("?")[0].endswith(RUNTIME)]
    page.click("#playground-load")
    page.locator("#playground-load").wait_for(state="hidden", timeout=120_000)
    assert all(any(url.endswith(name) for url in asked) for name in RUNTIME)
    assert [url for url in asked if not url.startswith((address, "data:"))] == []
    yield page
    window.close()


def clear(page):
    page.click("#playground-clear")
    said = page.locator("#playground-answer").inner_text()
    assert said.startswith("Nothing is drawn")


def wait_for(page, text):
    page.get_by_role("status").filter(has_text=text).wait_for()


def test_what_the_mouse_draws_is_read(ready):
    clear(ready)
    draw(ready, SEVEN)
    wait_for(ready, "Both say 7")
    cells = ready.locator("#playground-probabilities .best").all_inner_texts()
    assert len(cells) == 2 and all(cell.endswith("%") for cell in cells)
    times = ready.locator("#playground-time td").all_inner_texts()
    assert all(float(time) > 0 for time in times)
    assert ready.evaluate("document.documentElement.scrollWidth") <= 390


def test_what_a_finger_draws_is_read(ready):
    clear(ready)
    box = ready.locator("#playground-board").bounding_box()
    finger = ready.context.new_cdp_session(ready)

    def touch(kind, *points):
        places = [
            {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
            for x, y in points
        ]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    scrolled = ready.evaluate("scrollY")
    top, bottom = np.array((0.5, 0.2)), np.array((0.48, 0.8))
    touch("touchStart", top)
    for share in np.linspace(0, 1, 9):
        touch("touchMove", top + share * (bottom - top))
    touch("touchEnd")
    wait_for(ready, "Both say 1")
    assert ready.evaluate("scrollY") == scrolled


def test_a_digit_is_chosen_by_keyboard(ready):
    clear(ready)
    ready.get_by_label("Choose a 2").focus()
    ready.keyboard.press("Tab")
    ready.keyboard.press("Enter")
    wait_for(ready, "Both say 3")


def test_networks_answer_as_in_keras(ready):
    networks = json.loads(RECORD.read_text(encoding="utf-8"))["networks"]
    _, (images, _) = load_mnist(dtype="uint8")
    for name, facts in networks.items():
        expected = np.array(facts["logits"])
        pixels = images[: len(expected)].reshape(len(expected), -1).tolist()
        logits = ready.evaluate(
            """([name, images]) => Promise.all(images.map(
                image => networks.logits(name, image.map(byte => byte / 255))))""",
            [name, pixels],
        )
        assert expected.shape == (100, 10)
        assert np.abs(np.array(logits) - expected).max() < 1e-4


@pytest.mark.parametrize(
    ("stroke", "said"), [(SEVEN[:1], "This is a dot"), (BLOT, "This is a blot")]
)
def test_what_is_no_digit_is_said(stroke, said, ready):
    clear(ready)
    draw(ready, stroke)
    wait_for(ready, said)
    assert ready.locator("#playground-probabilities .best").count() == 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_an_answer(theme, ready):
    from axe_playwright_python.sync_playwright import Axe

    ready.get_by_label("Choose a 8").click()
    wait_for(ready, "Both say 8")
    ready.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
    found = Axe().run(ready).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert not serious, json.dumps(serious, indent=2)


def test_the_page_is_light_until_it_is_asked(server, visit):
    assert visit(f"{server}/{PAGE}").bytes <= HEAVIEST


@pytest.mark.parametrize("missing", ["WebAssembly", "DecompressionStream"])
def test_an_old_browser_is_told_what_to_do(missing, server, visit):
    page = visit(f"{server}/{PAGE}").page
    page.evaluate(f"delete window.{missing}")
    page.click("#playground-load")
    wait_for(page, "WebAssembly, which is off" if missing[0] == "W" else "too old")
    assert page.locator("#playground-load").is_enabled()


def test_a_missing_file_is_named(server, visit):
    page = visit(f"{server}/{PAGE}").page
    page.route("**/ort.js", lambda route: route.abort())
    page.click("#playground-load")
    wait_for(page, "The file ort.js did not load")
    assert page.locator("#playground-load").is_enabled()


def test_without_scripts_a_picture_and_the_costs_stay(server, browser):
    window = browser.new_context(java_script_enabled=False)
    page = window.new_page()
    page.goto(f"{server}/{PAGE}")
    shown = page.locator("article")
    assert shown.locator("noscript p").is_visible()
    assert shown.locator("#fig-playground").is_visible()
    assert shown.locator(".playground-costs").is_visible()
    assert not shown.locator("#playground").is_visible()
    window.close()

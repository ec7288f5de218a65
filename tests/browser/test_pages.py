"""What every page keeps to, and what the site as a whole can do."""

import json

import pytest

from tests.browser.conftest import SITE

HEAVIEST, HEAVIEST_FRONT = 1.5e6, 0.5e6  # bytes, all files of a page, uncompressed


def assert_complete(visit, address):
    """Everything came from the site, nothing complained, and all formulas are set."""
    inside = (address, "data:", "blob:")
    assert [url for url in visit.requests if not url.startswith(inside)] == []
    assert visit.failed == []
    assert visit.complaints == []
    formulas = visit.page.locator("article .math").count()
    assert visit.page.locator("article .math > mjx-container").count() == formulas
    assert visit.page.locator("article mjx-merror").count() == 0


def test_is_complete_as_served(served, server):
    assert_complete(served, server)


def test_is_complete_from_disk(stored):
    assert_complete(stored, SITE.as_uri())


def test_every_image_has_alternative_text(served):
    without = "all => all.filter(i => !i.alt.trim()).map(i => i.src)"
    assert served.page.eval_on_selector_all("img", without) == []


def test_the_picture_of_a_chapter_is_on_its_first_screen(page_path, served):
    if page_path.startswith("chapters/"):
        picture = served.page.locator("article img:not([src*='badge'])").first
        assert picture.bounding_box()["y"] < 900


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_follow_the_scheme_of_the_system(scheme, server, visit):
    page = visit(f"{server}/intro.html", color_scheme=scheme).page
    assert page.evaluate("document.documentElement.dataset.theme") == scheme


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(scheme, served):
    from axe_playwright_python.sync_playwright import (
        Axe,
    )  # only where there is a browser

    served.page.add_style_tag(content="* { transition: none !important }")
    served.page.evaluate("to => document.documentElement.dataset.theme = to", scheme)
    options = {"resultTypes": ["violations"]}  # the list of what passes is long
    if scheme == "dark":  # which changes colours alone
        options["runOnly"] = ["color-contrast"]
    found = Axe().run(served.page, options=options).response["violations"]
    serious = {
        violation["id"]: [node["html"][:200] for node in violation["nodes"]]
        for violation in found
        if violation["impact"] in ("serious", "critical")
    }
    assert not serious, json.dumps(serious, indent=2)


def test_fits_a_phone(served):
    served.page.set_viewport_size({"width": 360, "height": 740})
    assert served.page.evaluate("document.documentElement.scrollWidth") <= 360


def test_pages_are_light(page_path, served):
    heaviest = HEAVIEST_FRONT if page_path in ("index.html", "intro.html") else HEAVIEST
    assert served.bytes <= heaviest


def test_launch_button_and_badge_agree(page_path, served):
    if not page_path.startswith("chapters/"):
        return
    notebook = f"/{page_path.removesuffix('.html')}.ipynb"
    # Where no address is known, links lead to a page that says so, and keep theirs aside.
    names = ("href", "data-address")
    links = served.page.locator(
        ", ".join(f"a[{name}*='colab.research.google.com']" for name in names)
    )
    addresses = links.evaluate_all(
        "links => links.map(link => link.dataset.address || link.href)"
    )
    assert len(addresses) >= 2, "the badge and the launch button"
    assert set(addresses) == {addresses[0]} and addresses[0].endswith(notebook)


def test_sliders_work_by_keyboard(served):
    for slider in served.page.locator(".picture-sliders input").all():
        pictures = slider.locator("xpath=ancestor::div[1]").locator("img")
        before = [picture.is_visible() for picture in pictures.all()]
        slider.focus()
        served.page.keyboard.press("End")
        after = [picture.is_visible() for picture in pictures.all()]
        assert sum(before) == sum(after) == 1 and before != after
        served.page.keyboard.press("Home")


def test_answers_open_by_keyboard(served):
    for answer in served.page.locator("details.sd-dropdown").all():
        answer.locator("summary").focus()
        served.page.keyboard.press("Enter")
        assert answer.evaluate("answer => answer.open")


def test_search_finds_the_first_chapter(address, visit):
    page = visit(f"{address}/search.html?q=getting+started").page
    results = page.locator("#search-results a[href*='chapters/getting-started.html']")
    results.first.wait_for()

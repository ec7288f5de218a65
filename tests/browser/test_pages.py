"""What every page keeps to, and what the site as a whole can do."""

import json

import pytest

HEAVIEST, HEAVIEST_FRONT = 1.5e6, 0.5e6  # bytes, all files of a page, uncompressed


def test_loads_everything_from_the_site(seen, address):
    inside = (address, "data:", "blob:")
    assert [url for url in seen.requests if not url.startswith(inside)] == []
    assert seen.failed == []
    assert seen.complaints == []


def test_every_image_has_alternative_text(seen):
    without = "all => all.filter(i => !i.alt.trim()).map(i => i.src)"
    assert seen.page.eval_on_selector_all("img", without) == []


def test_formulas_are_set(seen):
    formulas = seen.page.locator("article .math").count()
    assert seen.page.locator("article .math > mjx-container").count() == formulas
    assert seen.page.locator("article mjx-merror").count() == 0


def test_sliders_work_by_keyboard(seen):
    for slider in seen.page.locator(".picture-sliders input").all():
        pictures = slider.locator("xpath=ancestor::div[1]").locator("img")
        before = [picture.is_visible() for picture in pictures.all()]
        slider.focus()
        seen.page.keyboard.press("End")
        after = [picture.is_visible() for picture in pictures.all()]
        assert sum(before) == sum(after) == 1 and before != after
        seen.page.keyboard.press("Home")


def test_answers_open_by_keyboard(seen):
    for answer in seen.page.locator("details.sd-dropdown").all():
        answer.locator("summary").focus()
        seen.page.keyboard.press("Enter")
        assert answer.evaluate("answer => answer.open")


def test_the_picture_of_a_chapter_is_on_its_first_screen(page_path, server, visit):
    if page_path.startswith("chapters/"):
        screen = {"width": 1366, "height": 768}
        page = visit(f"{server}/{page_path}", viewport=screen).page
        picture = page.locator("article img:not([src*='badge'])").first
        assert picture.bounding_box()["y"] < 900


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page_path, scheme, server, visit):
    from axe_playwright_python.sync_playwright import (
        Axe,
    )  # only where there is a browser

    page = visit(f"{server}/{page_path}", color_scheme=scheme).page
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    found = Axe().run(page).response["violations"]
    serious = {
        violation["id"]: [node["html"][:200] for node in violation["nodes"]]
        for violation in found
        if violation["impact"] in ("serious", "critical")
    }
    assert not serious, json.dumps(serious, indent=2)


def test_fits_a_phone(page_path, server, visit):
    page = visit(f"{server}/{page_path}", viewport={"width": 360, "height": 740}).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_search_finds_the_first_chapter(address, visit):
    page = visit(f"{address}/search.html?q=getting+started").page
    results = page.locator("#search-results a[href*='chapters/getting-started.html']")
    results.first.wait_for()


def test_pages_are_light(page_path, server, visit):
    heaviest = HEAVIEST_FRONT if page_path in ("index.html", "intro.html") else HEAVIEST
    assert visit(f"{server}/{page_path}").bytes <= heaviest


def test_launch_button_and_badge_agree(page_path, server, visit):
    if not page_path.startswith("chapters/"):
        return
    notebook = f"/{page_path.removesuffix('.html')}.ipynb"
    links = visit(f"{server}/{page_path}").page.locator(
        "a:is([href*='colab.research'], [data-address*='colab.research'])"
    )
    addresses = links.evaluate_all(
        "links => links.map(link => link.dataset.address ?? link.href)"
    )
    assert len(addresses) >= 2, "the badge and the launch button"
    assert set(addresses) == {addresses[0]} and addresses[0].endswith(notebook)

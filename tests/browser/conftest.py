"""The built book, in a real browser: every page of _build/html, with no network.

Without Chromium or without a built book these tests skip, and say so at the end.
"""

import contextlib
import functools
import http.server
import shutil
import threading
from pathlib import Path

import pytest

SCREEN = {"width": 1366, "height": 768}
SITE = Path(__file__).resolve().parents[2] / "_build" / "html"
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)


def missing():
    """What these tests need and do not find, or None."""
    if not CHROMIUM:
        return "no Chromium on the PATH (Debian: apt-get install chromium)"
    if not (SITE / "index.html").is_file():
        return f"no book in {SITE} (run `make book`)"
    try:
        import axe_playwright_python  # noqa: F401
        import playwright  # noqa: F401
    except ModuleNotFoundError as error:
        return f"no {error.name} (pip install playwright axe-playwright-python)"
    return None


def pages():
    """Every page of the book, as a path below the site; slides are none."""
    files = [path.relative_to(SITE) for path in SITE.rglob("*.html")]
    return sorted(path.as_posix() for path in files if path.parts[0] != "slides")


def pytest_generate_tests(metafunc):
    if "page_path" in metafunc.fixturenames:
        # One case stands for all where there is no book, so that its skip is seen.
        cases = [
            pytest.param(path, marks=pytest.mark.xdist_group(path))
            for path in pages() or ["every page"]
        ]
        metafunc.parametrize("page_path", cases, scope="module")


def pytest_collection_modifyitems(items):
    reason = missing()
    if reason:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter):
    reason = missing()
    if reason:
        terminalreporter.write_line(
            f"BROWSER TESTS SKIPPED: {reason}.", yellow=True, bold=True
        )


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def server():
    """The address of the site, served on this machine alone."""
    handler = functools.partial(QuietHandler, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Any host but this one fails to resolve: what reaches out is seen as a failure.
        arguments = [
            "--no-sandbox",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module", params=["http", "file"])
def address(request, server):
    """The site's address: served, and opened from disk."""
    return server if request.param == "http" else SITE.as_uri()


@contextlib.contextmanager
def opened(browser, url, **context):
    """Visit `url` in a window of its own."""
    window = browser.new_context(**context)
    yield Visit(window.new_page(), url)
    window.close()


@pytest.fixture
def visit(browser):
    """Open an address; return the page and what was asked for, failed or complained."""
    with contextlib.ExitStack() as stack:
        yield lambda url, **context: stack.enter_context(
            opened(browser, url, **context)
        )


@pytest.fixture(scope="module")
def served(browser, server, page_path):
    """Every page as a server gives it, opened once for all tests."""
    with opened(browser, f"{server}/{page_path}", viewport=SCREEN) as served:
        yield served


@pytest.fixture(scope="module")
def stored(browser, page_path):
    """Every page, opened from disk."""
    with opened(browser, f"{SITE.as_uri()}/{page_path}") as stored:
        yield stored


class Visit:
    """One page, opened, settled, and what happened on the way."""

    def __init__(self, page, url):
        self.page, self.requests, self.responses, self.failed, self.complaints = (
            page,
            [],
            [],
            [],
            [],
        )
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("requestfailed", lambda request: self.failed.append(request.url))
        page.on("response", self._received)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.goto(url, wait_until="networkidle")
        # MathJax sets its formulas after the load.
        page.evaluate("() => window.MathJax?.startup?.promise")

    @property
    def bytes(self):
        """What the page and all it loaded weigh, uncompressed."""
        loaded = (r for r in self.responses if not r.url.startswith("data:"))
        return sum(len(response.body()) for response in loaded)

    def _received(self, response):
        self.responses.append(response)
        if response.status >= 400:
            self.failed.append(f"{response.status} {response.url}")

    def _said(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

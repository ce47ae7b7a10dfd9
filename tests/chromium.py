"""Pages in a real browser, which `browser` in conftest.py starts."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
QUIET = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
]
needs_browser = pytest.mark.skipif(
    BROWSER is None or find_spec("playwright") is None,
    reason="no Chromium, or no playwright, is installed",
)


class OpenPage:
    """A page in the browser. It records every error and every request."""

    def __init__(self, browser, path, fragment="", **options):
        options = {"viewport": {"width": 1000, "height": 700}, **options}
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.errors, self.requests = [], []
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.address = Path(path).resolve().as_uri()
        self.page.goto(self.address + fragment)

    def close(self):
        assert self.errors == []
        assert [url for url in self.requests if not url.startswith("file://")] == []
        assert len(self.requests) == 1
        self.context.close()

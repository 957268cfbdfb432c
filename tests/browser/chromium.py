"""Chromium, driven: what it shows, what it complains of, and how it looks."""

from __future__ import annotations

import base64
import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By

from tests.npm import found, installed
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selenium.webdriver.remote.webelement import WebElement

HERE: Final = Path(__file__).parent
SCREENSHOTS: Final = HERE.parent.parent / ".ci" / "screenshots"
MISSING: Final = "apt-get install chromium chromium-driver"
DESKTOP: Final = (1280, 900)
PHONE: Final = (390, 844)
ZONE: Final = "Asia/Tokyo"
# Nobody but the driver itself asks for it.
NOT_OURS: Final = "/favicon.ico"

_AXE: Final = """
const done = arguments[arguments.length - 1];
axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
    .then(found => done(JSON.stringify(found.violations)))
    .catch(error => done(JSON.stringify([{id: String(error), nodes: []}])));
"""
_SIZE: Final = """
const page = document.documentElement;
return [page.scrollWidth, page.clientWidth, page.scrollHeight];
"""


class Browser:
    """A window of a headless Chromium at a site."""

    def __init__(self, driver: Chrome, site: str) -> None:
        self.driver = driver
        self.site = site

    def sign_in(self, session: str) -> None:
        """Be the user whose session this is, on pages that are not renewed under one's hands."""
        self.driver.get(f"{self.site}/static/faktory_django/dashboard.css")
        self.driver.delete_all_cookies()
        zone = self.script("return Intl.DateTimeFormat().resolvedOptions().timeZone")
        cookies = {"sessionid": session, "faktory_zone": zone, "faktory_every": "0"}
        for name, value in cookies.items():
            self.driver.add_cookie({"name": name, "value": value, "path": "/"})
        self.complaints()

    def visit(self, path: str) -> None:
        """Open a page of the site."""
        self.driver.get(self.site + path)

    def look(
        self, *, dark: bool = False, language: str = "en", size: tuple[int, int] = DESKTOP
    ) -> None:
        """Choose the theme, the language and the size of the window for the pages to come."""
        feature = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._cdp("Emulation.setEmulatedMedia", features=[feature])
        self.driver.add_cookie({"name": "django_language", "value": language, "path": "/"})
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1}
        self._cdp("Emulation.setDeviceMetricsOverride", mobile=size == PHONE, **metrics)

    def complaints(self) -> list[str]:
        """Return what the console has said since the last call: errors, and breaches of the CSP."""
        logged: Any = self.driver.execute("getLog", {"type": "browser"})["value"]
        return [entry["message"] for entry in logged if NOT_OURS not in entry["message"]]

    def text(self) -> str:
        """Return what can be read on the page."""
        return str(self.script("return document.body.innerText"))

    def read(self, selector: str) -> str:
        """Return the text of an element, in one look: a renewal may exchange it between two."""
        return str(self.script("return document.querySelector(arguments[0]).innerText", selector))

    def all(self, selector: str) -> list[WebElement]:
        """Return what a CSS selector finds."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        """Return the first that a CSS selector finds."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def press(self, selector: str) -> None:
        """Click on something that leads to a page, and wait for the page."""
        self.script("window.left = true")
        self.one(selector).click()
        until(self._has_arrived, f"{selector} leads to a page")

    def _has_arrived(self) -> bool:
        try:
            return bool(self.script("return !window.left && document.readyState === 'complete'"))
        except WebDriverException:  # between two pages
            return False

    def wait_for(self, text: str) -> None:
        """Wait until the page says something."""
        until(lambda: text in self.text(), f"the page says {text!r}")

    def script(self, source: str, *arguments: Any) -> Any:
        """Run a script as the driver, which no policy of the page binds."""
        return self.driver.execute_script(source, *arguments)

    @contextmanager
    def without_javascript(self) -> Iterator[None]:
        """Let no page run a script."""
        self._cdp("Emulation.setScriptExecutionDisabled", value=True)
        try:
            yield
        finally:
            self._cdp("Emulation.setScriptExecutionDisabled", value=False)

    def violations(self) -> list[str]:
        """Return what axe-core finds against WCAG AA, one line a kind with its first element."""
        if not self.script("return 'axe' in window"):
            self.script((installed(HERE / "node") / "node_modules/axe-core/axe.min.js").read_text())
        self.driver.set_script_timeout(60)
        kinds = json.loads(self.driver.execute_async_script(_AXE))
        return [
            f"{kind['id']}: {node['html'][:200]} {node.get('failureSummary', '')}"
            for kind in kinds
            for node in kind["nodes"][:3] or [{"html": ""}]
        ]

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than its window."""
        wide, seen, _high = self.script(_SIZE)
        return int(wide - seen)

    def picture(self, name: str) -> None:
        """Keep a picture of the whole page, for people to look at."""
        width, _seen, height = self.script(_SIZE)
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, 4_000), "scale": 1}
        taken = self._cdp("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        (SCREENSHOTS / f"{name}.png").write_bytes(base64.b64decode(taken["data"]))

    def _cdp(self, command: str, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, parameters)


def start() -> Chrome:
    """Start a headless Chromium of this machine; never download one."""
    options = ChromeOptions()
    options.binary_location = found("chromium", missing=MISSING)
    # In a container root has no sandbox, and /dev/shm is small.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = found("chromedriver", missing=MISSING)
    # Django has put the site's zone into the environment: people live in another one.
    service = ChromeService(executable_path=driver, env={**os.environ, "TZ": ZONE})
    return Chrome(options=options, service=service)

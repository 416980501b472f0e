"""A headless Chromium (Debian's) over the app and a simulated cluster. Never skipped: a machine
without it fails, and says what to install."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.e2e.running import House, running_house, until

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Without these Chromium looks for hosts of its maker at every start.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PLAIN = {"fail": "none", "load_seconds": 0.8, "start_delay": 0, "answer": "ok"}


@dataclass
class Visitor:
    """Opens pages and remembers what the browser complained of."""

    browser: Browser
    url: str
    complaints: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def open(self, *, width: int = 1280, height: int = 900, **options: Any) -> Page:
        context = self.browser.new_context(
            viewport={"width": width, "height": height}, reduced_motion="reduce", **options
        )
        context.set_default_timeout(20_000)
        self.contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self._hear(said.type, said.text))
        page.goto(self.url)
        return page

    def _hear(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(text)


# Not of the session: while Playwright runs, asyncio takes this thread's loop for running, and the
# asynchronous tests of other folders could not start theirs.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.fail("no Chromium here: run `apt-get install -y chromium` (or `make test` as root)")
    with sync_playwright() as playwright:
        expect.set_options(timeout=30_000)  # a loaded machine is no failure of the page
        started = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("browser")
    with running_house(folder, load_seconds=PLAIN["load_seconds"]) as made:
        yield made


@pytest.fixture
def house(running: House) -> Iterator[House]:
    """Each test leaves the cluster as it found it: no swap under way, a plain scenario."""
    yield running
    running.sim.scenario("spark-1", **PLAIN)

    def idle() -> bool:
        swaps = running.get("/swaps", limit=5)["swaps"]
        return all(swap["finished_at"] for swap in swaps)

    until(idle, "all swaps to end")


@pytest.fixture
def visitor(browser: Browser, house: House) -> Iterator[Visitor]:
    """Fails when the browser complained of anything: a script error, a blocked inline style."""
    made = Visitor(browser, house.url)
    yield made
    for context in made.contexts:
        context.close()
    assert made.complaints == []

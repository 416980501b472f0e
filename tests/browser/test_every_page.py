"""What holds for every page alike: for everybody, on a phone, by keyboard, without JavaScript.

Each address is opened in a browser that runs scripts and in one that runs none, which stay open
for the whole module, over a house where every page has something to show.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from playwright.sync_api import Browser, Page, expect

from server.base.bus import EventBus
from server.base.clock import SystemClock
from server.web.pages.notice import NoticeBoard
from server.web.pages.routes import make_site
from server.web.pages.routes import routes as pages
from server.web.pages.settings.sections import TABS
from server.web.pages.styleguide import ROOMS
from tests.browser.axe import violations
from tests.browser.conftest import PLAIN, Visitor
from tests.browser.test_dashboard import connected, overflow
from tests.e2e.running import ONE, TWO, House

pytestmark = pytest.mark.browser

PLACES = (
    "/",
    "/hosts/{name}",
    "/models",
    "/models/new",
    "/models/import",
    "/models/{model_id}",
    "/models/{model_id}/edit",
    "/swaps",
    "/swaps/new",
    "/swaps/{swap_id}",
    "/services",
    "/services/{name}",
    *("/try", "/try/transcribe", "/try/speak", "/try/compare"),
    "/activity",
    *(f"/settings/{tab.key}" for tab in TABS),
    *("/settings/hosts/new", "/settings/hosts/{name}"),
    *("/settings/services/new", "/settings/services/{name}"),
    *("/settings/keys/new", "/settings/keys/{key_id}"),
    "/settings/backup/{backup_id}",
    "/welcome",
    *ROOMS,
)
ELSEWHERE = {
    "/login": "test_login.py, where there is a lock",
    "/settings": "leads to the first of its pages",
    "/settings/{section}": "each by its own name here",
}
# Controls that need a script are hidden where none runs; all else is there for both.
CONTENT = """
() => {
  const shown = [...document.querySelectorAll("main h1, main h2, main h3")].filter(
    (one) => one.checkVisibility() && !one.closest(".scripted, [data-drawn]"));
  return shown.map((one) => one.childNodes[0].textContent.trim() || one.textContent.trim());
}
"""
OPEN_ALL = "document.querySelectorAll('main details').forEach((one) => (one.open = true))"


@dataclass
class Open:
    """Two browsers at one house: `scripted` and `plain`."""

    house: House
    ids: dict[str, str]
    scripted: Page
    plain: Page
    visitor: Visitor

    def address(self, place: str) -> str:
        name = "spark-1" if "hosts/" in place else "parakeet"
        return self.house.url + place.format(name=name, **self.ids)


def filled(house: House) -> dict[str, str]:
    """Something for every page: a model served, a swap that failed, a key, a backup."""
    house.swap(ONE)
    house.sim.scenario("spark-1", fail="oom", only=TWO)
    failed = house.swap(TWO)
    house.sim.scenario("spark-1", **PLAIN)
    house.chat(ONE)
    key = house.post("/keys", {"name": "minutes"}, status=201)
    backup = house.post("/backups", {}, status=201)
    return {
        "model_id": ONE,
        "swap_id": failed["id"],
        "key_id": key["id"],
        "backup_id": backup["id"],
    }


@pytest.fixture(scope="module")
def everywhere(browser: Browser, running: House) -> Iterator[Open]:
    ids = filled(running)
    visitor = Visitor(browser, running.url)
    plain = visitor.open(width=360, height=740, java_script_enabled=False)
    yield Open(running, ids, visitor.open(), plain, visitor)
    for context in visitor.contexts:
        context.close()


def test_no_page_is_forgotten_here(tmp_path: Path) -> None:
    """Every address that is drawn as a page stands in the list."""
    board = NoticeBoard(EventBus(), SystemClock())
    site = make_site(tmp_path, tmp_path, notices=board, public_key="", refusal=lambda model: None)
    routes = [one for one in pages(site).routes if isinstance(one, APIRoute)]
    found = {one.path for one in routes if "GET" in one.methods}
    drawn = {path for path in found if not path.startswith(("/ui/", "/static/"))}
    assert drawn - set(PLACES) - ELSEWHERE.keys() == set()


@pytest.mark.parametrize("place", PLACES)
def test_a_page_is_for_everybody(everywhere: Open, place: str) -> None:
    """One title, one heading, a way past the navigation, no rule of axe broken in light nor, with
    all that can be opened open, in dark; no sideways scrolling on a phone; nothing that the browser
    complains of; and without JavaScript it says the same."""
    page, plain = everywhere.scripted, everywhere.plain
    everywhere.visitor.complaints.clear()
    page.set_viewport_size({"width": 1280, "height": 900})
    page.emulate_media(color_scheme="light")
    address = everywhere.address(place)
    answer = page.goto(address)
    assert answer is not None
    assert answer.status == 200
    connected(page)
    titled(page)
    past_the_navigation(page)
    assert violations(page) == []
    there = page.evaluate(CONTENT)
    page.evaluate(OPEN_ALL)
    page.emulate_media(color_scheme="dark")
    assert violations(page) == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert overflow(page) <= 0
    page.set_viewport_size({"width": 1920, "height": 1080})
    assert overflow(page) <= 0
    plain.goto(address)
    titled(plain)
    assert set(there) <= set(plain.evaluate(CONTENT))
    assert plain.locator(".scripted").filter(visible=True).count() == 0
    assert overflow(plain) <= 0
    assert everywhere.visitor.complaints == []


def titled(page: Page) -> None:
    assert re.fullmatch(r".+ · Spark Control", page.title())
    expect(page.locator("h1")).to_have_count(1)
    expect(page.locator("h1")).not_to_be_empty()


def past_the_navigation(page: Page) -> None:
    """The first Tab shows the link, Enter goes to what the page is about."""
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


def test_every_page_has_a_title_of_its_own(everywhere: Open) -> None:
    """Tabs of a browser are told apart by it."""
    titles: dict[str, str] = {}
    for place in PLACES:
        body = everywhere.house.http.get(everywhere.address(place)).text
        found = re.search(r"<title>(.*?)</title>", body, re.DOTALL)
        assert found is not None, (place, body[:500])
        assert titles.setdefault(found[1], place) == place


def test_an_act_that_is_asked_about_twice_is_done_by_keyboard(everywhere: Open) -> None:
    """Keeping it as it is, Escape and what is refused all lead back to where one was."""
    page, house = everywhere.scripted, everywhere.house
    own = {"id": "own", "source": {"path": f"{house.sim.dir}/srv/models/own"}}
    house.post("/models", own, status=201)
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(f"{house.url}/models/own")
    connected(page)
    verb = page.locator("summary", has_text="Remove")
    box = page.locator("details.confirm", has=verb)
    for leave in ("Tab Tab Tab Enter", "Tab Escape", "Tab o d l Tab Enter"):
        verb.focus()
        page.keyboard.press("Enter")
        expect(box).to_have_attribute("open", "")
        for key in leave.split():
            page.keyboard.press(key)
        expect(box).not_to_have_attribute("open", "")
        expect(verb).to_be_focused()
    expect(page.get_by_role("alert")).to_contain_text("type own to remove it")
    everywhere.visitor.complaints.clear()  # the answer that refuses
    house.http.delete("/api/v1/models/own")

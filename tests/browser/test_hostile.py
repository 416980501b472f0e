"""Text from elsewhere is text, on every page that shows it: what a model is called, what somebody
asked for, what an engine writes, what stands in the settings. Logs and the pages of the catalog
have tests of their own beside this walk."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PLAIN, Visitor
from tests.browser.test_dashboard import connected, overflow
from tests.e2e.running import ONE, TWO, House

pytestmark = pytest.mark.browser

MARKUP = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script> {{ 7*7 }} &amp;</p>'
TURNED, NOTHING = "left \u202eright\u200b", "a\x00b\x1b[31mc"
LONG = "W" * 500
SAYS = "\n".join((MARKUP, TURNED, NOTHING, "x" * (1 << 20)))
MADE = "img[src=x], [onerror], script:not([src])"
"""What there would be in the page if any of it were taken for markup."""


@pytest.fixture
def hostile(house: House) -> Iterator[str]:
    """A swap to a model whose name is markup, on a host whose engine writes worse; its id."""
    overrides: Path = house.sim.dir / "models.override.yaml"
    before, config = overrides.read_text(), house.config.read_text()
    source = json.dumps(house.sim.model(ONE))
    entry = {"name": json.dumps(MARKUP), "description": json.dumps(MARKUP + LONG)}
    body = ", ".join(f"{key}: {value}" for key, value in entry.items())
    overrides.write_text(f"{before}  - {{id: hostile, {body}, source: {{path: {source}}}}}\n")
    links = json.dumps([{"name": MARKUP[:60], "url": "http://127.0.0.1/?a=1&amp;b=2"}])
    house.config.write_text(f"{config}\nlinks: {links}\n")
    house.sim.scenario("spark-1", says=SAYS, fail="oom", only=ONE)
    yield house.swap("hostile")["id"]
    house.sim.scenario("spark-1", **PLAIN, says="", only="")
    overrides.write_text(before)
    house.config.write_text(config)


def harmless(page: Page) -> None:
    assert page.locator(f"body :is({MADE})").count() == 0
    assert page.evaluate("window.hacked") is None
    assert "49" not in page.title()
    page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    assert overflow(page) <= 0


def test_text_from_elsewhere_is_inert_on_every_page(
    visitor: Visitor, house: House, hostile: str
) -> None:
    """No element is made of it, no script of it runs, no template; a narrow page stays narrow."""
    for asked in (MARKUP, TURNED, NOTHING, LONG):
        body = {"model": asked, "messages": [{"role": "user", "content": asked}]}
        answer = house.http.post(
            "/v1/chat/completions", json=body, headers={"user-agent": MARKUP, "x-client": MARKUP}
        )
        assert answer.status_code == 404
    page = visitor.open(width=360, height=740)
    shown = {
        "/": ("#models", MARKUP),
        "/models": ("#catalog", MARKUP),
        "/models/hostile": ("h1", MARKUP),
        "/models/hostile/edit": ("h1", MARKUP),
        f"/swaps/{hostile}": ("[data-log-lines]", "<script>window.hacked=1</script>"),
        "/swaps": ("#past", "hostile"),
        "/swaps/new?model=hostile": ("#plan", MARKUP),
        "/try": ("select", MARKUP),
        "/activity": ("#activity", MARKUP),
        "/services": ("#services", MARKUP[:60]),
        "/settings/links": ("main", "Links"),
        "/styleguide": ("main", "<img src=x"),
        f"/models/{'%3Cimg%20src=x%20onerror=alert(1)%3E'}": ("main", "<img"),
        f"/swaps/new?model={'%3Cimg%20src=x%20onerror=alert(1)%3E'}": ("main", "<img"),
        "/activity?model=%3Cimg%20src=x%3E%22%3E&client=%00%E2%80%AE": ("main", "Filter"),
    }
    for path, (place, words) in shown.items():
        page.goto(house.url + path)
        connected(page)
        expect(page.locator(place).first).to_contain_text(words)
        harmless(page)
        text = page.locator("body").inner_text()
        assert not set(text) & {"\u202e", "\u200b", "\x00", "\x1b"}, path
    visitor.complaints[:] = [one for one in visitor.complaints if "status of 4" not in one]


def test_it_is_inert_when_an_event_brings_it(visitor: Visitor, house: House, hostile: str) -> None:
    """An open page is told by values, and draws them as the first page was drawn."""
    page = visitor.open(width=360, height=740)
    connected(page)
    house.sim.scenario("spark-1", **PLAIN, says=SAYS, only=TWO)
    house.swap("hostile")
    expect(page.locator("#serving strong")).to_have_text("hostile")
    expect(page.locator("#served")).to_contain_text(MARKUP)
    house.config.write_text(f"{house.config.read_text()}{json.dumps(MARKUP)}: 1\n")
    expect(page.locator("#notices")).to_contain_text("<img src=x onerror=")
    harmless(page)
    house.ended(house.post("/unload")["id"])

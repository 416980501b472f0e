"""Open pages outlive the server: what changed while it was away is there without a reload."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.test_dashboard import connected, mark
from tests.e2e.running import ONE, House

pytestmark = pytest.mark.browser

SHOWN = {
    "/": "#services",
    "/models": "#catalog",
    "/services": "#services",
    "/settings/services": "#settings-list",
    "/hosts/spark-2": "#now-spark-2",
}


@pytest.fixture
def kept(house: House) -> Iterator[House]:
    """The settings and the catalog are put back."""
    files = (house.config, house.sim.dir / "models.override.yaml")
    before = {file: file.read_text() for file in files}
    yield house
    for file, text in before.items():
        file.write_text(text)
    house.sim.scenario("spark-2", page_cache_bytes=6 << 30)


def test_every_page_catches_up_after_a_restart(visitor: Visitor, kept: House) -> None:
    """While nobody answers, each says that it is old; afterwards each shows what is true now."""
    kept.hosts_up()
    opened = {}
    for path in SHOWN:
        page = opened[path] = visitor.open()
        page.goto(kept.url + path)
        connected(page)
    marks = [mark(page) for page in opened.values()]
    assert kept.stop() == 0
    for page in opened.values():
        expect(page.locator("#stale")).to_be_visible()
    overrides = kept.sim.dir / "models.override.yaml"
    source = json.dumps(kept.sim.model(ONE))
    overrides.write_text(f"{overrides.read_text()}  - {{id: late, source: {{path: {source}}}}}\n")
    service = "  - {name: late, kind: other, host: spark-2, port: 9}\n"
    text = kept.config.read_text()
    assert "\nservices:\n" in text
    kept.config.write_text(text.replace("\nservices:\n", f"\nservices:\n{service}"))
    kept.sim.scenario("spark-2", page_cache_bytes=40 << 30)
    kept.start()
    for path, page in opened.items():
        expect(page.locator("#stale")).to_be_hidden()
        there = "40.5 GiB" if path.startswith("/hosts/") else "late"
        expect(page.locator(SHOWN[path])).to_contain_text(there)
    for still_there in marks:
        still_there()
    visitor.complaints.clear()  # refused connections

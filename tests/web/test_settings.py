"""The settings without a browser: forms made from the schema, mistakes at their field, stale forms,
hosts whose key a person compares, hostile names."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.base.bus import EventBus
from server.base.clock import SystemClock
from server.web.pages.notice import NoticeBoard
from server.web.pages.routes import make_site, routes
from tests.web.forms import form_of, words_of
from tests.web.made import Web, web

ROOT = Path(__file__).resolve().parents[2]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 spark-control"
HTMX = {"HX-Request": "true"}
HTML = "<script>alert(1)</script>"


def made_site(tmp_path: Path):  # type: ignore[no-untyped-def]
    board = NoticeBoard(EventBus(), SystemClock())
    return make_site(
        ROOT / "templates", tmp_path / "dist", notices=board, public_key=KEY, refusal=lambda _: None
    )


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Web]:
    async with web(tmp_path, pages=[routes(made_site(tmp_path))]) as made:
        yield made


# ---- sections


@pytest.mark.parametrize("section", ["engine", "gateway", "audio", "fleet", "web", "log"])
async def test_a_section_saved_as_it_was_opened_changes_nothing(
    pages: Web, tmp_path: Path, section: str
) -> None:
    """Every field of the schema is there, and what nobody touched is not written."""
    before = (tmp_path / "config.yaml").read_text()
    got = await pages.client.get(f"/settings/{section}")
    assert got.status_code == 200
    given = form_of(got.text, f"/ui/settings/{section}")
    keys = set(type(getattr(pages.parts.settings.current, section)).model_fields)
    assert keys <= set(given)
    saved = await pages.client.post(f"/ui/settings/{section}", data=given)
    assert (saved.status_code, saved.headers["location"]) == (303, f"/settings/{section}?said=saved")
    assert (tmp_path / "config.yaml").read_text() == before


# ---- the first run


@pytest.fixture
async def empty(tmp_path: Path) -> AsyncIterator[Web]:
    """Nothing configured yet."""
    async with web(tmp_path, config="", pages=[routes(made_site(tmp_path))]) as made:
        yield made


async def test_without_hosts_the_first_run_begins(empty: Web) -> None:
    """The overview leads there; our key and the form stand ready."""
    led = await empty.client.get("/")
    assert (led.status_code, led.headers["location"]) == (303, "/welcome")
    page = await empty.client.get("/welcome")
    assert page.status_code == 200
    assert KEY in words_of(page.text)
    assert form_of(page.text, "/ui/welcome/host")["user"] == "ubuntu"

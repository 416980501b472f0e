"""What every page has around it, how forms are answered, and what goes over the wire."""

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.base.bus import EventBus
from server.base.clock import SystemClock
from server.base.errors import InvalidValue
from server.web.errors import InvalidFields
from server.web.pages.answer import page_of
from server.web.pages.flash import QUIET, SAID, said
from server.web.pages.form import fresh, is_stale, outdated, refused, version_of
from server.web.pages.frame import NAV
from server.web.pages.notice import NoticeBoard
from server.web.pages.packing import takes_gzip
from server.web.pages.routes import make_site, routes
from server.web.pages.styleguide import ROOMS, apart
from tests.web.made import Web, web
from tests.web.test_pages import KEY, ROOT, built, refusal

HTMX = {"HX-Request": "true"}
PERSON = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Web]:
    dist = built(tmp_path / "dist", app_css="a{}" * 400, icons_svg="<svg/>", favicon_svg="<svg/>")
    board = NoticeBoard(EventBus(), SystemClock())
    site = make_site(ROOT / "templates", dist, notices=board, public_key=KEY, refusal=refusal)
    async with web(tmp_path, pages=[routes(site)]) as made:
        yield made


# ---- the frame


async def test_every_page_has_the_same_navigation_and_marks_where_one_is(pages: Web) -> None:
    """Each entry leads to a page, and that page says so. (/try has its own router and tests.)"""
    for entry in [one for one in NAV if one.key != "try"]:
        got = await pages.client.get(entry.href, follow_redirects=True)
        assert got.status_code == 200, entry.href
        assert f'<a href="{entry.href}" aria-current="page">' in got.text, entry.href
        assert got.text.count('aria-current="page">') >= 1
        assert 'id="serving"' in got.text
        assert 'class="skip"' in got.text
        assert got.text.count("<h1>") == 1


async def test_only_pages_without_fields_load_themselves_anew(pages: Web) -> None:
    """A refresh without JavaScript would lose what is being typed."""
    assert 'http-equiv="refresh"' in (await pages.client.get("/")).text
    assert 'http-equiv="refresh"' not in (await pages.client.get("/settings/hosts/new")).text


async def test_an_address_that_leads_nowhere_is_a_page_for_people(pages: Web) -> None:
    """With its status; programs get JSON, fragments too."""
    got = await pages.client.get("/hosts/nowhere", headers=PERSON)
    assert got.status_code == 404
    assert "<!doctype html>" in got.text
    assert "nowhere" in got.text
    for headers in ({}, {**PERSON, **HTMX}):
        program = await pages.client.get("/hosts/nowhere", headers=headers)
        assert program.json()["error"]["code"] == "not_found"


# ---- answers


@pytest.mark.parametrize(
    ("referrer", "place"),
    [
        ("http://box:9999/hosts/spark-1?a=b", "/hosts/spark-1?a=b"),
        ("http://box:9999/", "/"),
        ("", "/home"),
        ("http://evil.example/hosts", "/home"),
        ("http://box:9999//evil.example", "/home"),
        ("http://box:9999/\\evil.example", "/home"),
        ("http://box:9999/ui/swaps", "/home"),
        ("javascript:alert(1)", "/home"),
        ("http://[broken", "/home"),
        ("http://box:9999/a b\r\nX: y", "/a%20bX:%20y"),
    ],
)
def test_a_form_leads_back_to_the_page_it_stood_on(referrer: str, place: str) -> None:
    """And nowhere else: the referrer is what a client says."""
    assert page_of(referrer, "box:9999", "/home") == place


async def test_without_javascript_a_form_leads_back_or_says_what_is_wrong(pages: Web) -> None:
    """On a page of its own, with the way back."""
    there = {"Referer": f"{pages.client.base_url}/hosts/spark-1"}
    done = await pages.client.post("/ui/unload", headers=there)
    assert done.status_code == 303
    assert done.headers["location"] == "/hosts/spark-1"
    wrong = await pages.client.post("/ui/hosts/spark-1/accept-key", headers=there)
    assert wrong.status_code == 422
    assert 'role="alert"' in wrong.text
    assert 'href="/hosts/spark-1"' in wrong.text


async def test_dismiss_stays_on_the_page(pages: Web) -> None:
    """Not every message is told on the overview."""
    got = await pages.client.post("/ui/swaps", data={"model": ""}, headers=HTMX)
    assert '<a class="dismiss" href="" data-dismiss>' in got.text


def test_an_address_says_only_what_we_wrote() -> None:
    """`?said=` is anybody's to write."""
    assert said("saved").message == SAID["saved"]
    assert said("<b>you won</b>") == QUIET


# ---- forms with fields


def test_a_refused_form_keeps_what_was_typed_and_marks_the_field() -> None:
    """The words stand beside the field, without its name again."""
    given = {"name": "spark 3", "port": "x", "version": "v1"}
    form = refused(given, InvalidValue("port: use a whole number", param="port"))
    assert form.value("name") == "spark 3"
    assert form.error("port") == "use a whole number"
    assert form.error("name") == ""
    assert (form.message, form.version) == ("", "v1")
    assert form.refused


def test_several_wrong_fields_are_all_marked_and_the_rest_is_told_above() -> None:
    """An error of a field that the form has not is not lost."""
    form = refused({"a": "1", "b": "2"}, InvalidFields([("a", "no"), ("b", "never"), ("c", "odd")]))
    assert (form.error("a"), form.error("b")) == ("no", "never")
    assert form.message == "c: odd"
    whole = refused({"a": "1"}, InvalidValue("The disk is full.", advice="Free some."))
    assert (whole.message, whole.advice) == ("The disk is full.", "Free some.")


def test_a_stale_form_loses_nothing_and_can_be_sent_again() -> None:
    """It shows what is saved now where that differs, and has the new version."""
    before, after = version_of({"a": 1}), version_of({"a": 2})
    assert before != after
    assert not is_stale({"version": after}, after)
    assert not is_stale({}, after)
    assert is_stale({"version": before}, after)
    form = outdated({"a": "mine", "b": "same", "version": before}, {"a": "2", "b": "same"}, after)
    assert form.stale
    assert (form.value("a"), form.saved("a"), form.saved("b")) == ("mine", "2", None)
    assert form.version == after
    assert fresh({"a": "1"}, after).saved("a") is None


# ---- over the wire


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("gzip, deflate, br", True),
        ("GZIP;q=0.5", True),
        ("*", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.0, br", False),
        ("identity", False),
    ],
)
def test_gzip_is_sent_to_those_who_take_it(accepted: str, takes: bool) -> None:
    """A weight of 0 is a no."""
    assert takes_gzip(accepted) == takes


async def test_assets_and_pages_are_packed_and_answers_to_forms_are_not(pages: Web) -> None:
    """The length of an answer to a form must not tell what is in it."""
    zipped, plain = {"Accept-Encoding": "gzip"}, {"Accept-Encoding": "identity"}
    page = await pages.client.get("/", headers=zipped)
    assert page.headers["content-encoding"] == "gzip"
    assert page.headers["vary"] == "Accept-Encoding"
    assert int(page.headers["content-length"]) < len(page.content) / 3
    bare = await pages.client.get("/", headers=plain)
    assert "content-encoding" not in bare.headers
    assert bare.headers["vary"] == "Accept-Encoding"
    sheet = "/static/app." + page.text.split('href="/static/app.')[1].split('"')[0]
    got = await pages.client.get(sheet, headers=zipped)
    assert got.headers["content-encoding"] == "gzip"
    assert got.text == "a{}" * 400
    assert (await pages.client.get(sheet, headers=plain)).text == "a{}" * 400
    refused_form = await pages.client.post("/ui/swaps", data={"model": ""}, headers=zipped)
    assert len(refused_form.content) > 8192
    assert "content-encoding" not in refused_form.headers
    assert gzip.decompress(gzip.compress(b"x", mtime=0)) == b"x"


# ---- icons


def test_every_icon_that_a_page_names_is_in_the_sprite() -> None:
    """A name that is not there would be a gap on the page, and nothing would say so."""
    lines = (ROOT / "static" / "src" / "icons.txt").read_text().splitlines()
    listed = {line.partition("#")[0].strip() for line in lines}
    named = {entry.icon for entry in NAV}
    for template in (ROOT / "templates").rglob("*.html"):
        named |= set(re.findall(r'\bicon\("([a-z0-9-]+)"', template.read_text()))
    assert named > {"copy", "server"}
    assert named - listed == set()


# ---- the styleguide


@pytest.mark.parametrize("place", ROOMS)
async def test_the_styleguide_draws_every_example_and_none_is_live(pages: Web, place: str) -> None:
    """Ids are its own, what is hostile is inert, and no form of an example acts."""
    got = await pages.client.get(place)
    assert 'action="/ui/' not in got.text.replace(' hx-post="/ui/', "")
    assert got.status_code == 200
    assert "hx-ignore" in got.text
    assert "<img src=x" not in got.text
    ids = [part.split('"')[0] for part in got.text.split(' id="')[1:]]
    assert len(ids) == len(set(ids))


def test_examples_stand_apart() -> None:
    """What names an id follows it; other addresses stay; landmarks have names of their own."""
    assert apart('<section id="a" aria-labelledby="b">', 1) == (
        '<section id="a-1" aria-label="Example 1">'
    )
    html = '<p id="a" aria-labelledby="a b"><a href="#a"></a><a href="/x"></a><b data-id="a">'
    assert apart(html, 3) == (
        '<p id="a-3" aria-labelledby="a-3 b-3"><a href="#a-3"></a><a href="/x"></a><b data-id="a">'
    )

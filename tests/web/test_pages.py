"""The pages without a browser: headers, assets, every state of the fragments, forms without
JavaScript, and names that come from elsewhere."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from server.base.bus import EventBus
from server.base.clock import SystemClock
from server.base.errors import InvalidValue, SparkError
from server.base.finding import Finding, Severity
from server.base.health import Verdict
from server.catalog.model import Model
from server.fleet.model import (
    Container,
    Disk,
    Gpu,
    GpuProcess,
    HostStatus,
    Memory,
    Sample,
    ServiceStatus,
)
from server.ssh.model import Target
from server.swap.model import State, StepRecord, SwapError
from server.web.pages.assets import Assets
from server.web.pages.host import memory_bar
from server.web.pages.moment import ago
from server.web.pages.notice import NoticeBoard
from server.web.pages.routes import make_site, routes
from server.web.pages.site import FRAGMENTS
from tests.gateway.made import serving
from tests.swap.made import T0, at, deployment, record
from tests.web.made import Web, web

ROOT = Path(__file__).resolve().parents[2]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 spark-control"
HTML = "<script>alert(1)</script>\x1b[31m\u202e\"'&"
INERT = "&lt;script&gt;alert(1)&lt;/script&gt;\\u202e&#34;&#39;&amp;"
HTMX = {"HX-Request": "true"}
GIB = 1 << 30


def built(folder: Path, **files: str) -> Path:
    """A build of the assets, as `scripts/assets.py` leaves it."""
    folder.mkdir(exist_ok=True)
    manifest = {}
    for name, text in files.items():
        stem, suffix = name.rsplit("_", 1)
        hashed = f"{stem}.{abs(hash(text)) % 10**10:010d}.{suffix}"
        (folder / hashed).write_text(text)
        manifest[f"{stem}.{suffix}"] = hashed
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def refusal(model: Model) -> SparkError | None:
    if model.id == "large":
        return InvalidValue("large wants 2 nodes, and 1 can take it", advice="Add hosts.")
    return None


@pytest.fixture
def board() -> NoticeBoard:
    return NoticeBoard(EventBus(), SystemClock())


@pytest.fixture
async def pages(tmp_path: Path, board: NoticeBoard) -> AsyncIterator[Web]:
    files = {"app_css": "a{}", "app_js": "1", "htmx_js": "2", "htmx-sse_js": "3"}
    dist = built(tmp_path / "dist", favicon_svg="<svg/>", **files)
    site = make_site(ROOT / "templates", dist, notices=board, public_key=KEY, refusal=refusal)
    async with web(tmp_path, pages=[routes(site)]) as made:
        yield made


def sample(**fields: Any) -> Sample:
    blank: dict[str, Any] = {
        "host": "spark-1",
        "at": T0,
        "boot_id": None,
        "uptime": None,
        "load": None,
        "cores": None,
        "gpus": (),
        "memory": Memory(),
        "disks": (),
        "nics": (),
        "containers": None,
    }
    return Sample(**(blank | fields))


def see(pages: Web, verdict: Verdict, last: Sample | None = None, age: float = 0) -> None:
    seen = pages.parts.clock.now() - timedelta(seconds=age) if last else None
    pages.fleet.hosts["spark-1"] = HostStatus("spark-1", verdict, last, seen)


async def text(pages: Web, part: str) -> str:
    got = await pages.client.get(f"/ui/{part}")
    assert got.status_code == 200, got.text
    return " ".join(got.text.split())


# ---- headers and assets


@pytest.mark.parametrize("path", ["/", *(f"/ui/{part}" for part in FRAGMENTS)])
async def test_every_page_carries_the_security_headers(pages: Web, path: str) -> None:
    """No inline script or style, no framing, no sniffing, nothing kept by a cache."""
    got = await pages.client.get(path)
    assert got.status_code == 200
    assert got.headers["content-type"] == "text/html; charset=utf-8"
    policy = got.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert got.headers["cache-control"] == "no-store"
    assert got.headers.get_list("x-content-type-options") == ["nosniff"]
    assert got.headers["referrer-policy"] == "same-origin"
    assert " style=" not in got.text
    assert " onclick=" not in got.text
    assert "<script>" not in got.text


async def test_assets_are_named_by_content_and_kept_for_ever(pages: Web) -> None:
    """What the page names is there, with its type; nothing else is."""
    page = (await pages.client.get("/")).text
    name = page.split('href="/static/app.')[1].split('"')[0]
    got = await pages.client.get(f"/static/app.{name}")
    assert got.text == "a{}"
    assert got.headers["content-type"] == "text/css; charset=utf-8"
    assert "immutable" in got.headers["cache-control"]
    for wrong in ("app.css", "manifest.json", "../config.yaml", "%2e%2e/config.yaml"):
        assert (await pages.client.get(f"/static/{wrong}")).status_code == 404


def test_a_new_build_is_taken_and_the_old_one_still_served(tmp_path: Path) -> None:
    """Open pages name the old files; a missing build is not an error."""
    assets = Assets(tmp_path / "dist")
    assert (assets.url("app.css"), assets.build) == (None, "")
    built(tmp_path / "dist", app_css="a{}")
    assets.refresh()
    old, build = assets.url("app.css"), assets.build
    assert old is not None
    (tmp_path / "dist" / "manifest.json").unlink()
    built(tmp_path / "dist", app_css="b{}")
    assets.refresh()
    assert assets.url("app.css") != old
    assert assets.build != build
    assert assets.file(old.removeprefix("/static/")) is not None


async def test_a_page_of_another_build_is_told_to_load_anew(pages: Web) -> None:
    """After an update of the server, by the next event."""
    page = (await pages.client.get("/")).text
    own = page.split("?build=")[1].split('"')[0]
    got = await pages.client.get(f"/ui/hosts?build={own}")
    assert "hx-refresh" not in got.headers
    got = await pages.client.get("/ui/hosts?build=another")
    assert got.headers["hx-refresh"] == "true"


async def test_an_unknown_fragment_is_not_found(pages: Web) -> None:
    """And is not HTML that the page would take in."""
    got = await pages.client.get("/ui/nothing")
    assert got.status_code == 404
    assert "x-spark-fragment" not in got.headers


async def test_the_page_is_made_of_its_fragments(pages: Web) -> None:
    """The first page and what an event fetches again are drawn from the same templates."""
    page = (await pages.client.get("/")).text
    for part in FRAGMENTS:
        fragment = (await pages.client.get(f"/ui/{part}")).text
        assert fragment.strip() in page, part


# ---- forms


async def test_a_plain_form_swaps_and_leads_back_to_the_page(pages: Web) -> None:
    """POST, 303, GET: a reload does not send it again."""
    got = await pages.client.post("/ui/swaps", data={"model": "tiny"})
    assert got.status_code == 303
    assert got.headers["location"] == "/#swap"
    assert [asked[:3] for asked in pages.swaps.asked] == [("tiny", "queue", False)]


async def test_a_form_of_the_page_is_answered_with_the_flash_alone(pages: Web) -> None:
    """htmx takes it in; events bring the rest."""
    got = await pages.client.post(
        "/ui/swaps", data={"model": "tiny", "force": "yes", "on_conflict": "replace"}, headers=HTMX
    )
    assert got.status_code == 200
    assert got.text.startswith('<div id="flash"')
    assert got.headers["x-spark-fragment"] == "flash"
    assert pages.swaps.asked[0][:3] == ("tiny", "replace", True)


@pytest.mark.parametrize(
    "fields", [{}, {"model": ""}, {"model": "x" * 513}, {"model": "tiny", "on_conflict": "fight"}]
)
async def test_a_wrong_form_says_so_in_the_page(pages: Web, fields: dict[str, str]) -> None:
    """With its status, in both ways of asking; nothing was asked for."""
    for headers in ({}, HTMX):
        got = await pages.client.post("/ui/swaps", data=fields, headers=headers)
        assert got.status_code == 422
        assert 'role="alert"' in got.text
        assert ("<!doctype html>" in got.text) == (not headers)
    assert pages.swaps.asked == []


async def test_what_a_service_refuses_is_shown_with_its_words(pages: Web) -> None:
    """The same message as the API gives, escaped."""
    got = await pages.client.post("/ui/swaps/%3Cb%3E/cancel")
    assert got.status_code == 404
    assert "There is no swap &#39;&lt;b&gt;&#39;." in got.text
    pages.swaps.running = record()
    got = await pages.client.post("/ui/swaps", data={"model": "tiny", "on_conflict": "reject"})
    assert got.status_code == 409
    assert "A swap is under way." in got.text


async def test_cancel_and_unload_are_forms_too(pages: Web) -> None:
    """Each leads back to the page."""
    asked = await pages.client.post("/ui/unload")
    assert asked.status_code == 303
    swap_id = pages.swaps.records[0].id
    assert (await pages.client.post(f"/ui/swaps/{swap_id}/cancel")).status_code == 303


async def test_a_form_of_another_site_is_refused(pages: Web) -> None:
    """The guard stands before pages as well."""
    for headers in (
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"},
        {"Origin": "null"},
    ):
        got = await pages.client.post("/ui/swaps", data={"model": "tiny"}, headers=headers)
        assert got.status_code == 403
    assert pages.swaps.asked == []


async def test_a_huge_or_odd_form_is_refused(pages: Web) -> None:
    """The body is bounded, and so are the fields."""
    many = "&".join(f"f{n}=1" for n in range(300))
    odd = [("a=" + "x" * (2 << 20), 413), (many, 400), (b"model=\xff\xfe", 400), ("{", 422)]
    for body, status in odd:
        got = await pages.client.post("/ui/swaps", content=body)
        assert got.status_code == status
    assert pages.swaps.asked == []


# ---- states


async def test_no_hosts_says_what_to_write_and_shows_the_key(
    tmp_path: Path, board: NoticeBoard
) -> None:
    """The first thing a new owner sees."""
    site = make_site(
        ROOT / "templates", tmp_path / "none", notices=board, public_key=KEY, refusal=refusal
    )
    async with web(tmp_path, pages=[routes(site)]) as made:
        (tmp_path / "config.yaml").write_text("hosts: []\n")
        made.parts.settings.refresh()  # type: ignore[attr-defined]
        led = await made.client.get("/")
        parts = [await made.client.get(f"/ui/{part}") for part in ("hosts", "quick")]
    page = "".join(part.text for part in parts)
    assert led.headers["location"] == "/welcome"
    assert KEY in page
    assert "authorized_keys" in page
    assert "hosts:" in page
    assert "There is no host yet" in page
    assert "Cannot be started" not in page
    assert "<script" not in page


async def test_unknown_is_grey_with_its_reason_and_down_is_red(pages: Web) -> None:
    """A timeout is not a fault."""
    see(pages, Verdict.unknown("SSH timed out"), sample(), age=120)
    got = await text(pages, "hosts")
    assert '<span class="badge idle">unknown</span>' in got
    assert "SSH timed out" in got
    assert "2 min ago" in got
    see(pages, Verdict.down("it says so"))
    assert '<span class="badge bad">down</span>' in await text(pages, "hosts")


async def test_a_missing_figure_is_a_dash(pages: Web) -> None:
    """Never 0."""
    see(pages, Verdict.up(), sample(gpus=(Gpu(),)))
    got = await text(pages, "hosts")
    for name in ("GPU", "Temperature", "Power", "Clock"):
        assert f"<dt>{name}</dt><dd>–</dd>" in got
    assert "– available of –" in got
    assert "Load – · up –" in got
    assert "<rect" not in got


async def test_figures_are_drawn_with_their_units(pages: Web) -> None:
    """0 that was reported is 0."""
    see(
        pages,
        Verdict.up(),
        sample(
            gpus=(Gpu("GB10", 0.0, 41.0, 4.25, 208.0, processes=(GpuProcess(7, "vllm", GIB),)),),
            memory=Memory(total=8 * GIB, available=6 * GIB, free=4 * GIB, reclaimable=2 * GIB),
            disks=(Disk("/", "/dev/nvme0n1p2", 100 * GIB, 95 * GIB, 5 * GIB),),
            containers=(Container("1", "qdrant", "qdrant/qdrant", "running", "Up 2 hours"),),
        ),
    )
    got = await text(pages, "hosts")
    assert "<dd>0 %</dd>" in got
    assert "<dd>41 °C</dd>" in got
    assert '<rect class="gpu1"' in got
    assert '<span class="name" title="vllm">vllm</span> <strong>1.0 GiB</strong>' in got
    assert 'class="tight"' in got
    assert "1 running" in got


def test_the_memory_bar_adds_up() -> None:
    """To the total, also when the figures contradict each other."""
    memory = Memory(total=100, available=60, free=50, reclaimable=20)
    bar = memory_bar(memory, [GpuProcess(1, "a", 25), GpuProcess(2, "b", None)])
    assert [(one.kind, one.amount) for one in bar.segments] == [
        ("gpu1", 25),
        ("other", 5),
        ("cache", 20),
        ("free", 50),
    ]
    assert sum(one.amount for one in memory_bar(memory, [GpuProcess(1, "a", 99)]).segments) == 100
    assert [one.kind for one in memory_bar(memory, []).segments] == ["other", "cache", "free"]
    odd = replace(memory, free=900, reclaimable=None)
    assert memory_bar(odd, []).segments == ()


async def test_a_changed_host_key_is_shown_with_both_fingerprints(pages: Web) -> None:
    """And with what to do."""
    host = pages.parts.settings.current.hosts[0]
    keys = pages.parts.hostkeys
    target = Target(host.name, host.address, host.port, host.user)
    keys.pin(target, "ssh-ed25519 AAAA")  # type: ignore[attr-defined]
    with pytest.raises(SparkError):
        keys.check(target, "ssh-ed25519 BBBB")  # type: ignore[attr-defined]
    refused = keys.refused("spark-1")
    assert refused is not None
    got = await text(pages, "problems")
    assert refused.old in got
    assert 'action="/ui/hosts/spark-1/accept-key"' in got
    assert f'<input type="hidden" name="fingerprint" value="{refused.new}">' in got


async def test_models_tell_their_state_and_why_they_cannot_be_started(pages: Web) -> None:
    """A button only where it would do something."""
    got = await text(pages, "quick")
    assert 'aria-label="Swap Tiny"' in got
    assert "Cannot be started: large wants 2 nodes, and 1 can take it. Add hosts." in got
    assert 'aria-label="Swap Large"' not in got
    pages.swaps.served = serving("tiny")
    assert 'aria-label="Swap Tiny"' not in await text(pages, "quick")
    pages.swaps.running = record().with_(model="large", state=State.LOADING)
    assert 'aria-label="Queue Tiny"' in await text(pages, "quick")


async def test_every_served_model_is_shown_with_its_own_unload(pages: Web) -> None:
    pages.swaps.older, pages.swaps.served = (serving("tiny"),), serving("large")
    assert "<strong" in await text(pages, "serving")
    got = await text(pages, "served")
    for model in ("tiny", "large"):
        assert f"Unload {model}? It stops being served on spark-1" in got
    await pages.client.post("/ui/unload", data={"model": "tiny"})
    assert pages.swaps.asked[-1] == ("unload", "tiny")


async def test_problems_of_the_catalog_are_shown_with_their_line(
    pages: Web, tmp_path: Path
) -> None:
    """What was good stays."""
    (tmp_path / "models.override.yaml").write_text("models:\n  - {id: bad id}\n")
    got = await text(pages, "quick")
    assert "models.override.yaml line 2" in got
    assert "Tiny" in got


async def test_mistakes_in_the_settings_are_shown_until_they_are_gone(
    pages: Web, tmp_path: Path
) -> None:
    """A state, not an event: a page opened later shows it too."""
    config = tmp_path / "config.yaml"
    good = config.read_text()
    config.write_text(good + "nonsense: 1\n")
    pages.parts.settings.refresh()  # type: ignore[attr-defined]
    got = await text(pages, "notices")
    assert "config.yaml holds mistakes" in got
    assert "nonsense" in got
    config.write_text(good)
    pages.parts.settings.refresh()  # type: ignore[attr-defined]
    assert "mistakes" not in await text(pages, "notices")


async def test_notices_are_kept_newest_first(pages: Web, board: NoticeBoard) -> None:
    """A few of them."""
    for n in range(20):
        board.note({"level": "error", "message": f"engine died {n}", "advice": "look"})
    got = await text(pages, "notices")
    assert got.index("engine died 19") < got.index("engine died 18")
    assert "engine died 5 " not in got


async def test_the_board_hears_the_bus(board: NoticeBoard) -> None:
    """From start to close, but for mistakes in config.yaml, which are a state."""
    bus = EventBus()
    heard = NoticeBoard(bus, SystemClock())
    await heard.start()
    while not bus.subscribers:
        await SystemClock().sleep(0)
    bus.publish("notice", "config", {"level": "error", "message": "line 3"})
    bus.publish("notice", "engine", {"level": "error", "message": "died"})
    while not heard.newest():
        await SystemClock().sleep(0)
    assert [one.message for one in heard.newest()] == ["died"]
    await heard.close()
    assert bus.subscribers == 0


@pytest.mark.parametrize("state", list(State))
async def test_every_state_of_a_swap_is_drawn(pages: Web, state: State) -> None:
    """Running ones have a bar and can be cancelled; ended ones have neither."""
    swap = record(previous=deployment()).with_(
        state=state,
        stage="shard 3 of 9",
        percent=41.6,
        eta_seconds=75.0,
        finished_at=at(9) if state.final else None,
        steps=(StepRecord("loading", "spark-1", "running", T0),),
    )
    if state.final:
        pages.swaps.records = [swap]
        pages.swaps.queue = lambda: ()  # type: ignore[method-assign]
    else:
        pages.swaps.running = swap
    got = await text(pages, "swap")
    assert ("<progress" in got) == (not state.final)
    assert ("Cancel the swap" in got) == (not state.final and state is not State.ROLLING_BACK)
    if not state.final:
        assert 'value="41"' in got
        assert "about 1 min 15 s left" in got
        assert f"new, {41} %" in await text(pages, "serving")


async def test_a_failed_swap_offers_to_try_again_or_to_go_against_the_checks(pages: Web) -> None:
    """Against the checks only where the checks refused."""
    no = Finding("memory", Severity.ERROR, "it does not fit", "use a smaller one", "spark-1")
    error = SwapError("memory", "it does not fit", "too big", "use a smaller one", "a\nb")
    failed = record().with_(state=State.FAILED, error=error, finished_at=at(3))
    pages.swaps.queue = lambda: ()  # type: ignore[method-assign]
    pages.swaps.records = [failed]
    got = await text(pages, "swap")
    assert "Try again" in got
    assert "Start anyway" not in got
    assert "<dt>Served now</dt><dd>nothing</dd>" in got
    pages.swaps.records = [failed.with_(findings=(no.to_dict(),))]
    got = await text(pages, "swap")
    assert 'name="force" value="yes"' in got
    assert "too big" in got
    assert "use a smaller one" in got


async def test_services_show_their_health(pages: Web) -> None:
    """Not probed yet is unknown."""
    pages.fleet.probes = (ServiceStatus("kokoro", Verdict.down("HTTP 500"), T0, 0.0123),)
    got = await text(pages, "services")
    assert "HTTP 500" in got
    assert "12 ms" in got
    assert "not probed yet" in got


# ---- what comes from elsewhere


async def test_what_comes_from_elsewhere_is_inert(pages: Web, board: NoticeBoard) -> None:
    """Markup, terminal sequences and direction marks in names, reasons and log lines."""
    process = GpuProcess(1, HTML, GIB)
    container = Container("1", HTML, HTML, "running", HTML)
    last = sample(gpus=(Gpu(processes=(process,)),), containers=(container,), gpu_problem=HTML)
    see(pages, Verdict.unknown(HTML), last)
    pages.fleet.probes = (ServiceStatus("kokoro", Verdict.down(HTML)),)
    error = SwapError("x", HTML, HTML + "cause", HTML, HTML + "\nline two")
    ended = record().with_(
        state=State.FAILED, error=error, finished_at=at(1), model=HTML, requested_by=HTML
    )
    pages.swaps.records = [ended]
    pages.swaps.queue = lambda: ()  # type: ignore[method-assign]
    board.note({"level": "error", "message": HTML, "advice": HTML})
    page = (await pages.client.get("/")).text
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert page.count(INERT) > 12
    assert "line two" in page


def test_ages_are_written_coarsely() -> None:
    """As the page counts them on."""
    words = {0: "now", 1.9: "now", 12: "12 s ago", 61: "1 min ago", 7300: "2 h ago"}
    assert {seconds: ago(seconds) for seconds in words} == words
    assert ago(3 * 86400) == "3 days ago"

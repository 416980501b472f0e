"""Activity and sweeps: the API and the pages, from memory."""

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server.base.bus import EventBus
from server.base.clock import SystemClock
from server.base.errors import SparkError
from server.gateway.model import Caller, Passage, Used
from server.gateway.sweep.knee import knee, summed
from server.gateway.sweep.model import Level, Run, Sweep, Wish
from server.web.pages.chart import chart
from server.web.pages.notice import NoticeBoard
from server.web.pages.routes import make_site, routes
from tests.swap.made import T0
from tests.web.made import FakeSweeps, Web, web

ROOT = Path(__file__).resolve().parents[2]
HTML = "<script>alert(1)</script>\x1b[31m\u202e\"'&"
INERT = "&lt;script&gt;alert(1)&lt;/script&gt;\\u202e&#34;&#39;&amp;"
HTMX = {"HX-Request": "true"}
SWEEP = "/ui/services/kokoro/sweep"


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Web]:
    board = NoticeBoard(EventBus(), SystemClock())
    site = make_site(
        ROOT / "templates", tmp_path, notices=board, public_key="ssh", refusal=lambda _model: None
    )
    async with web(tmp_path, pages=[routes(site)]) as made:
        yield made


@pytest.fixture
def sweeps(pages: Web) -> FakeSweeps:
    assert isinstance(pages.parts.sweeps, FakeSweeps)
    return pages.parts.sweeps


def passage(request_id: str, **fields: Any) -> Passage:
    told: dict[str, Any] = {
        "caller": Caller("laptop", "192.0.2.7", key_id="key-1"),
        "model": "tiny",
        "upstream": "tiny@spark-1",
        "status": 200,
        "admitted": 10.5,
        "first_token": 10.75,
        "ended": 12.75,
        "bytes_in": 100,
        "bytes_out": 5000,
        "used": Used(10, 101),
    }
    return Passage(request_id, T0, 10.0, "/v1/chat/completions", **(told | fields))


def measured() -> tuple[Level, ...]:
    """Rises up to two at once; four broke it."""
    runs = [Run(1, rate, (0.1,) * 9) for rate in (9.9, 10.0, 10.1)]
    runs += [Run(2, rate, (0.1,) * 9) for rate in (19.8, 20.0, 20.2)]
    runs += [Run(3, rate, (0.15,) * 9) for rate in (19.9, 20.0, 20.3)]
    return summed([*runs, Run(4, 0.0, (), "HTTP 500: out of memory")])


def done(target: str = "kokoro") -> Sweep:
    levels = measured()
    proposal = knee(levels)
    assert proposal is not None
    return Sweep(
        "sweep-1", target, "tts", target, "one sentence", 4, 5.0, 3, "cli 192.0.2.9", T0,
        state="done", message=proposal.sentence, done=13, runs=16, finished_at=T0, levels=levels,
        knee=proposal, notes=("The recording was made up.",),
    )  # fmt: skip


async def text(pages: Web, path: str) -> str:
    got = await pages.client.get(path)
    assert got.status_code == 200, got.text
    return " ".join(got.text.split())


# ---- the API


async def test_the_activity_lists_what_runs_and_what_was(pages: Web) -> None:
    """Filtered alike, bounded by the limit."""
    activity = pages.parts.activity
    for number in range(3):
        activity.ended(passage(f"r{number}"))
    activity.ended(passage("full", status=429, error="queue_full"))
    activity.began(passage("now", ended=None, status=0))
    body = (await pages.client.get("/api/v1/activity?limit=2")).json()
    assert [row["id"] for row in body["requests"]] == ["full", "r2"]
    assert [row["id"] for row in body["in_flight"]] == ["now"]
    body = (await pages.client.get("/api/v1/activity?status=4xx&client=laptop")).json()
    assert [row["id"] for row in body["requests"]] == ["full"]
    assert body["in_flight"] == []
    assert (await pages.client.get("/api/v1/activity?limit=0")).status_code == 422


async def test_a_request_is_ended_by_its_id(pages: Web) -> None:
    """Also one with a slash in it, as callers may send."""
    ended: list[SparkError] = []
    pages.parts.activity.began(passage("job/7", ended=None, stop=ended.append))
    got = await pages.client.post("/api/v1/activity/job/7/cancel", json={})
    assert got.status_code == 202
    assert len(ended) == 1
    assert (await pages.client.post("/api/v1/activity/job/8/cancel", json={})).status_code == 404


async def test_a_sweep_is_asked_for_followed_and_cancelled(pages: Web, sweeps: FakeSweeps) -> None:
    """What was wished for reaches the service of sweeps whole."""
    body = {"target": "parakeet", "max": 3, "seconds": 2, "filename": "a.wav", "latency": 1.5}
    body["payload"] = base64.b64encode(b"RIFF").decode()
    got = await pages.client.post("/api/v1/sweeps", json=body)
    assert got.status_code == 202
    assert got.headers["location"] == "/api/v1/sweeps/sweep-0"
    assert sweeps.wishes == [Wish("parakeet", 3, 2.0, 3, 5.0, 1.5, b"RIFF", "a.wav")]
    one = (await pages.client.get("/api/v1/sweeps/sweep-0")).json()
    assert (one["state"], one["levels"], one["knee"]) == ("waiting", [], None)
    listed = (await pages.client.get("/api/v1/sweeps?target=parakeet")).json()["sweeps"]
    assert [each["id"] for each in listed] == ["sweep-0"]
    assert (await pages.client.get("/api/v1/sweeps?target=kokoro")).json() == {"sweeps": []}
    got = await pages.client.post("/api/v1/sweeps/sweep-0/cancel", json={})
    assert got.json()["state"] == "cancelled"


@pytest.mark.parametrize(
    "wrong",
    [{"max": 0}, {"max": 65}, {"seconds": 0}, {"payload": "not base64!"}, {"target": ""},
     {"latency": -1}, {"more": 1}],
)  # fmt: skip
async def test_a_sweep_that_makes_no_sense_is_refused(pages: Web, wrong: dict[str, Any]) -> None:
    """422, and nothing is started."""
    got = await pages.client.post("/api/v1/sweeps", json={"target": "kokoro"} | wrong)
    assert got.status_code == 422, got.text


async def test_a_proposal_is_written_into_the_settings(pages: Web, sweeps: FakeSweeps) -> None:
    """Only when it is asked for; a sweep without one is a conflict."""
    sweeps.known.append(done())
    got = await pages.client.post("/api/v1/sweeps/sweep-1/use", json={})
    assert got.status_code == 200, got.text
    service = next(one for one in pages.parts.settings.current.services if one.name == "kokoro")
    assert service.cap == 2
    sweeps.known[0] = replace(done(), knee=None, state="aborted")
    assert (await pages.client.post("/api/v1/sweeps/sweep-1/use", json={})).status_code == 409


# ---- the page of the activity


async def test_the_page_shows_requests_and_keeps_its_filter(pages: Web) -> None:
    """The fragment asks for itself again with the same filter."""
    pages.parts.activity.ended(passage("r1"))
    pages.parts.activity.ended(passage("r2", model="other", upstream=""))
    page = await text(pages, "/activity?model=tiny")
    assert "tiny" in page
    assert "first token 250 ms" in page
    assert "101 tokens at 50/s" in page
    assert "other</strong>" not in page
    assert "&amp;model=tiny" in page
    assert 'value="tiny"' in page
    assert "None of the last 1000" in await text(pages, "/ui/activity?status=5xx")


async def test_what_callers_send_cannot_become_markup(pages: Web) -> None:
    """Names, ids and filters come from elsewhere."""
    caller = Caller(HTML, HTML)
    one = passage(HTML, ended=None, asked=HTML, model="", caller=caller, upstream=HTML)
    pages.parts.activity.began(one)
    page = (await pages.client.get("/activity", params={"model": "", "client": HTML})).text
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert INERT in page


async def test_a_request_is_ended_from_the_page(pages: Web) -> None:
    """A form: with htmx the answer is the flash, without it a way back."""
    ended: list[SparkError] = []
    pages.parts.activity.began(passage("r1", ended=None, stop=ended.append))
    got = await pages.client.post("/ui/activity/r1/cancel", headers=HTMX)
    assert got.status_code == 200
    assert "Ended the request of laptop" in got.text
    got = await pages.client.post("/ui/activity/r1/cancel")
    assert (got.status_code, got.headers["location"]) == (303, "/activity")
    got = await pages.client.post("/ui/activity/gone/cancel", headers=HTMX)
    assert got.status_code == 404
    assert len(ended) == 2


# ---- the page of a service


async def test_a_service_without_a_sweep_offers_one(pages: Web) -> None:
    """Bounded by what its kind stands."""
    page = await text(pages, "/services/parakeet")
    assert "Not measured yet" in page
    assert 'max="3"' in page
    assert "at most 2 at once, as usual for asr" in page
    assert (await pages.client.get("/services/nobody")).status_code == 404


async def test_a_sweep_is_drawn_with_its_proposal(pages: Web, sweeps: FakeSweeps) -> None:
    """Points, intervals, figures, what broke, the line for config.yaml."""
    sweeps.known.append(done())
    page = await text(pages, "/services/kokoro")
    assert page.count("<circle") == 3
    assert "max_in_flight: 2" in page
    assert "failed: HTTP 500: out of memory" in page
    assert "The recording was made up." in page
    assert "Use 2 at once" in page
    got = await pages.client.post(
        "/ui/sweeps/sweep-1/use", headers=HTMX, data={"service": "kokoro"}
    )
    assert "kokoro gets at most 2 at once" in got.text
    page = await text(pages, SWEEP)
    assert "it is set so" in page
    assert "Use 2 at once" not in page


async def test_a_sweep_is_started_and_cancelled_from_the_page(
    pages: Web, sweeps: FakeSweeps
) -> None:
    """And a number that is none is said to be none."""
    got = await pages.client.post(SWEEP, data={"max": "4", "seconds": "2"})
    assert (got.status_code, got.headers["location"]) == (303, "/services/kokoro#sweep")
    assert sweeps.wishes == [Wish("kokoro", 4, 2.0)]
    page = await text(pages, SWEEP)
    assert "Waiting for a quiet moment" in page
    got = await pages.client.post(
        "/ui/sweeps/sweep-0/cancel", headers=HTMX, data={"service": "kokoro"}
    )
    assert "Cancelled the sweep of kokoro" in got.text
    got = await pages.client.post(SWEEP, headers=HTMX, data={"max": "many"})
    assert got.status_code == 422


def test_a_chart_starts_at_zero_and_holds_every_point() -> None:
    """Inside the axes, with the better one higher; nothing measured is no chart."""
    drawn = chart(measured(), 2)
    assert drawn is not None
    assert [point.level for point in drawn.points] == [1, 2, 3]
    assert [point.chosen for point in drawn.points] == [False, True, False]
    for point in drawn.points:
        assert drawn.left <= point.x1 <= point.x <= point.x2 <= drawn.right
        assert drawn.top <= point.y2 <= point.y <= point.y1 <= drawn.bottom
    assert drawn.points[1].y < drawn.points[0].y
    assert drawn.across[0].label == drawn.up[0].label == "0"
    assert "2 at once: 20 requests/s, 100 ms" in drawn.words
    assert chart((), None) is None


async def test_the_pages_work_without_built_assets(pages: Web) -> None:
    """Plain HTML, each with the headers of every page."""
    for path in ("/activity", "/services/kokoro"):
        got = await pages.client.get(path)
        assert "default-src 'self'" in got.headers["content-security-policy"]
        assert "<script" not in got.text

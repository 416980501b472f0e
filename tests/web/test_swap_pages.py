"""The pages of swaps without a browser: asked for by forms, drawn from memory, inert."""

from datetime import timedelta

from server.swap.model import State, SwapError
from tests.swap.made import T0, at, deployment, record
from tests.web.made import Web
from tests.web.test_pages import HTML, HTMX, INERT, board, pages  # noqa: F401 - fixtures

OOM = SwapError("oom", HTML, "too big", "Use a smaller one.", HTML)


async def drawn(pages: Web, path: str) -> str:  # noqa: F811
    got = await pages.client.get(path)
    assert got.status_code == 200, got.text
    return " ".join(got.text.split())


async def test_a_form_may_lead_to_the_page_of_the_swap(pages: Web) -> None:  # noqa: F811
    """With and without JavaScript; a button in a list stays where it is."""
    asked = {"model": "tiny", "then": "follow"}
    plain = await pages.client.post("/ui/swaps", data=asked)
    assert (plain.status_code, plain.headers["location"]) == (303, "/swaps/swap-1")
    scripted = await pages.client.post("/ui/swaps", data=asked, headers=HTMX)
    assert scripted.headers["hx-redirect"] == "/swaps/swap-2"
    stays = await pages.client.post("/ui/swaps", data={"model": "tiny"}, headers=HTMX)
    assert "hx-redirect" not in stays.headers
    assert "Asked for tiny." in stays.text


async def test_a_form_that_makes_no_sense_asks_for_nothing(pages: Web) -> None:  # noqa: F811
    """The words say which field."""
    for data in ({}, {"model": ""}, {"model": "x" * 513}, {"model": "tiny", "on_conflict": "now"}):
        got = await pages.client.post("/ui/swaps", data=data, headers=HTMX)
        assert got.status_code == 422
    assert pages.swaps.asked == []


async def test_a_plan_is_from_memory_and_says_what_it_stops(pages: Web) -> None:  # noqa: F811
    """A model that there is not, or that cannot be started, is told so on the same page."""
    text = await drawn(pages, "/swaps/new?model=small")
    assert "Swap to tiny" in text
    assert "Nothing is being served, so nothing is stopped." in text
    assert "docker run -e HF_TOKEN=[redacted]" in text
    assert "large wants 2 nodes" in await drawn(pages, "/swaps/new?model=large")
    assert "has no model" in await drawn(pages, "/swaps/new?model=none")
    assert "Tiny (tiny)" in await drawn(pages, "/swaps/new")
    assert (await pages.client.get("/ui/swaps/plan?model=none")).status_code == 404
    assert pages.swaps.asked == []


async def test_a_check_is_a_persons_and_says_why_it_cannot_be(pages: Web) -> None:  # noqa: F811
    """Here is nobody to look."""
    got = await pages.client.post("/ui/swaps/check", data={"model": "tiny"}, headers=HTMX)
    assert got.status_code == 503
    assert "Nothing can be looked at beforehand" in got.text
    got = await pages.client.post("/ui/swaps/check", data={"model": "none"}, headers=HTMX)
    assert got.status_code == 404


async def test_the_page_of_a_swap_draws_every_end_inertly(pages: Web) -> None:  # noqa: F811
    """Error, steps, log and the words of what was rolled back."""
    pages.swaps.records = [
        record(
            state=State.ROLLED_BACK, error=OOM, previous=deployment(), restored=1,
            started_at=T0, finished_at=at(9),
        )
    ]  # fmt: skip
    pages.swaps.lines = (f"\x1b[31m{HTML}",)
    text = await drawn(pages, "/swaps/swap-1")
    assert "Use a smaller one." in text
    assert "old on spark-1 was not stopped, and has answered." in text
    assert "<script>alert" not in text
    assert text.count(INERT) >= 3
    assert 'class="a-red"' in text
    piece = await drawn(pages, "/ui/swaps/swap-1")
    assert "Rolled back" in piece
    assert "data-log" not in piece


async def test_the_log_is_a_file_that_nothing_runs(pages: Web) -> None:  # noqa: F811
    """Plain text, as a download, with the headers of every page."""
    pages.swaps.records = [record()]
    pages.swaps.lines = (f"\x1b[31m{HTML}\x1b[0m", "second")
    got = await pages.client.get("/ui/swaps/swap-1/log.txt")
    assert got.headers["content-type"] == "text/plain; charset=utf-8"
    assert got.headers["content-disposition"] == 'attachment; filename="swap-1.log"'
    assert got.headers["x-content-type-options"] == "nosniff"
    first, second = got.text.splitlines()
    assert first.startswith("2026-11-21T08:00:00.000+00:00 <script>")
    assert "\x1b" not in first
    assert second.endswith(" second")


async def test_the_past_offers_what_can_be_asked_for_again(pages: Web) -> None:  # noqa: F811
    """A model that has left the catalog has no button; the one under way is not of the past."""
    pages.swaps.records = [
        record(state=State.SERVING, finished_at=at(5)).with_(id="swap-3", model="tiny"),
        record(state=State.FAILED, error=OOM, finished_at=at(4)).with_(id="swap-2", model="gone"),
        record("loading", state=State.LOADING).with_(id="swap-1", model="large"),
    ]
    text = await drawn(pages, "/swaps")
    assert "Load tiny again" in text
    assert "Load gone again" not in text
    assert 'href="/swaps/swap-2"' in text
    past = await drawn(pages, "/ui/swaps/past?outcome=failed")
    assert "swap-2" in past
    assert "swap-3" not in past
    assert "No swap of this kind." in await drawn(pages, "/ui/swaps/past?model=large")
    assert (await pages.client.get(f"/swaps?model={'x' * 600}")).status_code == 422


async def test_a_swap_that_is_not_there_answers_with_a_page(pages: Web) -> None:  # noqa: F811
    """And a way back."""
    got = await pages.client.get("/swaps/%3Cb%3E")
    assert got.status_code == 404
    assert "There is no swap" in got.text
    assert 'href="/swaps"' in got.text
    assert "<b>" not in got.text.split("<main")[1]


async def test_a_waiting_swap_says_its_place(pages: Web) -> None:  # noqa: F811
    """Counted with the one that runs."""
    now = pages.parts.clock.now()
    pages.swaps.running = record("loading", state=State.LOADING).with_(id="swap-0")
    pages.swaps.records = [
        record().with_(id="swap-1", created_at=now - timedelta(seconds=2)),
        record().with_(id="swap-2", created_at=now),
    ]
    assert "2 before it in the queue" in await drawn(pages, "/swaps/swap-2")

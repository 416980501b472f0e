"""The log of a swap over HTTP: what is new, from where, with colours; followed to its end."""

from pathlib import Path

import aiohttp

from server.swap.model import State
from tests.gateway.running import serve
from tests.swap.made import record
from tests.web.made import Web, web
from tests.web.test_events import frame


async def test_a_reader_asks_for_the_lines_it_has_not_seen(api: Web) -> None:
    """By number; another run of the same log begins anew."""
    api.swaps.records = [record()]
    api.swaps.lines = ("\x1b[31mone\x1b[0m", "two", "three")
    whole = (await api.client.get("/api/v1/swaps/swap-1/logs")).json()
    assert (whole["id"], whole["state"], whole["first"], whole["next"]) == (
        "swap-1", "queued", 0, 3
    )  # fmt: skip
    assert whole["lines"][0]["text"] == "one"
    assert whole["lines"][0]["spans"] == [[0, 3, "red"]]

    async def texts(**query: str | int) -> list[str]:
        got = await api.client.get("/api/v1/swaps/swap-1/logs", params=query)
        return [line["text"] for line in got.json()["lines"]]

    assert await texts(after=2, run=whole["run"]) == ["three"]
    assert await texts(after=3, run=whole["run"]) == []
    assert await texts(after=2, run="of another start") == ["one", "two", "three"]
    assert await texts(lines=1) == ["three"]


async def test_nonsense_is_refused(api: Web) -> None:
    """With the parameter that is wrong."""
    api.swaps.records = [record()]
    for query in ("after=-1", "lines=0", "lines=9999", "follow=perhaps"):
        got = await api.client.get(f"/api/v1/swaps/swap-1/logs?{query}")
        assert got.status_code == 422
    assert (await api.client.get("/api/v1/swaps/none/logs")).status_code == 404
    got = await api.client.get("/api/v1/swaps?state=happy")
    assert got.json()["error"]["param"] == "state"


async def test_the_history_is_paged_and_filtered(api: Web) -> None:
    """`before` is the last one seen."""
    api.swaps.records = [
        record().with_(id=f"swap-{n}", state=state, model=model)
        for n, (state, model) in enumerate(
            [(State.SERVING, "a"), (State.FAILED, "a"), (State.SERVING, "b")]
        )
    ]

    async def ids(query: str) -> list[str]:
        swaps = (await api.client.get(f"/api/v1/swaps?{query}")).json()["swaps"]
        return [swap["id"] for swap in swaps]

    assert await ids("limit=1&before=swap-0") == ["swap-1"]
    assert await ids("state=serving,%20rolled_back") == ["swap-0", "swap-2"]
    assert await ids("state=serving&model=b") == ["swap-2"]


async def test_the_log_is_followed_to_the_end_of_the_swap(tmp_path: Path) -> None:
    """The kept end first, then what is new, then how it ended; the stream ends by itself."""
    async with (
        web(tmp_path) as api,
        serve(api.edge) as url,
        aiohttp.ClientSession() as session,
    ):
        api.swaps.records = [record()]
        api.swaps.lines = ("one",)
        async with session.get(url + "/api/v1/swaps/swap-1/logs?follow=true") as got:
            kind, body = await frame(got.content)
            assert (kind, body["next"]) == ("log", 1)
            api.swaps.lines = ("one", "two")
            api.parts.bus.publish("swap", "swap-other", {})
            api.parts.bus.publish("swap", "swap-1", {})
            kind, body = await frame(got.content)
            assert [line["text"] for line in body["lines"]] == ["two"]  # type: ignore[index, attr-defined]
            api.swaps.records = [record().with_(state=State.SERVING)]
            api.parts.bus.publish("swap", "swap-1", {})
            assert await frame(got.content) == ("end", {"id": "swap-1", "state": "serving"})
            assert await got.content.read() == b"\n" or got.content.at_eof()

"""The event stream over a real socket: snapshot, changes, heartbeats, resync, the last word."""

import asyncio
from pathlib import Path

import aiohttp
import orjson

from tests.gateway.running import serve
from tests.web.made import Web, web


async def frame(content: aiohttp.StreamReader) -> tuple[str, dict[str, object]]:
    """The next event; comments and the retry field are passed over."""
    kind, data = "", b""
    async for raw in content:
        line = raw.rstrip(b"\n")
        if line.startswith(b"event: "):
            kind = line[7:].decode()
        elif line.startswith(b"data: "):
            data = line[6:]
        elif not line and kind:
            return kind, orjson.loads(data)
    raise EOFError


async def subscribed(api: Web, count: int) -> None:
    """Returns when `count` readers are left; the turns of the loop are what is waited for."""
    async with asyncio.timeout(5):
        while api.parts.bus.subscribers != count:  # noqa: ASYNC110 - the bus tells nobody
            await asyncio.sleep(0)


async def test_the_snapshot_comes_first_and_then_what_changes(tmp_path: Path) -> None:
    """Nothing that happens in between is lost."""
    async with (
        web(tmp_path) as api,
        serve(api.edge) as url,
        aiohttp.ClientSession() as session,
        session.get(url + "/api/v1/events") as got,
    ):
        assert got.headers["content-type"].startswith("text/event-stream")
        assert got.headers["cache-control"] == "no-store"
        kind, data = await frame(got.content)
        assert kind == "snapshot"
        assert set(data) == {
            "at", "hosts", "services", "models", "serving", "layout", "swap", "queue", "jobs"
        }  # fmt: skip
        api.parts.bus.publish("host", "spark-1", {"name": "spark-1", "health": "up"})
        assert await frame(got.content) == ("host", {"name": "spark-1", "health": "up"})


async def test_only_the_kinds_asked_for_come(tmp_path: Path) -> None:
    """A reader of swaps is not woken once a second for samples."""
    async with (
        web(tmp_path) as api,
        serve(api.edge) as url,
        aiohttp.ClientSession() as session,
        session.get(url + "/api/v1/events?types=swap") as got,
    ):
        await frame(got.content)
        api.parts.bus.publish("host", "spark-1", {})
        api.parts.bus.publish("swap", "swap-1", {"id": "swap-1"})
        assert await frame(got.content) == ("swap", {"id": "swap-1"})


async def test_silence_is_filled_with_heartbeats(tmp_path: Path) -> None:
    """So that proxies and readers know that the line is alive."""
    async with (
        web(tmp_path, heartbeat_seconds=0.01) as api,
        serve(api.edge) as url,
        aiohttp.ClientSession() as session,
        session.get(url + "/api/v1/events") as got,
    ):
        await frame(got.content)
        assert await got.content.readuntil(b"\n\n") == b": heartbeat\n\n"
        api.parts.bus.publish("notice", "x", {"message": "hello"})
        assert await frame(got.content) == ("notice", {"message": "hello"})


async def test_a_reader_that_fell_behind_gets_a_new_snapshot(tmp_path: Path) -> None:
    """Never a part of the changes that looks like all of them."""
    async with (
        web(tmp_path) as api,
        serve(api.edge) as url,
        aiohttp.ClientSession() as session,
        session.get(url + "/api/v1/events") as got,
    ):
        await frame(got.content)
        for number in range(300):
            api.parts.bus.publish("host", f"host-{number}", {})
        assert (await frame(got.content))[0] == "snapshot"


async def test_shutdown_is_the_last_event(tmp_path: Path) -> None:
    """Readers are told, and the stream ends."""
    async with (
        web(tmp_path) as api,
        serve(api.edge) as url,
        aiohttp.ClientSession() as session,
        session.get(url + "/api/v1/events") as got,
    ):
        await frame(got.content)
        api.parts.bus.close()
        kind, data = await frame(got.content)
        assert (kind, data["code"]) == ("notice", "shutting_down")
        assert await got.content.read() == b""


async def test_a_reader_that_leaves_is_forgotten(tmp_path: Path) -> None:
    """At once, not at the next event."""
    async with web(tmp_path) as api, serve(api.edge) as url, aiohttp.ClientSession() as session:
        async with session.get(url + "/api/v1/events") as got:
            await frame(got.content)
            assert api.parts.bus.subscribers == 1
            got.close()
        await subscribed(api, 0)


async def test_an_end_of_the_subscription_before_the_first_read_does_no_harm(
    tmp_path: Path,
) -> None:
    """HEAD on the stream leaves nothing behind."""
    async with web(tmp_path) as api, serve(api.edge) as url, aiohttp.ClientSession() as session:
        async with session.head(url + "/api/v1/events") as got:
            assert got.status == 200
        await subscribed(api, 0)

"""WebSockets: let in like any request, a place for their whole life, refused with a reason."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from starlette.types import Receive, Scope, Send

from server.base.errors import Forbidden
from tests.gateway.made import Running, gateway, service
from tests.gateway.running import serve


class Echo:
    """An upstream that says back what it hears; `scopes` is who came."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []
        self.ended: asyncio.Queue[int] = asyncio.Queue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None})
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") == "bye":
                await send({"type": "websocket.close", "code": 4001, "reason": "as asked"})
            else:
                await send({**message, "type": "websocket.send"})
        self.ended.put_nowait(message.get("code", 0))


@asynccontextmanager
async def listening(echo: Echo, **fields: object) -> AsyncIterator[Running]:
    async with serve(echo) as url, gateway() as running:
        running.services = (service("ears", "asr", url, **fields),)
        yield running


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/audio/stream?lang=de", "/v1/audio/stream"),
        ("/v1/realtime?model=ears", "/v1/realtime"),
        ("/upstream/ears/ws/a", "/ws/a"),
    ],
)
async def test_messages_go_both_ways_unchanged(path: str, asked: str) -> None:
    """Text and bytes; the query goes along; the request id of the handshake is ours."""
    echo = Echo()
    async with listening(echo) as running:
        async with running.session.ws_connect(running.url + path) as socket:
            await socket.send_str("hällo")
            assert await socket.receive_str() == "hällo"
            await socket.send_bytes(b"\x00" * 70_000)
            assert await socket.receive_bytes() == b"\x00" * 70_000
            assert running.inflight.counts()
            row = running.activity.in_flight()[0]
            assert (row.upstream, row.phase) == ("ears", "running")
        passage = await running.passages.get()
        assert (passage.status, passage.error) == (101, "")
        assert (passage.bytes_in, passage.bytes_out) == (70_006, 70_006)
        assert running.inflight.count() == 0
    scope = echo.scopes[0]
    assert scope["path"] == asked
    assert scope["query_string"] == path.partition("?")[2].encode()


async def test_a_close_code_of_the_upstream_is_handed_on() -> None:
    """Its own word, not one of ours."""
    async with (
        listening(Echo()) as running,
        running.session.ws_connect(running.url + "/v1/audio/stream") as socket,
    ):
        await socket.send_str("bye")
        closed = await socket.receive()
        assert (closed.data, closed.extra) == (4001, "as asked")


async def test_a_client_that_leaves_ends_the_upstreams_side() -> None:
    """And its place is free."""
    echo = Echo()
    async with listening(echo) as running:
        socket = await running.session.ws_connect(running.url + "/v1/audio/stream")
        await socket.close(code=1001)
        assert await echo.ended.get() in {1000, 1001}
        await running.passages.get()
        assert running.inflight.count() == 0


async def test_refusals_are_answers_before_the_socket_is_open() -> None:
    """404 for what is not there, 503 for what does not listen, each with our error inside."""
    async with gateway() as running:
        running.services = (service("ears", "asr", "http://127.0.0.1:9"),)
        for path, status in {
            "/v1/audio/stream": 503,
            "/v1/realtime?model=nobody": 503,
            "/upstream/nobody/x": 404,
            "/v1/chat/completions": 404,
            "/qdrant/x": 404,
        }.items():
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await running.session.ws_connect(running.url + path)
            assert refused.value.status == status, path


async def test_a_socket_holds_its_place_and_the_next_one_waits() -> None:
    """A cap counts WebSockets for as long as they are open; a waiting one that leaves is gone."""
    echo = Echo()
    async with listening(echo, max_in_flight=1) as running:
        url = running.url + "/v1/audio/stream"
        async with running.session.ws_connect(url) as first:
            await first.send_str("a")
            await first.receive_str()
            waits = [asyncio.create_task(running.session.ws_connect(url)) for _ in range(2)]
            await running.began(3)
            waits[1].cancel()
            gone = await running.passages.get()
            assert (gone.error, gone.admitted) == ("client_closed", None)
        async with await waits[0] as second:
            await second.send_str("b")
            assert await second.receive_str() == "b"
    assert len(echo.scopes) == 2


async def test_a_person_ends_a_socket() -> None:
    """It is closed with a reason."""
    async with listening(Echo()) as running:
        async with running.session.ws_connect(running.url + "/v1/audio/stream") as socket:
            await socket.send_str("a")
            await socket.receive_str()
            row = running.activity.in_flight()[0]
            running.activity.cancel(row.id, requested_by="a test")
            closed = await socket.receive()
            assert closed.data == 1011
        passage = await running.passages.get()
        assert (passage.status, passage.error) == (101, Forbidden.code)

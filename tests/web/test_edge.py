"""How long a client may keep a connection, and a place at an engine, without getting on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Receive, Scope, Send

from server.web import edge
from tests.gateway.running import serve

SHORT = 0.05
LONG = 6 * SHORT
UPLOAD = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 300000\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge, "HEAD_SECONDS", SHORT)
    monkeypatch.setattr(edge, "STALLED_SECONDS", SHORT)


class App:
    """Waits, reads the whole request and answers; `left` is set when the client left instead."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.left = asyncio.Event()

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(self.seconds)
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left.set()
                return
            more = message.get("more_body", False)
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def connected(
    app: App, keep_alive: float = 5.0
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with serve(app, keep_alive=keep_alive) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        try:
            yield reader, writer
        finally:
            writer.close()


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nhost:", GET + b"GET"])
async def test_a_head_that_does_not_end_ends_the_connection(said: bytes) -> None:
    """Thousands of those would cost nothing and take every file descriptor. What was asked for
    before is answered."""
    async with connected(App()) as (reader, writer):
        writer.write(said)
        answer = await reader.read()
        assert answer.endswith(b"ok") if said.startswith(GET) else answer == b""


async def test_an_upload_that_stops_is_a_client_that_left() -> None:
    """It held its place at a service that takes two, for ever."""
    app = App()
    async with connected(app) as (reader, writer):
        writer.write(UPLOAD + b"x" * 1000)
        assert await reader.read() == b""
        await app.left.wait()


async def test_nobody_is_hurried_while_it_is_our_turn() -> None:
    """A slow answer, and an upload that we do not read yet."""
    async with connected(App(LONG)) as (reader, writer):
        writer.write(GET)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        writer.write(UPLOAD + b"x" * 200_000)
        await asyncio.sleep(LONG - SHORT)
        writer.write(b"x" * 100_000)
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")


async def test_the_beginning_of_the_next_request_does_not_cut_an_answer() -> None:
    async with connected(App(LONG)) as (reader, writer):
        writer.write(GET + b"GET / HT")
        assert (await reader.read()).endswith(b"ok")


AFTER = {
    "an empty line": (GET, b"\r\n"),
    "the rest of a body": (UPLOAD + b"x" * 1000, b"x" * 299_000),
}


@pytest.mark.parametrize("name", AFTER)
async def test_an_idle_connection_is_ended_whatever_came_on_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty line began no request, and made the server forget that it waits."""
    monkeypatch.setattr(edge, "STALLED_SECONDS", 9.0)
    first, then = AFTER[name]
    async with connected(Hasty(), SHORT) as (reader, writer):
        writer.write(first)
        await reader.readuntil(b"ok")
        writer.write(then)
        assert await asyncio.wait_for(reader.read(), 10) == b""


class Hasty(App):
    """Answers before it has read anything."""

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


SOCKET = (
    b"GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: MTIzNDU2Nzg5MDEyMzQ1Ng==\r\n\r\n"
)


async def quiet(_scope: Scope, receive: Receive, send: Send) -> None:
    """A socket on which nothing is said."""
    await receive()
    await send({"type": "websocket.accept"})
    await receive()


async def test_a_socket_on_which_nothing_is_said_is_no_idle_connection() -> None:
    async with serve(quiet, keep_alive=SHORT) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(SOCKET)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        await asyncio.sleep(LONG)
        writer.write(b"\x89\x80\0\0\0\0")
        assert await asyncio.wait_for(reader.readexactly(2), 10) == b"\x8a\x00"
        writer.close()

"""Clients that are gone without a word, told from those that are busy."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect

from server.daemon import _Server
from server.gateway.client.sockets import accepted, lost
from server.gateway.sockets.waiting import PING
from server.running import App
from server.web.edge import Edge, EdgeSocket
from server.web.gone import TURNS, end_those_gone

Talk = Callable[[Receive, Send], Awaitable[None]]


@asynccontextmanager
async def listening(talk: Talk, patience: float = 0.02) -> AsyncIterator[str]:
    """A server whose pings come every 20 ms and are waited for `patience`."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        with suppress(OSError):
            await talk(receive, send)

    config = uvicorn.Config(
        app,
        port=0,
        http=Edge,
        ws=EdgeSocket,
        ws_ping_interval=0.02,
        ws_ping_timeout=patience,
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=2,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield f"ws://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        await server.shutdown()


async def mute(url: str, size: int = 0) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that never answers a ping; it has sent one message of `size` bytes."""
    host, port = url.removeprefix("ws://").rstrip("/").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    if size:
        writer.write(bytes((0x82, 0x80 | size)) + bytes(4) + bytes(size))
    return reader, writer


async def test_a_client_that_answers_no_ping_is_gone() -> None:
    """Whoever listens to it hears that it left."""
    left: asyncio.Queue[Any] = asyncio.Queue()

    async def talk(receive: Receive, _send: Send) -> None:
        left.put_nowait(await receive())

    async with listening(talk) as url:
        _, writer = await mute(url)
        assert (await left.get())["type"] == "websocket.disconnect"
        writer.close()


async def test_one_that_is_not_read_is_not_gone() -> None:
    """Its pong cannot be seen while its upstream is slow: its message is not lost for that."""
    pinged = asyncio.Event()
    got: asyncio.Queue[int] = asyncio.Queue()

    async def talk(receive: Receive, _send: Send) -> None:
        await pinged.wait()
        while (message := await receive())["type"] == "websocket.receive":
            got.put_nowait(len(message["bytes"]))

    async with listening(talk) as url:
        reader, writer = await mute(url, 100)
        for _ in range(5):
            assert (await reader.readexactly(6))[:1] == b"\x89"
        pinged.set()
        assert await got.get() == 100
        writer.close()


async def test_whatever_comes_after_a_ping_answers_it() -> None:
    """A client that is slow with its pong but sends is there."""
    rounds = 0

    async def talk(receive: Receive, _send: Send) -> None:
        nonlocal rounds
        while (await receive())["type"] == "websocket.receive":
            rounds += 1

    async with listening(talk, 0.8) as url:
        reader, writer = await mute(url)
        for _ in range(2):
            assert (await reader.readexactly(6))[:1] == b"\x89"
            writer.write(bytes((0x82, 0x81)) + bytes(4) + b"x")
        writer.close()
    assert rounds >= 1


async def test_a_part_of_this_program_may_send_a_ping() -> None:
    """With words of its own; a library answers it by itself."""

    async def talk(receive: Receive, send: Send) -> None:
        await send({"type": PING, "bytes": b"queued position=1"})
        await send({"type": "websocket.send", "text": "done"})
        await receive()

    async with listening(talk) as url, connect(url) as client:
        assert await client.recv() == "done"


class Connection:
    """As the server's: a transport over a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.transport = self
        self.sock = sock
        self.aborted = False

    def get_extra_info(self, _name: str) -> socket.socket:
        return self.sock

    def is_closing(self) -> bool:
        return self.aborted

    def is_reading(self) -> bool:
        return True

    def abort(self) -> None:
        self.aborted = True


class Paused(Connection):
    def is_reading(self) -> bool:
        return False


class Silent(socket.socket):
    """Its kernel counted three probes and 30 s without an answer."""

    def getsockopt(self, *_args: Any) -> bytes:  # type: ignore[override]
        return bytes((1, 0, 0, 3)) + bytes(52) + (30_000).to_bytes(4, "little")


@pytest.mark.parametrize(("kind", "ended"), [(Silent, 1), (socket.socket, 0)])
def test_connections_whose_host_is_gone_are_ended(kind: type[socket.socket], ended: int) -> None:
    """Every one is looked at once in a round; one that lives stays."""
    with kind(socket.AF_INET, socket.SOCK_STREAM) as sock:
        accepted(sock)
        assert lost(sock) is bool(ended)
        one = Connection(sock)
        assert sum(end_those_gone([one], turn) for turn in range(TURNS)) == ended
        assert one.aborted is bool(ended)
    assert not lost(sock)


def test_who_left_while_nothing_is_read_is_found() -> None:
    """Its goodbye lies unread in the kernel. Of one that is read, whoever reads it hears of it."""
    listener = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(listener.getsockname())
    sock, _ = listener.accept()
    paused = Paused(sock)
    with listener, sock:
        assert sum(end_those_gone([paused], turn) for turn in range(TURNS)) == 0
        client.close()
        assert sock.recv(1) == b""
        assert lost(sock, unread=True)
        assert sum(end_those_gone([Connection(sock)], turn) for turn in range(TURNS)) == 0
        assert sum(end_those_gone([paused], turn) for turn in range(TURNS)) == 1


async def test_the_server_looks_at_its_connections() -> None:
    """While it serves, all of them within five seconds."""
    server = _Server(uvicorn.Config(refuse_all, log_config=None), cast("App", None))
    server.config.load()
    with Silent(socket.AF_INET, socket.SOCK_STREAM) as sock:
        one = Connection(sock)
        server.server_state.connections.add(one)  # type: ignore[arg-type]
        for counter in range(1000, 1000 + TURNS):
            assert not await server.on_tick(counter)
        assert one.aborted


async def refuse_all(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Nobody asks."""

"""How long a WebSocket may stay: not without a word, and not for ever when that is wanted."""

import asyncio
import json

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect

from server.gateway.client.vanished import SIZE, left, vanished
from tests.gateway.made import Running
from tests.gateway.sockets.made import Echo, listening

STREAM, REALTIME = "/v1/audio/stream", "/v1/realtime?model=ears"


async def end_of(running: Running, path: str) -> tuple[list[str], int, str]:
    async with running.session.ws_connect(running.url + path) as socket:
        texts = []
        while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            texts.append(message.data)
        return texts, message.data, message.extra or ""


async def test_one_that_carries_nothing_is_closed_and_frees_its_place() -> None:
    """1001 and the setting's name; the upstream is told as well."""
    echo = Echo()
    async with listening(echo, socket_idle_seconds=0.05) as running:
        texts, code, reason = await end_of(running, STREAM)
        assert (texts, code) == ([], 1001)
        assert "gateway.socket_idle_seconds" in reason
        assert await echo.ended.get() == 1001
        passage = await running.passages.get()
        assert (passage.status, passage.error) == (101, "session_expired")
        assert running.inflight.count() == 0


async def test_openais_dialect_hears_why() -> None:
    """An event comes before the end."""
    async with listening(Echo(), socket_seconds=0.05) as running:
        texts, code, _ = await end_of(running, REALTIME)
        assert code == 1001
        assert json.loads(texts[0])["error"]["code"] == "session_expired"


async def test_pings_are_no_messages() -> None:
    """Every library sends them by itself, also of a tab that was forgotten."""

    async def beat(socket: ClientConnection) -> None:
        while True:
            await (await socket.ping())

    async with (
        listening(Echo(), socket_idle_seconds=0.2) as running,
        connect(running.url.replace("http", "ws") + STREAM) as socket,
    ):
        beating = asyncio.create_task(beat(socket))
        await socket.wait_closed()
        await asyncio.gather(beating, return_exceptions=True)
        assert socket.close_code == 1001


async def test_one_that_is_used_stays_until_it_was_open_for_too_long() -> None:
    """Messages in either direction count; the longest life is another setting."""
    async with (
        listening(Echo(), socket_idle_seconds=30, socket_seconds=1.0) as running,
        running.session.ws_connect(running.url + STREAM) as socket,
    ):
        rounds = 0
        while True:
            await socket.send_bytes(b"x")
            message = await socket.receive()
            if message.type is not aiohttp.WSMsgType.BINARY:
                break
            rounds += 1
        assert rounds > 1
        assert (message.data, "socket_seconds" in (message.extra or "")) == (1001, True)


async def test_without_bounds_it_stays() -> None:
    """0 is no bound."""
    async with (
        listening(Echo(), socket_idle_seconds=0, socket_seconds=0) as running,
        running.session.ws_connect(running.url + STREAM) as socket,
    ):
        await socket.send_str("a")
        assert await socket.receive_str() == "a"


def info(*, repeats: int = 0, probes: int = 0, silent: int = 0) -> bytes:
    found = bytearray(104)
    found[2:4] = bytes((repeats, probes))
    found[56:60] = silent.to_bytes(4, "little")
    return bytes(found)


@pytest.mark.parametrize(
    ("found", "gone"),
    [
        (info(), False),
        (info(silent=3_600_000), False),  # nothing was sent, and nobody asked
        (info(probes=1, silent=60_000), False),  # a reader that pauses answers the next one
        (info(repeats=5, silent=2_000), False),  # a bad line
        (info(probes=3, silent=30_000), True),
        (info(repeats=6, silent=26_000), True),
        (info(probes=9, silent=30_000)[: SIZE - 1], False),
    ],
)
def test_a_silent_kernel_is_gone_a_silent_program_is_not(found: bytes, *, gone: bool) -> None:
    """By Linux's own counts."""
    assert vanished(found) is gone


@pytest.mark.parametrize(
    ("state", "told"), [(1, False), (4, False), (7, True), (8, True), (10, False)]
)
def test_a_goodbye_that_nobody_reads_is_found(state: int, *, told: bool) -> None:
    """By the state of the connection: closed by a reset, or its other end sends no more."""
    assert left(bytes((state,)) + bytes(SIZE - 1)) is told
    assert not left(bytes((state,)))

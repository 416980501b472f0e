"""Service probes against real sockets: what each way of answering becomes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from server.base.clock import SystemClock
from server.config.model import Host, Service
from server.fleet.probe import Prober, health_url
from server.fleet.state import Answer, Outcome

Write = Callable[[asyncio.StreamWriter], None]


@asynccontextmanager
async def listening(write: Write, hang: bool = False) -> AsyncIterator[tuple[int, list[str]]]:
    """A server on loopback that answers every request with what `write` writes."""
    requests: list[str] = []
    closing = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((await reader.readline()).decode())
        try:
            write(writer)
            if hang:
                await closing.wait()
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], requests
    finally:
        closing.set()
        server.close()
        await asyncio.sleep(0)


def reply(text: str) -> Write:
    return lambda writer: writer.write(text.encode())


async def ask(port: int, deadline: float = 5.0, address: str = "127.0.0.1") -> Answer:
    prober = Prober(SystemClock(), deadline)
    service = Service(name="kokoro", kind="tts", host="h", port=port)
    try:
        return await prober.ask(service, Host(name="h", address=address))
    finally:
        await prober.close()


async def test_an_answer_carries_its_status_and_latency() -> None:
    """The default path of the kind is asked."""
    ok = reply("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    async with listening(ok) as (port, requests):
        answer = await ask(port)
    assert (answer.outcome, answer.status) == (Outcome.ANSWERED, 200)
    assert 0 < answer.seconds < 5
    assert requests == ["GET /health HTTP/1.1\r\n"]


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    """Wherever it points: the probe goes nowhere but to the service itself."""
    away = reply("HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: 0\r\n\r\n")
    async with listening(away) as (port, requests):
        answer = await ask(port)
    assert answer.status == 302
    assert len(requests) == 1


async def test_an_endless_body_is_left() -> None:
    """Of a body only a little is read: a service that streams for ever is still answered for."""
    endless = reply("HTTP/1.1 200 OK\r\n\r\n" + "x" * 200_000)
    async with listening(endless, hang=True) as (port, _):
        answer = await ask(port)
    assert answer.status == 200


async def test_a_refused_connection_is_told_apart() -> None:
    """Nobody listens: refused, found below httpx's own errors."""
    async with listening(reply("")) as (port, _):
        pass
    assert (await ask(port)).outcome is Outcome.REFUSED


async def test_silence_is_a_timeout() -> None:
    """Accepted but never answered."""
    async with listening(reply(""), hang=True) as (port, _):
        answer = await ask(port, deadline=0.1)
    assert (answer.outcome, answer.seconds) == (Outcome.TIMED_OUT, 0.1)


async def test_a_body_that_drips_has_one_deadline_for_all() -> None:
    """Headers in time, a body that never ends: the whole probe has one deadline."""
    slow = reply("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n1")
    async with listening(slow, hang=True) as (port, _):
        assert (await ask(port, deadline=0.2)).outcome is Outcome.TIMED_OUT


@pytest.mark.parametrize("text", ["", "SSH-2.0-OpenSSH_9.6\r\n", "HTTP/1.1 abc\r\n\r\n"])
async def test_something_that_is_not_http_is_a_failure(text: str) -> None:
    """Neither an answer nor a clear no; the text of the other side is not repeated."""
    async with listening(reply(text)) as (port, _):
        answer = await ask(port)
    assert answer.outcome is Outcome.FAILED
    assert "SSH" not in answer.detail


def test_an_ipv6_address_is_bracketed() -> None:
    """`http://[fd00::1]:8880/…`."""
    service = Service(name="q", kind="qdrant", host="h", port=6333)
    assert health_url(service, Host(name="h", address="fd00::1")) == "http://[fd00::1]:6333/healthz"

"""What both clients promise when the way to an upstream breaks."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from server.base.errors import Unavailable, UpstreamError, UpstreamTimeout
from server.gateway.model import UpstreamClient
from tests.gateway.client.far import MAKERS, OK, WHOLE, ask, far, fetch, until_gone
from tests.gateway.running import raw_server, read_request

LENGTH = OK + b"content-length: 10\r\n\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 20",
        OK + b"content-len",
        OK + b"content-length: 10\r\n",
        LENGTH,
        LENGTH + b"hello",
        CHUNKED,
        CHUNKED + b"5",
        CHUNKED + b"5\r\nhel",
        CHUNKED + b"5\r\nhello\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\n",
        CHUNKED + b"5\r\nhello\r\n0\r\nx-trailer: 1",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
    ids=repr,
)
async def test_an_answer_that_breaks_off_is_an_error(client: UpstreamClient, said: bytes) -> None:
    """Wherever it breaks off: never a short answer that looks whole."""
    async with far(said, closes=True) as upstream:
        with pytest.raises(UpstreamError):
            await fetch(client, ask(upstream.url))
        assert len(upstream.requests) == 1


async def test_what_came_before_the_break_is_still_read(client: UpstreamClient) -> None:
    """The parts first, then the error."""
    async with far(LENGTH + b"hello", closes=True) as upstream:
        response = await client.open(ask(upstream.url))
        parts = response.chunks()
        assert await anext(parts) == b"hello"
        with pytest.raises(UpstreamError):
            await anext(parts)
        response.close()


async def test_an_answer_without_length_ends_with_its_connection(client: UpstreamClient) -> None:
    """Neither length nor chunks: the close is the end, and the connection serves no other."""
    async with far(OK + b"\r\nall of it", closes=True) as upstream:
        for _ in range(2):
            assert (await fetch(client, ask(upstream.url))).body == b"all of it"
        assert len(upstream.requests) == 2


async def test_nobody_listening_is_unavailable(client: UpstreamClient) -> None:
    """Retryable, since it may be restarting; and without the address."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Unavailable) as caught:
            await client.open(ask(f"http://127.0.0.1:{unused.getsockname()[1]}"))
    assert "127.0.0.1" not in caught.value.message
    assert caught.value.source == "tiny"


@pytest.mark.parametrize("kind", sorted(MAKERS))
async def test_a_connection_that_nobody_accepts_is_given_up(kind: str) -> None:
    """A host that drops packets must not hold a request longer than the deadline to connect."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        client = MAKERS[kind](connect_seconds=0.05)
        with pytest.raises(Unavailable):
            await client.open(ask(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        await client.close()


@pytest.mark.parametrize("kind", sorted(MAKERS))
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1", LENGTH + b"hel"], ids=repr)
async def test_an_upstream_that_falls_silent_is_given_up(kind: str, said: bytes) -> None:
    """`UpstreamTimeout`, and the connection is ended, so that the engine stops."""
    client = MAKERS[kind](idle_seconds=0.05)
    async with far(said) as upstream:
        with pytest.raises(UpstreamTimeout):
            await fetch(client, ask(upstream.url))
        await asyncio.wait_for(upstream.ended.wait(), 10)
    await client.close()


@pytest.mark.parametrize("kind", sorted(MAKERS))
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200"], ids=repr)
async def test_an_answer_that_does_not_begin_in_time_is_given_up(kind: str, said: bytes) -> None:
    """504 that names the settings, well before the silence that is borne within an answer."""
    client = MAKERS[kind](idle_seconds=2.0)
    async with far(said) as upstream:
        with pytest.raises(UpstreamTimeout) as caught:
            await fetch(client, replace(ask(upstream.url), patience=0.05))
        assert caught.value.message == "The engine of tiny began no answer within 0.05 s."
        assert "gateway.head_seconds" in (caught.value.advice or "")
        await asyncio.wait_for(upstream.ended.wait(), 10)
    await client.close()


@pytest.mark.parametrize("kind", sorted(MAKERS))
async def test_an_answer_that_has_begun_may_take_its_time(kind: str) -> None:
    """So may a caller whose upload is slow: it is not the upstream's turn yet."""
    loop, patience = asyncio.get_running_loop(), 0.5
    client, sent, said = MAKERS[kind](idle_seconds=2.0), asyncio.Event(), asyncio.Event()
    loop.call_later(1.5 * patience, sent.set)

    async def slow() -> AsyncIterator[bytes]:
        yield b"a"
        await sent.wait()
        yield b"b"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: int) -> None:
        await read_request(reader)
        writer.write(LENGTH + b"hello")
        loop.call_later(2.5 * patience, said.set)
        await said.wait()
        writer.write(b"hello")
        await until_gone(reader)

    async with raw_server(talk) as url:
        asked = replace(ask(url, body=slow(), length=2), patience=patience)
        assert (await fetch(client, asked)).body == b"hellohello"
        await client.close()


class TestKeptAlive:
    async def test_a_connection_is_used_again(self, client: UpstreamClient) -> None:
        """Ten requests, one connection."""
        async with far(WHOLE) as upstream:
            for _ in range(10):
                assert (await fetch(client, ask(upstream.url))).body == b"ok"
            assert [len(one) for one in upstream.requests] == [10]

    async def test_one_that_closes_on_the_next_request_is_replaced_once(
        self, client: UpstreamClient
    ) -> None:
        """Stale: it was reused, nothing was written back. The request goes to a fresh one."""
        seen: list[int] = []

        async def talk(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
        ) -> None:
            seen.append(number)
            await read_request(reader)
            writer.write(WHOLE)
            await read_request(reader)
            seen.append(number)

        async with raw_server(talk) as url:
            assert not (await fetch(client, ask(url))).retried
            again = await fetch(client, ask(url))
            assert again.retried
            assert again.body == b"ok"
            assert seen == [0, 0, 1]

    async def test_one_that_closed_in_between_costs_nothing(self, client: UpstreamClient) -> None:
        """Closed right after its answer: the next request never meets it."""
        async with far(WHOLE, closes=True) as upstream:
            for _ in range(3):
                assert (await fetch(client, ask(upstream.url))).body == b"ok"
            assert [len(one) for one in upstream.requests] == [1, 1, 1]

    async def test_a_fresh_one_that_breaks_is_not_tried_again(self, client: UpstreamClient) -> None:
        """It may have been at work: asking twice would make it twice."""
        async with far(b"", closes=True) as upstream:
            with pytest.raises(UpstreamError):
                await fetch(client, ask(upstream.url))
            assert len(upstream.requests) == 1

    async def test_one_that_wrote_back_is_not_tried_again(self, client: UpstreamClient) -> None:
        """A single byte says that it was alive and has begun."""

        async def talk(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int
        ) -> None:
            await read_request(reader)
            writer.write(WHOLE)
            await read_request(reader)
            writer.write(b"HTTP/1.1 2")

        async with raw_server(talk) as url:
            await fetch(client, ask(url))
            with pytest.raises(UpstreamError):
                await fetch(client, ask(url))


async def test_closing_an_open_answer_ends_the_connection_at_once(client: UpstreamClient) -> None:
    """A client that leaves stops the GPU."""
    gone = asyncio.Event()

    async def talk(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int
    ) -> None:
        await read_request(reader)
        writer.write(LENGTH + b"hello")
        await until_gone(reader)
        gone.set()

    async with raw_server(talk) as url:
        response = await client.open(ask(url))
        assert await anext(aiter(response.chunks())) == b"hello"
        response.close()
        response.close()
        await asyncio.wait_for(gone.wait(), 10)


async def test_a_request_that_is_cancelled_ends_the_connection(client: UpstreamClient) -> None:
    """Also while nothing has come back yet, which is when an engine works hardest."""
    asked, gone = asyncio.Event(), asyncio.Event()

    async def talk(
        reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _number: int
    ) -> None:
        await read_request(reader)
        asked.set()
        await until_gone(reader)
        gone.set()

    async with raw_server(talk) as url:
        task = asyncio.create_task(client.open(ask(url)))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(gone.wait(), 10)


async def test_a_switch_of_protocols_that_nobody_asked_for_is_an_error(
    client: UpstreamClient,
) -> None:
    """And its connection carries nothing after it, though the parser calls the message complete."""
    switched = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"
    async with far(switched, WHOLE) as upstream:
        with pytest.raises(UpstreamError):
            await fetch(client, ask(upstream.url))
        assert (await fetch(client, ask(upstream.url))).body == b"ok"
        assert [len(one) for one in upstream.requests] == [1, 1]

"""Whoever leaves, dies, orders an end or is slow, at any moment: what a flight holds comes back.

Each request here begins on the fast lane, unless it says otherwise: one before it has made sure
that a connection idles.
"""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import orjson

from server.base.errors import Unavailable
from server.gateway.model import Passage
from server.web.edge import Edge
from tests.gateway.lane.both import BODY, OK, WARM, chunk, post, sized, split
from tests.gateway.made import CHAT, Running, gateway, service
from tests.gateway.running import raw_server, read_request

STREAM = OK.replace(b"application/json", b"text/event-stream") + (
    b"transfer-encoding: chunked\r\n\r\n"
)
FRAME = b'data: {"a":1}\n\n'
STREAMED = post(orjson.dumps(CHAT | {"stream": True}))


@dataclass
class Far:
    """An upstream whose next answer a test writes: `came` gives the connection of each request
    that is no warming, `gone` is set when a connection ended before its answer did."""

    came: "asyncio.Queue[asyncio.StreamWriter]" = field(default_factory=asyncio.Queue)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    heard: list[bytes] = field(default_factory=list)
    url: str = ""

    async def talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int
    ) -> None:
        try:
            while True:
                heard = await read_request(reader)
                if heard.endswith(WARM):
                    writer.write(sized(b"{}"))
                else:
                    self.heard.append(heard)
                    self.came.put_nowait(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()


@dataclass
class Near:
    """A client's connection to the gateway."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def rest(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), 10)


@asynccontextmanager
async def both(warm: int = 1, **options: object) -> AsyncIterator[tuple[Far, Near, Running]]:
    far = Far()
    async with raw_server(far.talk) as far.url, gateway(**options) as running:
        running.serve(far.url)
        near = await connected(running)
        for _ in range(warm):
            near.writer.write(post(WARM))
            await near.reader.readuntil(b"{}")
            await running.passages.get()
        try:
            yield far, near, running
        finally:
            near.writer.close()


async def connected(running: Running) -> Near:
    parts = urlsplit(running.url)
    return Near(*await asyncio.open_connection(parts.hostname, parts.port))


async def over(running: Running) -> Passage:
    """The next passage that ended; nothing is held any more."""
    passage = await asyncio.wait_for(running.passages.get(), 10)
    assert running.inflight.count() == 0
    assert running.held.size == 0
    assert running.activity.under_way() == ()
    assert passage.stop is None
    return passage


def flew(passage: Passage) -> bool:
    """Whether the lane let it in: everything up to then happens at one moment."""
    return passage.admitted == passage.arrived


async def test_a_caller_that_leaves_before_the_answer_frees_its_place_and_the_engine() -> None:
    async with both() as (far, near, running):
        near.writer.write(post())
        await far.came.get()
        near.writer.transport.abort()
        passage = await over(running)
        await asyncio.wait_for(far.gone.wait(), 10)
        assert (flew(passage), passage.error, passage.status) == (True, "client_closed", 499)


async def test_a_caller_that_leaves_in_the_middle_frees_its_place_and_the_engine() -> None:
    async with both() as (far, near, running):
        near.writer.write(STREAMED)
        (await far.came.get()).write(STREAM + chunk(FRAME))
        await near.reader.readuntil(FRAME)
        near.writer.transport.abort()
        passage = await over(running)
        await asyncio.wait_for(far.gone.wait(), 10)
        assert (flew(passage), passage.error, passage.status) == (True, "client_closed", 200)
        assert passage.bytes_out == len(FRAME)


async def test_a_caller_that_leaves_with_half_a_body_was_nobody() -> None:
    """It went the ordinary way then: its line says that it left."""
    async with both() as (far, near, running):
        near.writer.write(post()[:-9])
        await running.began(1)
        near.writer.transport.abort()
        passage = await over(running)
        assert (flew(passage), passage.error) == (False, "client_closed")
        assert far.heard == []


async def test_a_request_that_somebody_ends_before_its_answer_gets_an_error() -> None:
    async with both() as (far, near, running):
        near.writer.write(post(BODY, b"x-request-id: me"))
        await far.came.get()
        running.activity.cancel("me", requested_by="a test")
        passage = await over(running)
        assert (flew(passage), passage.error, passage.status) == (True, "forbidden", 403)
        near.writer.write(post(WARM, b"connection: close"))
        (lines, body, whole), _ = split(await near.rest())
        assert lines[0] == b"HTTP/1.1 403 Forbidden"
        assert whole
        assert b"on purpose" in body
        await asyncio.wait_for(far.gone.wait(), 10)


async def test_a_stream_that_somebody_ends_gets_its_last_frame() -> None:
    async with both() as (far, near, running):
        near.writer.write(STREAMED.replace(b"host: x", b"host: x\r\nx-request-id: me"))
        (await far.came.get()).write(STREAM + chunk(FRAME))
        await near.reader.readuntil(FRAME)
        running.activity.cancel("me", requested_by="a test")
        passage = await over(running)
        assert (flew(passage), passage.error, passage.status) == (True, "forbidden", 200)
        near.writer.write(post(WARM, b"connection: close"))
        said = await near.rest()
        assert b"on purpose" in said
        assert said.endswith(b"{}")
        await asyncio.wait_for(far.gone.wait(), 10)


async def test_what_is_in_flight_is_ended_with_the_error_of_a_drain() -> None:
    async with both() as (far, near, running):
        near.writer.write(post())
        await far.came.get()
        assert running.inflight.end(Unavailable("The model is being replaced."), "tiny") == 1
        passage = await over(running)
        assert (flew(passage), passage.status) == (True, 503)
        assert b"being replaced" in await near.reader.readuntil(b"}}")


async def test_an_answer_that_is_cut_ends_the_connection_without_looking_whole() -> None:
    async with both() as (far, near, running):
        near.writer.write(post())
        writer = await far.came.get()
        writer.write(sized(b"x" * 100)[:-50])
        await near.reader.readuntil(b"xx")
        writer.close()
        passage = await over(running)
        assert (flew(passage), passage.error) == (True, "upstream_error")
        assert len(await near.rest()) < 50


async def test_another_upstream_answers_when_the_first_one_dies_before_its_answer() -> None:
    """Asked once more, of another one, with the same body; and told in one passage."""
    far = Far()
    async with raw_server(far.talk) as one, raw_server(far.talk) as two, gateway() as running:
        running.services = (
            service("one", "llm", one, models=["both"]),
            service("two", "llm", two, models=["both"]),
        )
        near = await connected(running)
        body = orjson.dumps(CHAT | {"model": "both"})
        for _ in range(2):
            near.writer.write(post(body))
            (await far.came.get()).write(sized(b"{}"))
            await near.reader.readuntil(b"{}")
            await running.passages.get()
        near.writer.write(post(body))
        (await far.came.get()).write(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")
        (await far.came.get()).write(sized(b'{"good":1}'))
        await near.reader.readuntil(b'{"good":1}')
        passage = await over(running)
        assert (passage.status, passage.attempts) == (200, 2)
        assert len({heard.partition(b"\r\n\r\n")[2] for heard in far.heard}) == 1
        assert len(far.heard) == 4
        near.writer.close()


async def test_a_stale_connection_costs_nobody_an_answer() -> None:
    """The engine ends an idle connection just as the request is sent over it."""
    asked = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        nonlocal asked
        await read_request(reader)
        asked += 1
        writer.write(sized(b"{}"))
        await writer.drain()
        if number == 0:
            await read_request(reader)
            return
        await reader.read()

    async with raw_server(talk) as url, gateway() as running:
        running.serve(url)
        near = await connected(running)
        near.writer.write(post())
        await near.reader.readuntil(b"{}")
        near.writer.write(post())
        await near.reader.readuntil(b"{}")
        _, second = [await running.passages.get() for _ in range(2)]
        assert flew(second)
        assert (second.status, second.attempts) == (200, 2)
        assert running.inflight.count() == 0
        near.writer.close()


async def test_a_place_that_is_not_free_is_waited_for_the_ordinary_way() -> None:
    """It is let in once, when the one before it is over."""
    async with both(client_in_flight=1) as (far, near, running):
        other = await connected(running)
        near.writer.write(post())
        first = await far.came.get()
        other.writer.write(post())
        await running.began(3)
        assert far.came.empty()
        first.write(sized(b"{}"))
        (await far.came.get()).write(sized(b"{}"))
        await near.reader.readuntil(b"{}")
        await other.reader.readuntil(b"{}")
        passages = [await running.passages.get() for _ in range(2)]
        assert [passage.status for passage in passages] == [200, 200]
        assert [flew(passage) for passage in passages] == [True, False]
        other.writer.close()


async def test_a_slow_reader_slows_the_engine_and_gets_everything() -> None:
    """What it does not read stays where it is made; memory does not hold it."""
    size, sent = 64 << 20, 0
    part = b"data: " + b"x" * 65_530 + b"\n\n"

    async with both() as (far, near, running):
        near.writer.write(STREAMED)
        writer = await far.came.get()
        writer.write(STREAM)

        async def flood() -> None:
            nonlocal sent
            while sent < size:
                writer.write(chunk(part))
                await writer.drain()
                sent += len(part)
            writer.write(b"0\r\n\r\n")

        flooding = asyncio.create_task(flood())
        await near.reader.readuntil(b"\r\n\r\n")
        other = await connected(running)
        for _ in range(20):
            other.writer.write(post(WARM))
            await other.reader.readuntil(b"{}")
            assert (await running.passages.get()).status == 200
        assert sent < size // 2
        heard = 0
        while heard < size:
            heard += len(await near.reader.read(1 << 20))
        await flooding
        passage = await over(running)
        assert flew(passage)
        assert passage.bytes_out == sent
        other.writer.close()


async def test_a_slow_reader_that_leaves_holds_nothing() -> None:
    async with both() as (far, near, running):
        near.writer.write(STREAMED)
        writer = await far.came.get()
        writer.write(STREAM)
        await near.reader.readuntil(b"\r\n\r\n")

        async def flood() -> None:
            while not far.gone.is_set():
                writer.write(chunk(b"x" * 65_536))
                await asyncio.wait({asyncio.ensure_future(writer.drain())}, timeout=0.05)

        flooding = asyncio.create_task(flood())
        await asyncio.sleep(0.1)
        near.writer.transport.abort()
        assert (await over(running)).error == "client_closed"
        await asyncio.wait_for(far.gone.wait(), 10)
        await flooding


async def test_a_connection_that_shuts_down_lets_its_flight_end() -> None:
    """Then it says that it closes, and closes."""
    async with both() as (far, near, running):
        near.writer.write(post())
        writer = await far.came.get()
        # Of a proxy whose object is gone not even the class can be asked by `isinstance`.
        for edge in [one for one in gc.get_objects() if issubclass(type(one), Edge)]:
            edge.shutdown()
        writer.write(sized(b"{}"))
        said = await near.rest()
        assert b"connection: close" in said
        assert said.endswith(b"{}")
        assert flew(await over(running))


async def test_a_bug_of_ours_costs_nobody_a_place() -> None:
    """Who counts must not raise. If somebody does, the connection ends and the place is free."""
    wrong = 0

    def counts(passage: Passage) -> None:
        nonlocal wrong
        if passage.request_id == "me":
            wrong += 1
            raise ZeroDivisionError

    async with both(ended=[counts]) as (far, near, running):
        near.writer.write(post(BODY, b"x-request-id: me"))
        (await far.came.get()).write(sized(b"{}"))
        assert (await near.rest()).endswith(b"{}")
        assert wrong == 1
        assert running.inflight.count() == 0
        assert running.held.size == 0
        other = await connected(running)
        other.writer.write(post(WARM))
        await other.reader.readuntil(b"{}")
        other.writer.close()

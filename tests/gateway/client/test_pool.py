"""Our own pool: which connection is used again and which never, flow control, bounds."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import cast

import pytest

from server.base.errors import UpstreamError, UpstreamTimeout
from server.gateway.client.answer import Answer
from server.gateway.client.connection import HEAD_BYTES, HEADERS, HIGH_WATER, Connection
from server.gateway.client.pool import PooledUpstream
from tests.gateway.client.far import OK, WHOLE, ask, far, fetch, turns, until_gone
from tests.gateway.running import raw_server, read_request


@pytest.fixture
async def pool() -> AsyncIterator[PooledUpstream]:
    made = PooledUpstream()
    try:
        yield made
    finally:
        await made.close()


class TestWhichConnectionIsUsedAgain:
    async def test_the_one_used_last(self, pool: PooledUpstream) -> None:
        """So that those of a busy minute grow old and go."""
        async with far(WHOLE) as upstream:
            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(fetch(pool, ask(upstream.url)))
            for _ in range(5):
                await fetch(pool, ask(upstream.url))
            assert sorted(len(one) for one in upstream.requests) == [1, 1, 6]

    async def test_not_one_that_idled_longer_than_the_upstream_waits(
        self, pool: PooledUpstream
    ) -> None:
        """vLLM closes after 5 s: one that is nearly as old would often be stale."""
        async with far(WHOLE) as upstream:
            await fetch(pool, ask(upstream.url))
            for connection in pool._open:
                connection.since -= 4.5
            assert not (await fetch(pool, ask(upstream.url))).retried
            assert [len(one) for one in upstream.requests] == [1, 1]
            await asyncio.wait_for(upstream.ended.wait(), 10)

    async def test_the_sweep_ends_those_that_nobody_uses(self) -> None:
        """Also when no other request ever comes."""
        pool = PooledUpstream(idle_seconds=0.1)
        async with far(WHOLE) as upstream:
            await fetch(pool, ask(upstream.url))
            for connection in pool._open:
                connection.since -= 4.5
            await asyncio.wait_for(upstream.ended.wait(), 10)
        await pool.close()

    @pytest.mark.parametrize(
        "said",
        [
            OK + b"connection: close\r\ncontent-length: 2\r\n\r\nok",
            b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
            WHOLE + b"and more",
            WHOLE + OK + b"content-length: 4\r\n\r\nevil",
            OK + b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nx",
            b"HTTP/1.1 204 No Content\r\n\r\nok",
            b"HTTP/1.1 304 Not Modified\r\ncontent-length: 2\r\n\r\nok",
        ],
        ids=repr,
    )
    async def test_not_one_that_is_not_clean(self, pool: PooledUpstream, said: bytes) -> None:
        """What comes behind an answer is never taken for the answer to somebody else's request."""
        async with far(said) as upstream:
            for _ in range(2):
                assert (await fetch(pool, ask(upstream.url))).body in {b"ok", b""}
            assert [len(one) for one in upstream.requests] == [1, 1]

    async def test_not_one_on_which_something_came_while_it_was_idle(
        self, pool: PooledUpstream
    ) -> None:
        """An answer that nobody asked for must not be given to whoever asks next."""
        sent = asyncio.Event()
        gone = asyncio.Event()

        async def talk(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
        ) -> None:
            await read_request(reader)
            writer.write(WHOLE)
            if number == 0:
                await sent.wait()
                writer.write(OK + b"content-length: 4\r\n\r\nevil")
                await until_gone(reader)
                gone.set()

        async with raw_server(talk) as url:
            await fetch(pool, ask(url))
            sent.set()
            await asyncio.wait_for(gone.wait(), 10)
            assert (await fetch(pool, ask(url))).body == b"ok"

    async def test_after_trailers_and_after_head_as_well(self, pool: PooledUpstream) -> None:
        """Neither leaves anything behind that could be read into the next answer."""
        trailed = OK + b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-late: 1\r\n\r\n"
        head = OK + b"content-length: 2000\r\nx-head: 1\r\n\r\n"
        async with far(trailed, head, trailed, WHOLE) as upstream:
            assert (await fetch(pool, ask(upstream.url))).body == b"ok"
            got = await fetch(pool, ask(upstream.url, method="HEAD", body=b""))
            assert (got.body, got.headers) == (
                b"",
                [(b"content-length", b"2000"), (b"x-head", b"1")],
            )
            got = await fetch(pool, ask(upstream.url))
            assert got.headers == [(b"transfer-encoding", b"chunked")]
            got = await fetch(pool, ask(upstream.url))
            assert got.headers == [(b"content-length", b"2")]
            assert [len(one) for one in upstream.requests] == [4]

    async def test_while_its_last_answer_is_still_unread(self, pool: PooledUpstream) -> None:
        """The answer is whole; where it lies is not the connection's business any more."""
        async with far(OK + b"content-length: 5\r\n\r\nfirst", WHOLE) as upstream:
            first = await pool.open(ask(upstream.url))
            assert (await fetch(pool, ask(upstream.url))).body == b"ok"
            assert await first.read(100) == b"first"
            first.close()
            assert [len(one) for one in upstream.requests] == [2]

    async def test_a_lost_host_is_noticed_by_the_socket(self, pool: PooledUpstream) -> None:
        """Probes while it is quiet, and an end to what nobody acknowledges."""
        async with far(WHOLE) as upstream:
            await fetch(pool, ask(upstream.url))
            (connection,) = pool._open
            transport = connection._transport
            assert transport is not None
            sock = transport.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0

    async def test_an_upload_may_lie_unread_for_minutes(self, pool: PooledUpstream) -> None:
        """A service that works on one recording does not read the next one; it is not lost."""

        async def body() -> AsyncIterator[bytes]:
            yield b"sound"

        async with far(OK + b"content-length: 2\r\n\r\n") as upstream:
            response = await pool.open(ask(upstream.url, body=body(), length=5))
            (connection,) = pool._open
            transport = connection._transport
            assert transport is not None
            sock = transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 600_000
            response.close()


class Wire(asyncio.Transport):
    """A transport that notes what was asked of it and delivers nothing by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.paused = False
        self.closed = False

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: object) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        self.closed = True

    abort = close


class Keeper:
    """A home that keeps what is given back."""

    def __init__(self) -> None:
        self.kept: list[Connection] = []

    def released(self, connection: Connection) -> None:
        self.kept.append(connection)

    def lost(self, connection: Connection) -> None:
        pass


class TestFlow:
    async def test_a_connection_given_back_while_paused_is_read_from_again(self) -> None:
        """A transport may have one more read under way when it is paused. The next request on that
        connection would hang for ever."""
        loop = asyncio.get_running_loop()
        wire, home = Wire(), Keeper()
        connection = Connection("http://x", home, loop)
        connection.connection_made(wire)
        answer = Answer("tiny", connection, loop, retried=False)
        connection.begin(answer, b"", b"")
        connection.data_received(OK + b"content-length: %d\r\n\r\n" % (HIGH_WATER + 5))
        connection.data_received(b"x" * HIGH_WATER)
        assert wire.paused
        connection.data_received(b"y" * 5)
        assert home.kept == [connection]
        assert not wire.paused
        wire.paused = connection._paused = True
        connection.begin(Answer("tiny", connection, loop, retried=False), b"", b"")
        assert not cast("bool", wire.paused)
        assert len(await answer.read(1 << 20)) == HIGH_WATER + 5

    async def test_a_slow_reader_holds_its_upstream_back(self, pool: PooledUpstream) -> None:
        """Memory stays bounded whatever the upstream could send; and all of it comes in the end."""
        size = 64 << 20
        written = 0

        async def talk(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int
        ) -> None:
            nonlocal written
            while not reader.at_eof():
                await read_request(reader)
                writer.write(OK + b"content-length: %d\r\n\r\n" % size)
                while written < size:
                    writer.write(b"x" * 65536)
                    written += 65536
                    await writer.drain()
                written = 0

        async with raw_server(talk) as url:
            response = await pool.open(ask(url))
            await turns(2000)
            assert written < size / 2
            assert response.size < 4 * HIGH_WATER
            got = 0
            async for part in response:
                got += len(part)
                assert len(part) < 4 * HIGH_WATER
            assert got == size
            assert len((await fetch(pool, ask(url))).body) == size

    async def test_what_came_in_one_turn_is_handed_over_as_one(self, pool: PooledUpstream) -> None:
        """A hundred chunks in one packet cost one pass, not a hundred."""
        chunks = b"".join(b"2\r\n%02d\r\n" % number for number in range(100))
        async with far(
            OK + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        ) as upstream:
            response = await pool.open(ask(upstream.url))
            parts = [part async for part in response.chunks()]
            assert b"".join(parts) == b"".join(b"%02d" % number for number in range(100))
            assert len(parts) < 5


class TestBounds:
    @pytest.mark.parametrize(
        "said",
        [
            OK + b"".join(b"x-%d: 1\r\n" % number for number in range(HEADERS + 1)) + b"\r\n",
            OK + b"x: " + b"y" * HEAD_BYTES + b"\r\n\r\n",
            OK + b"x: " + b"y" * (10 * HEAD_BYTES),
            b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
            OK + b"transfer-encoding: chunked\r\n\r\n5;" + b"e" * (10 * HEAD_BYTES),
            OK + b"transfer-encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * 100_000,
        ],
        ids=["headers", "head", "endless head", "endless 1xx", "endless extension", "trailers"],
    )
    async def test_what_never_becomes_an_answer_is_ended(
        self, pool: PooledUpstream, said: bytes
    ) -> None:
        """64 KiB without a byte of body is more than any engine has to say."""
        async with far(said) as upstream:
            with pytest.raises(UpstreamError):
                await fetch(pool, ask(upstream.url))
            await asyncio.wait_for(upstream.ended.wait(), 10)

    async def test_a_head_of_sixty_thousand_bytes_passes(self, pool: PooledUpstream) -> None:
        """The bound is not hit by what is merely long."""
        said = OK + b"x: " + b"y" * 60_000 + b"\r\ncontent-length: 300000\r\n\r\n" + b"z" * 300_000
        async with far(said) as upstream:
            assert len((await fetch(pool, ask(upstream.url))).body) == 300_000


SMUGGLED = [
    OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    OK + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
    OK + b"content-length: 2\r\ncontent-length: 2\r\n\r\nok",
    OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nok",
    OK + b"content-length: 2, 2\r\n\r\nok",
    OK + b"content-length: +2\r\n\r\nok",
    OK + b"content-length: -2\r\n\r\nok",
    OK + b"content-length: 0x2\r\n\r\nok",
    OK + b"content-length: \r\n\r\nok",
    OK + b"content-length: 99999999999999999999999\r\n\r\nok",
    OK + b"transfer-encoding: gzip\r\n\r\nok",
    OK + b"transfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    OK + b"transfer-encoding: xchunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    OK + b"transfer-encoding: identity\r\n\r\nok",
    OK + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    OK + b"transfer-encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
    OK + b"transfer-encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n",
    OK + b"transfer-encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n",
    OK + b"transfer-encoding: chunked\r\n\r\n2 \r\nok\r\n0\r\n\r\n",
    OK + b"transfer-encoding: chunked\r\n\r\n2\nok\n0\n\n",
    OK + b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nok\r\n0\r\n\r\n",
    OK + b"transfer-encoding: chunked\r\n\r\n1\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    OK + b"x: a\r\n b\r\ncontent-length: 2\r\n\r\nok",
    OK + b"x: a\rb\r\ncontent-length: 2\r\n\r\nok",
    OK + b"x: a\nb: c\r\ncontent-length: 2\r\n\r\nok",
    OK + b"x: a\x00b\r\ncontent-length: 2\r\n\r\nok",
    OK + b"x : a\r\ncontent-length: 2\r\n\r\nok",
    OK + b" x: a\r\ncontent-length: 2\r\n\r\nok",
    OK + b": a\r\ncontent-length: 2\r\n\r\nok",
    OK + b"x\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/0.9 200 OK\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 099 No\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 1000 No\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 199 No\r\ncontent-length: 2\r\n\r\nok",
    b"HTTP/1.1 100 Continue\r\ncontent-length: 2\r\n\r\nok" + WHOLE,
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"ok",
]


@pytest.mark.parametrize("said", SMUGGLED, ids=repr)
async def test_an_answer_that_can_be_read_in_two_ways_is_none(
    pool: PooledUpstream, said: bytes
) -> None:
    """An error and the end of the connection. Nothing of it reaches the next request."""
    async with far(said, WHOLE) as upstream:
        with pytest.raises(UpstreamError):
            await fetch(pool, ask(upstream.url))
        assert (await fetch(pool, ask(upstream.url))).body == b"ok"
        assert [len(one) for one in upstream.requests] == [1, 1]


async def test_closing_the_pool_ends_what_is_under_way(pool: PooledUpstream) -> None:
    """Answers, uploads and idle connections; it can be used again afterwards."""
    sent, waits = asyncio.Event(), asyncio.Event()

    async def upload() -> AsyncIterator[bytes]:
        yield b"first"
        sent.set()
        await waits.wait()

    async with far(WHOLE, OK + b"content-length: 9\r\n\r\nhalf", WHOLE) as upstream:
        await fetch(pool, ask(upstream.url))
        half = await pool.open(ask(upstream.url))
        sending = asyncio.create_task(pool.open(ask(upstream.url, body=upload(), length=9)))
        await sent.wait()
        await pool.close()
        with pytest.raises(UpstreamError):
            await sending
        with pytest.raises(UpstreamError):
            await half.read(100)
        assert not pool._open
        assert (await fetch(pool, ask(upstream.url))).status == 200


@pytest.mark.parametrize("steps", range(1, 5))
async def test_closing_the_pool_ends_what_is_still_connecting(
    pool: PooledUpstream, steps: int
) -> None:
    """Wherever it is on its way; nothing is sent after the close."""
    async with far(WHOLE) as upstream:
        asked = asyncio.create_task(pool.open(ask(upstream.url)))
        await turns(steps)
        await pool.close()
        with pytest.raises(UpstreamError):
            await asked
        assert not pool._open
        assert not any(upstream.requests)


async def test_a_request_that_the_close_ends_is_not_tried_again(pool: PooledUpstream) -> None:
    """Though nothing was written back on a connection that was reused: it is ours that ended it."""
    asked = asyncio.Event()
    numbers: list[int] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        numbers.append(number)
        await read_request(reader)
        writer.write(WHOLE)
        await read_request(reader)
        asked.set()
        await until_gone(reader)

    async with raw_server(talk) as url:
        await fetch(pool, ask(url))
        again = asyncio.create_task(pool.open(ask(url)))
        await asked.wait()
        await pool.close()
        with pytest.raises(UpstreamError):
            await again
        assert numbers == [0]


class TestWhoseTurnItIs:
    async def test_a_slow_sender_is_not_the_fault_of_its_upstream(self) -> None:
        """While the body is still to come the upstream has nothing to say."""
        pool = PooledUpstream(idle_seconds=0.05)
        slow = asyncio.Event()
        asyncio.get_running_loop().call_later(0.3, slow.set)

        async def body() -> AsyncIterator[bytes]:
            yield b"a"
            await slow.wait()
            yield b"b"

        async with far(WHOLE) as upstream:
            assert (await fetch(pool, ask(upstream.url, body=body(), length=2))).body == b"ok"
        await pool.close()

    async def test_a_slow_reader_is_not_either(self) -> None:
        """While nothing is read from it the upstream cannot be heard."""
        pool = PooledUpstream(idle_seconds=0.05)
        size = 32 << 20
        slow = asyncio.Event()
        asyncio.get_running_loop().call_later(0.3, slow.set)
        async with far(OK + b"content-length: %d\r\n\r\n" % size + b"x" * size) as upstream:
            response = await pool.open(ask(upstream.url))
            await slow.wait()
            got = 0
            async for part in response:
                got += len(part)
            assert got == size
        await pool.close()

    async def test_an_upstream_that_takes_nothing_is_given_up(self) -> None:
        """It is its turn: the body is there and it does not read."""
        pool = PooledUpstream(idle_seconds=0.1)
        done = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 65536

        async def talk(
            _reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _number: int
        ) -> None:
            await done.wait()

        async with raw_server(talk) as url:
            with pytest.raises(UpstreamTimeout):
                await fetch(pool, ask(url, body=body()))
            done.set()
        await pool.close()


HEAD = OK + b"content-type: text/plain\r\nContent-Length: %d\r\nserver: far\r\n\r\n"


def whole(body: bytes) -> bytes:
    return HEAD % len(body) + body


class TestAHeadThatComesAgain:
    async def test_is_not_parsed_and_means_the_same(
        self, pool: PooledUpstream, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Bodies of every length over one connection; headers say what was sent."""
        parsed = 0
        fed = Connection.on_headers_complete

        def counted(self: Connection) -> None:
            nonlocal parsed
            parsed += 1
            fed(self)

        monkeypatch.setattr(Connection, "on_headers_complete", counted)
        bodies = [b"one", b"another", b"x" * 5000, b"{}"]
        async with far(*map(whole, bodies)) as upstream:
            for body in bodies:
                got = await fetch(pool, ask(upstream.url))
                assert (got.status, got.body) == (200, body)
                assert dict(got.headers)[b"Content-Length"] == str(len(body)).encode()
                assert dict(got.headers)[b"server"] == b"far"
            assert [len(one) for one in upstream.requests] == [4]
        assert parsed == 1

    @pytest.mark.parametrize(
        ("answer", "body"),
        [
            (OK + b"content-length: 3\r\n\r\nnew", b"new"),
            (b"HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nnew", b"new"),
            (OK + b"transfer-encoding: chunked\r\n\r\n3\r\nnew\r\n0\r\n\r\n", b"new"),
            (b"HTTP/1.1 100 Continue\r\n\r\n" + whole(b"new"), b"new"),
            (HEAD % 0, b""),
        ],
    )
    async def test_another_head_is_parsed_as_ever(
        self, pool: PooledUpstream, answer: bytes, body: bytes
    ) -> None:
        """Between two that are alike."""
        async with far(whole(b"one"), answer, whole(b"two")) as upstream:
            found = [await fetch(pool, ask(upstream.url)) for _ in range(3)]
            assert [one.body for one in found] == [b"one", body, b"two"]

    @pytest.mark.parametrize("more", [b"x", whole(b"two"), b"\r\nx"])
    async def test_what_follows_a_whole_answer_ends_the_connection(
        self, pool: PooledUpstream, more: bytes
    ) -> None:
        """Also when its head is known: nobody may be given the answer to another's question."""
        async with far(whole(b"one"), whole(b"two") + more, whole(b"three")) as upstream:
            bodies = [(await fetch(pool, ask(upstream.url))).body for _ in range(3)]
            assert bodies == [b"one", b"two", b"three"]
            assert [len(one) for one in upstream.requests] == [2, 1]

    async def test_a_body_that_is_longer_or_shorter_than_told_is_no_answer(
        self, pool: PooledUpstream
    ) -> None:
        """The rest is waited for; without it the answer broke."""
        async with far(whole(b"one"), HEAD % 9 + b"four", closes=False) as upstream:
            await fetch(pool, ask(upstream.url))
            response = await pool.open(ask(upstream.url))
            chunks = response.chunks()
            assert await anext(chunks) == b"four"
            response.close()

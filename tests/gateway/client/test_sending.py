"""What both clients promise about what they send: framing, streamed bodies, nothing injected."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from server.base.errors import ClientClosed, InvalidRequest, UpstreamError
from server.gateway.model import UpstreamClient
from server.gateway.wire import Header
from tests.gateway.client.far import OK, WHOLE, ask, far, fetch, turns, until_gone
from tests.gateway.running import raw_server, read_request

PART = b"x" * 65536


async def parts(*given: bytes) -> AsyncIterator[bytes]:
    for one in given:
        yield one


async def read_chunked(reader: asyncio.StreamReader) -> bytes:
    """One request whose body is chunked, as it came."""
    head = await reader.readuntil(b"\r\n\r\n")
    body = b""
    while not body.endswith(b"0\r\n\r\n"):
        body += await reader.readuntil(b"\r\n")
    return head + body


async def test_a_body_in_one_piece_has_its_length(client: UpstreamClient) -> None:
    """Byte for byte, large ones too."""
    for body in (b"", b"{}", PART * 48):
        async with far(WHOLE) as upstream:
            await fetch(client, ask(upstream.url, body=body))
            head, _, came = upstream.requests[0][0].partition(b"\r\n\r\n")
            assert b"content-length: %d" % len(body) in head.lower()
            assert came == body


async def test_a_request_without_a_body_says_nothing_of_one(client: UpstreamClient) -> None:
    """A GET is a GET."""
    async with far(WHOLE) as upstream:
        await fetch(client, ask(upstream.url, method="GET", body=b""))
        head = upstream.requests[0][0].lower()
    assert head.startswith(b"get /v1/x http/1.1\r\n")
    assert b"transfer-encoding" not in head


async def test_a_streamed_body_of_known_length_is_not_chunked(client: UpstreamClient) -> None:
    """Empty parts are no end."""
    async with far(WHOLE) as upstream:
        body = parts(b"he", b"", b"llo")
        await fetch(client, ask(upstream.url, body=body, length=5))
        head, _, came = upstream.requests[0][0].partition(b"\r\n\r\n")
    assert b"content-length: 5" in head.lower()
    assert b"transfer-encoding" not in head.lower()
    assert came == b"hello"


async def test_a_streamed_body_of_unknown_length_is_chunked(client: UpstreamClient) -> None:
    """And the connection is as good as before."""
    came: list[bytes] = []

    async def talk(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int
    ) -> None:
        while not reader.at_eof():
            came.append(await read_chunked(reader))
            writer.write(WHOLE)

    async with raw_server(talk) as url:
        for _ in range(2):
            assert (await fetch(client, ask(url, body=parts(b"he", b"", b"llo")))).body == b"ok"
    assert len(came) == 2
    head, _, body = came[1].partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head.lower()
    assert b"content-length" not in head.lower()
    assert body == b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"


@pytest.mark.parametrize(("given", "length"), [(b"hello", 4), (b"hello", 6)])
async def test_a_body_that_is_not_as_long_as_it_said_is_refused(
    client: UpstreamClient, given: bytes, length: int
) -> None:
    """The byte too many would be the start of another request: it is never sent."""
    came, gone = bytearray(), asyncio.Event()

    async def talk(
        reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _number: int
    ) -> None:
        try:
            while more := await reader.read(1000):
                came.extend(more)
        finally:
            gone.set()

    async with raw_server(talk) as url:
        with pytest.raises(InvalidRequest):
            await fetch(client, ask(url, body=parts(b"he", given[2:]), length=length))
        await asyncio.wait_for(gone.wait(), 10)
    assert len(came.partition(b"\r\n\r\n")[2]) <= length


async def test_a_caller_that_leaves_while_it_sends_breaks_the_request(
    client: UpstreamClient,
) -> None:
    """What its source raised comes out of `open`; the upstream never sees an end of the body."""
    came, gone = bytearray(), asyncio.Event()

    async def leaves() -> AsyncIterator[bytes]:
        yield b"half"
        raise ClientClosed("gone")

    async def talk(
        reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _number: int
    ) -> None:
        try:
            while more := await reader.read(1000):
                came.extend(more)
        finally:
            gone.set()

    async with raw_server(talk) as url:
        with pytest.raises(ClientClosed):
            await fetch(client, ask(url, body=leaves()))
        await asyncio.wait_for(gone.wait(), 10)
    assert not came.endswith(b"0\r\n\r\n")


async def test_a_streamed_body_goes_over_a_connection_of_its_own(client: UpstreamClient) -> None:
    """It cannot be sent twice, so it must not be the one that finds a connection stale."""
    seen: list[int] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await read_request(reader)
        seen.append(number)
        writer.write(WHOLE)
        await read_request(reader)

    async with raw_server(talk) as url:
        await fetch(client, ask(url))
        got = await fetch(client, ask(url, body=parts(b"ab"), length=2))
        assert (got.body, got.retried) == (b"ok", False)
        assert seen == [0, 1]


async def test_a_streamed_body_is_never_sent_twice(client: UpstreamClient) -> None:
    """What breaks while it is sent is an error."""
    async with far(b"", closes=True) as upstream:
        with pytest.raises(UpstreamError):
            await fetch(client, ask(upstream.url, body=parts(b"ab"), length=2))
        assert len(upstream.requests) == 1


async def test_a_refusal_is_heard_while_the_body_is_still_being_sent(
    client: UpstreamClient,
) -> None:
    """413 comes through before the upload is over, and nothing else goes over that connection."""
    refused = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig"
    never = asyncio.Event()
    gone = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"first"
        await never.wait()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        if number == 0:
            await reader.readuntil(b"first")
            writer.write(refused)
            await until_gone(reader)
            gone.set()
        else:
            await read_request(reader)
            writer.write(WHOLE)

    async with raw_server(talk) as url:
        got = await fetch(client, ask(url, body=endless()))
        assert (got.status, got.body) == (413, b"big")
        await asyncio.wait_for(gone.wait(), 10)
        assert (await fetch(client, ask(url))).body == b"ok"


async def test_an_answer_that_begins_early_does_not_stop_the_body(client: UpstreamClient) -> None:
    """An upstream that answers as it hears (live transcription) hears the rest as well."""
    heard = asyncio.Event()

    async def talks() -> AsyncIterator[bytes]:
        yield b"first"
        await heard.wait()
        yield b"second"

    async def talk(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int
    ) -> None:
        await reader.readuntil(b"first")
        writer.write(OK + b"content-length: 11\r\n\r\nfirst")
        await reader.readuntil(b"second\r\n0\r\n\r\n")
        writer.write(b"second")

    async with raw_server(talk) as url:
        response = await client.open(ask(url, body=talks()))
        parts_of_it = response.chunks()
        assert await anext(parts_of_it) == b"first"
        heard.set()
        assert await anext(parts_of_it) == b"second"
        response.close()


async def test_an_upstream_that_does_not_read_stops_the_source(client: UpstreamClient) -> None:
    """Memory stays bounded: what the upstream does not take is not asked for."""
    given = 0
    reads = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(1024):
            given += 1
            yield PART

    async def talk(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int
    ) -> None:
        await reads.wait()
        await reader.readuntil(b"\r\n\r\n")
        left = 1024 * len(PART)
        while left:
            left -= len(await reader.read(1 << 20))
        writer.write(WHOLE)

    async with raw_server(talk) as url:
        asked = ask(url, body=source(), length=1024 * len(PART))
        task = asyncio.create_task(fetch(client, asked))
        await turns(2000)
        assert 0 < given < 512  # The buffers of two sockets, not 64 MiB.
        reads.set()
        assert (await task).body == b"ok"
        assert given == 1024


@pytest.mark.parametrize(
    "header",
    [
        (b"x-a", b"1\r\nx-b: 2"),
        (b"x-a", b"1\nx-b: 2"),
        (b"x-a", b"1\rx"),
        (b"x-a", b"1\x00"),
        (b"x-a\r\nx-b", b"1"),
        (b"x a", b"1"),
        (b"x-a:", b"1"),
        (b"", b"1"),
        (b"content-length", b"0"),
        (b"Transfer-Encoding", b"chunked"),
        (b"HOST", b"elsewhere"),
        (b"connection", b"upgrade"),
    ],
    ids=repr,
)
async def test_a_header_that_would_not_stay_one_is_refused(
    client: UpstreamClient, header: Header
) -> None:
    """Nothing is sent: not even a connection is made."""
    async with far(WHOLE) as upstream:
        with pytest.raises(InvalidRequest):
            await fetch(client, ask(upstream.url, headers=[header]))
        assert upstream.requests == []


@pytest.mark.parametrize(
    "path",
    ["/a b", "/a\r\nx: y", "/a\x00", "/a\t", "/x HTTP/1.1\r\nhost: z\r\n\r\nGET /y"],
    ids=repr,
)
async def test_a_path_that_would_end_its_line_is_refused(client: UpstreamClient, path: str) -> None:
    """As for headers."""
    async with far(WHOLE) as upstream:
        with pytest.raises(InvalidRequest):
            await fetch(client, ask(upstream.url, path=path))
        assert upstream.requests == []


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/a%2Fb%7e/./x/../y?q=%20+&r", b"/a%2Fb%7e/./x/../y?q=%20+&r"),
        ("", b"/"),
        ("?q=1", b"/?q=1"),
        ("/a#b", b"/a"),
        ("//x", b"//x"),
        ("/ü", b"/%C3%BC"),
    ],
)
async def test_a_path_is_sent_as_it_is(client: UpstreamClient, path: str, target: bytes) -> None:
    """No dot is resolved and no escape is written in another way: the upstream decides."""
    async with far(WHOLE) as upstream:
        await fetch(client, ask(upstream.url, path=path))
        assert upstream.requests[0][0].startswith(b"POST " + target + b" HTTP/1.1\r\n")

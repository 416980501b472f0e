"""Nobody gets a second request past us inside of a first one.

Raw bytes at our own edge, as the product runs it; behind it an upstream that notes every request.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import orjson
import pytest
import pytest_asyncio

from tests.gateway.made import CHAT, gateway
from tests.gateway.running import raw_server, read_request

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY = orjson.dumps(CHAT)
HIDDEN = b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
LINE = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
TYPED = LINE + b"content-type: application/json\r\n"
LENGTH = b"content-length: %d\r\n" % len(BODY)
CHUNKED = b"transfer-encoding: chunked\r\n"
CHUNK = b"%x\r\n%b\r\n" % (len(BODY), BODY)
END = b"0\r\n\r\n"
UPGRADE = b"connection: upgrade\r\n"
SOCKET = UPGRADE + b"upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: YQ==\r\n"
LAST = b"GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"

REFUSED = {
    "length and chunks": TYPED + LENGTH + CHUNKED + b"\r\n" + END + HIDDEN,
    "chunks and length": TYPED + CHUNKED + LENGTH + b"\r\n" + END + HIDDEN,
    "short length and chunks": TYPED + b"content-length: 4\r\n" + CHUNKED + b"\r\n" + CHUNK + END,
    "two lengths": TYPED + LENGTH + b"content-length: 0\r\n\r\n" + BODY + HIDDEN,
    "the same length twice": TYPED + LENGTH + LENGTH + b"\r\n" + BODY + HIDDEN,
    "a list of lengths": TYPED + b"content-length: 2, 2\r\n\r\n{}" + HIDDEN,
    "a length with a sign": TYPED + b"content-length: +2\r\n\r\n{}" + HIDDEN,
    "a negative length": TYPED + b"content-length: -2\r\n\r\n{}" + HIDDEN,
    "a length in base 16": TYPED + b"content-length: 0x2\r\n\r\n{}" + HIDDEN,
    "a length beyond 64 bits": TYPED + b"content-length: 99999999999999999999\r\n\r\n{}" + HIDDEN,
    "an unknown coding": TYPED + b"transfer-encoding: xchunked\r\n\r\n" + CHUNK + END + HIDDEN,
    "chunks not last": TYPED + b"transfer-encoding: chunked, gzip\r\n\r\n" + CHUNK + END + HIDDEN,
    "chunk size no number": TYPED + CHUNKED + b"\r\nzz\r\n{}\r\n" + END + HIDDEN,
    "chunk size with prefix": TYPED + CHUNKED + b"\r\n0x2\r\n{}\r\n" + END + HIDDEN,
    "chunk size negative": TYPED + CHUNKED + b"\r\n-2\r\n{}\r\n" + END + HIDDEN,
    "chunk size beyond 64 bits": TYPED + CHUNKED + b"\r\nfffffffffffffffff\r\n{}" + HIDDEN,
    "chunk longer than it says": TYPED + CHUNKED + b"\r\n1\r\n{}\r\n" + END + HIDDEN,
    "chunk ended by a bare LF": TYPED + CHUNKED + b"\r\n2\n{}\n0\n\n" + HIDDEN,
    "space before the colon": TYPED + b"transfer-encoding : chunked\r\n\r\n" + END + HIDDEN,
    "folded header": TYPED + b"x-a: b\r\n transfer-encoding: chunked\r\n" + LENGTH + b"\r\n" + BODY,
    "NUL in a value": TYPED + b"x-a: b\x00c\r\n" + LENGTH + b"\r\n" + BODY + HIDDEN,
    "CR in a value": TYPED + b"x-a: b\rc\r\n" + LENGTH + b"\r\n" + BODY + HIDDEN,
    "LF in a value": TYPED + b"x-a: b\n" + LENGTH + b"\r\n" + BODY + HIDDEN,
    "control character in a value": TYPED + b"x-a: \x01\r\n" + LENGTH + b"\r\n" + BODY + HIDDEN,
    "space in a name": TYPED + b"x a: b\r\n" + LENGTH + b"\r\n" + BODY + HIDDEN,
    "no name": TYPED + b": b\r\n" + LENGTH + b"\r\n" + BODY + HIDDEN,
    "no colon": TYPED + b"x-a\r\n" + LENGTH + b"\r\n" + BODY + HIDDEN,
    "space in the path": b"POST /v1/chat completions HTTP/1.1\r\nhost: x\r\n\r\n" + HIDDEN,
    "NUL in the path": b"POST /v1/chat\x00 HTTP/1.1\r\nhost: x\r\n\r\n" + HIDDEN,
    "CR in the path": b"POST /v1/chat\rx HTTP/1.1\r\nhost: x\r\n\r\n" + HIDDEN,
    "a version from the future": b"POST /v1/chat/completions HTTP/9.9\r\n\r\n" + HIDDEN,
    "a length behind the chunks": TYPED + CHUNKED + b"\r\n0\r\n" + LENGTH + b"\r\n" + HIDDEN,
    "an endless head": TYPED + b"x-a: " + b"b" * 400_000,
    "endless headers": TYPED + b"x-a: b\r\n" * 100_000,
    "an endless chunk extension": TYPED + CHUNKED + b"\r\n2;" + b"e" * 400_000,
    "endless trailers": TYPED + CHUNKED + b"\r\n" + CHUNK + b"0\r\n" + b"x-a: b\r\n" * 100_000,
    "another protocol": TYPED + UPGRADE + b"upgrade: tls/1.0\r\n" + LENGTH + b"\r\n" + HIDDEN,
    "a WebSocket with a body": TYPED + SOCKET + LENGTH + b"\r\n" + HIDDEN,
    "a WebSocket with many headers": b"GET" + TYPED[4:] + SOCKET + b"x-a: b\r\n" * 500 + b"\r\n",
    "no version": b"POST /v1/chat/completions\r\nhost: x\r\n\r\n" + HIDDEN,
    "HTTP/2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN,
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00" + HIDDEN,
}

PASSED = {
    "plain": TYPED + LENGTH + b"\r\n" + BODY,
    "in chunks": TYPED + CHUNKED + b"\r\n" + CHUNK + END,
    "in chunks with trailers": TYPED + CHUNKED + b"\r\n" + CHUNK + b"0\r\nx-late: 1\r\n\r\n",
    "an offer of HTTP/2": TYPED
    + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"
    + LENGTH
    + b"\r\n"
    + BODY,
    "absolute path": TYPED.replace(b" /v1", b" http://elsewhere:9/v1") + LENGTH + b"\r\n" + BODY,
    "framing named by connection": TYPED
    + b"connection: content-length, host, x-a\r\nx-a: b\r\n"
    + LENGTH
    + b"\r\n"
    + BODY,
    "a request as its body's text": TYPED
    + b"content-length: %d\r\n\r\n" % (len(BODY) - 1 + 14 + len(orjson.dumps(HIDDEN.decode())))
    + BODY[:-1]
    + b',"user": '.ljust(13)
    + orjson.dumps(HIDDEN.decode())
    + b"}",
}


@dataclass
class Behind:
    """What the upstream heard, request by request, and what came at the edge."""

    url: str = ""
    heard: list[bytes] = field(default_factory=list)

    async def talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int
    ) -> None:
        try:
            while True:
                self.heard.append(await read_request(reader))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            rest = getattr(error, "partial", b"")
            if rest:
                self.heard.append(rest)

    async def say(self, wire: bytes) -> bytes:
        """Everything that our edge answers to `wire` until it ends the connection."""
        parts = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            writer.write(wire)
            return await asyncio.wait_for(reader.read(), 10)
        except ConnectionError:
            return b""
        finally:
            writer.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge() -> AsyncIterator[Behind]:
    upstream = Behind()
    async with raw_server(upstream.talk) as base_url, gateway() as running:
        running.serve(base_url)
        upstream.url = running.url
        yield upstream


@pytest.fixture
def upstream(edge: Behind) -> Behind:
    edge.heard.clear()
    return edge


@pytest.mark.parametrize("wire", REFUSED.values(), ids=REFUSED)
async def test_what_can_be_read_in_two_ways_is_refused(upstream: Behind, wire: bytes) -> None:
    """An error of the caller's, in words, and the end of the connection; nobody hears of it."""
    said = await upstream.say(wire)
    assert said.startswith(b"HTTP/1.1 4") or not said
    assert said.partition(b"\r\n\r\n")[2] or not said
    assert said.count(b"HTTP/1.1 ") <= 1
    assert upstream.heard == []


@pytest.mark.parametrize("wire", REFUSED.values(), ids=REFUSED)
async def test_it_is_refused_behind_a_good_request_as_well(upstream: Behind, wire: bytes) -> None:
    """In the same packet, while that one is answered on the fast lane."""
    good = TYPED + LENGTH + b"\r\n" + BODY
    await upstream.say(good + LAST)
    said = await upstream.say(good + wire)
    assert said.count(b"HTTP/1.1 ") <= 2
    assert b"HTTP/1.1 200 " not in said[1:]
    assert len(upstream.heard) <= 2
    assert all(heard.endswith(b"\r\n\r\n" + BODY) for heard in upstream.heard)


@pytest.mark.parametrize("wire", PASSED.values(), ids=PASSED)
async def test_what_is_one_request_stays_one(upstream: Behind, wire: bytes) -> None:
    """One request of theirs is one of ours, framed by us and to the host that we chose."""
    said = await upstream.say(wire + LAST)
    assert said.count(b"HTTP/1.1 200 ") == 2
    (heard,) = upstream.heard
    head, _, body = heard.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"post /v1/chat/completions http/1.1"
    assert [line for line in lines if line.startswith(b"content-length:")] == [
        b"content-length: %d" % len(body)
    ]
    assert not any(line.startswith((b"transfer-encoding:", b"connection:")) for line in lines)
    assert not any(line.startswith(b"x-late:") for line in lines)
    (host,) = [line for line in lines if line.startswith(b"host:")]
    assert host.startswith(b"host: 127.0.0.1:")
    assert orjson.loads(body)["model"] == "tiny"

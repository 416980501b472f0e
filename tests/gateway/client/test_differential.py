"""Both clients, asked for the same bytes, give the same answer or the same kind of error.

aiohttp's is the older one and much used: it is the oracle of our own.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.base.errors import SparkError
from server.gateway.model import UpstreamClient
from server.gateway.wire import Header
from tests.gateway.client.far import MAKERS, ask, fetch
from tests.gateway.running import raw_server, read_request

_NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True).filter(
    lambda name: (
        name.lower()
        not in {"content-length", "transfer-encoding", "connection", "upgrade", "content-encoding"}
    )
)
_VALUES = st.text(
    st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=30
).map(lambda text: "".join(one for one in text if not 127 <= ord(one) < 161))
_REASONS = {
    200: "OK",
    201: "Created",
    204: "No Content",
    206: "Partial Content",
    302: "Found",
    304: "Not Modified",
    404: "Not Found",
    429: "",
    500: "Internal Server Error",
    599: "Own",
}


@dataclass(frozen=True)
class Said:
    """What an upstream writes: `wire`, cut at `cuts`; and whether it closes behind it."""

    method: str
    wire: bytes
    cuts: tuple[int, ...]
    closes: bool

    @property
    def pieces(self) -> list[bytes]:
        marks = sorted({cut % (len(self.wire) + 1) for cut in self.cuts} | {0, len(self.wire)})
        return [self.wire[a:b] for a, b in pairwise(marks)]


def _head(version: str, status: int, headers: list[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/{version} {status} {_REASONS[status]}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@st.composite
def answers(draw: st.DrawFn) -> Said:
    method = draw(st.sampled_from(["GET", "POST", "HEAD", "DELETE"]))
    status = draw(st.sampled_from(sorted(_REASONS)))
    headers = draw(st.lists(st.tuples(_NAMES, _VALUES), max_size=5))
    parts = draw(st.lists(st.binary(min_size=1, max_size=200), max_size=5))
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    bodyless = method == "HEAD" or status in {204, 304}
    closes = framing == "close" or draw(st.booleans())
    body = b"".join(parts)
    if framing == "length":
        headers.append(
            (draw(st.sampled_from(["Content-Length", "content-length"])), str(len(body)))
        )
    elif framing == "chunked":
        headers.append(("Transfer-Encoding", draw(st.sampled_from(["chunked", "Chunked"]))))
        extension = draw(st.sampled_from([b"", b";a", b";a=b", b';a="b c"']))
        body = b"".join(b"%x%b\r\n%b\r\n" % (len(one), extension, one) for one in parts) + b"0\r\n"
        for name, value in draw(st.lists(st.tuples(_NAMES, _VALUES), max_size=2)):
            body += f"{name}: {value}\r\n".encode("latin-1")
        body += b"\r\n"
    if closes and draw(st.booleans()):
        headers.append(("Connection", "close"))
    interim = b"".join(
        b"HTTP/1.1 %d Wait\r\n%b\r\n" % (status, b"link: <x>\r\n" * draw(st.integers(0, 1)))
        for status in draw(st.lists(st.sampled_from([100, 102, 103]), max_size=2))
    )
    wire = interim + _head("1.1", status, headers) + (b"" if bodyless else body)
    if draw(st.integers(0, 4)) == 0:
        wire, closes = wire[: draw(st.integers(0, len(wire)))], True
    cuts = tuple(draw(st.lists(st.integers(0, 5000), max_size=6)))
    return Said(method, wire, cuts, closes)


class Stage:
    """One upstream that says what was set last, and both clients in front of it."""

    def __init__(self) -> None:
        self.said = Said("GET", b"", (), closes=True)
        self.clients: dict[str, UpstreamClient] = {}

    async def talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int
    ) -> None:
        try:
            while not reader.at_eof():
                await read_request(reader)
                said = self.said
                for piece in said.pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if said.closes:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass

    async def outcome(
        self, client: UpstreamClient, url: str
    ) -> tuple[int, list[Header], bytes] | type[SparkError]:
        body = b"{}" if self.said.method == "POST" else b""
        try:
            got = await fetch(client, ask(url, method=self.said.method, body=body))
        except SparkError as error:
            return type(error)
        return got.status, got.headers, got.body

    async def compare(self, said: Said) -> None:
        self.said = said
        async with raw_server(self.talk) as url:
            found = {
                kind: [await self.outcome(client, url) for _ in range(2)]
                for kind, client in self.clients.items()
            }
        assert found["pooled"] == found["aiohttp"]


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def compare(request: pytest.FixtureRequest) -> Iterator[Callable[[Said], None]]:
    stage = Stage()
    with asyncio.Runner(loop_factory=request.param) as runner:
        stage.clients = {kind: make() for kind, make in MAKERS.items()}
        yield lambda said: runner.run(stage.compare(said))
        for client in stage.clients.values():
            runner.run(client.close())


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(said=answers())
def test_both_clients_hear_the_same(compare: Callable[[Said], None], said: Said) -> None:
    """Status, headers in their order and spelling, body, kind of error; twice in a row."""
    compare(said)

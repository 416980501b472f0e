"""Upstreams that say byte for byte what a test says, and the asking of them."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from server.gateway.client.aiohttp import AiohttpUpstream
from server.gateway.client.pool import PooledUpstream
from server.gateway.model import UpstreamClient, UpstreamRequest
from server.gateway.wire import Header
from tests.gateway.running import raw_server, read_request

MAKERS: dict[str, Callable[..., UpstreamClient]] = {
    "pooled": PooledUpstream,
    "aiohttp": AiohttpUpstream,
}
OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = OK + b"content-length: 2\r\n\r\nok"

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]


@dataclass
class Got:
    status: int
    headers: list[Header]
    body: bytes
    retried: bool = False


def ask(
    url: str,
    *,
    method: str = "POST",
    path: str = "/v1/x",
    headers: Iterable[Header] = ((b"x-request-id", b"req_1"),),
    body: bytes | AsyncIterable[bytes] = b"{}",
    length: int | None = None,
) -> UpstreamRequest:
    return UpstreamRequest(method, url + path, list(headers), body, "tiny", length)


async def fetch(client: UpstreamClient, request: UpstreamRequest) -> Got:
    """The whole answer, closed behind it."""
    response = await client.open(request)
    try:
        body = b"".join([part async for part in response.chunks()])
    finally:
        response.close()
    return Got(response.status, list(response.headers), body, response.retried)


@dataclass
class Far:
    """An upstream that answers each request with the next of `answers` (the last one for ever).

    `requests` is what came in, one list for each connection. A connection ends after an answer when
    `closes`; `ended` is set whenever the client ended one.
    """

    answers: list[bytes]
    closes: bool = False
    requests: list[list[bytes]] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int
    ) -> None:
        mine: list[bytes] = []
        self.requests.append(mine)
        try:
            while True:
                mine.append(await read_request(reader))
                asked = sum(map(len, self.requests))
                writer.write(self.answers[min(asked, len(self.answers)) - 1])
                await writer.drain()
                if self.closes:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            self.ended.set()


@asynccontextmanager
async def far(*answers: bytes, closes: bool = False) -> AsyncIterator[Far]:
    upstream = Far(list(answers), closes)
    async with raw_server(upstream.talk) as upstream.url:
        yield upstream


async def until_gone(reader: asyncio.StreamReader) -> None:
    """Returns when the other side has ended the connection, however it did."""
    try:
        while await reader.read(65536):
            pass
    except ConnectionError:
        pass


async def turns(count: int = 500) -> None:
    """As many turns of the loop: enough for everything that can go on to have gone on."""
    for _ in range(count):
        await asyncio.sleep(0)

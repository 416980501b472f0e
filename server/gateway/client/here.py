"""What Spark Control answers itself stands behind the same door as every engine and service.

An address of the form `here://<name>` is no place in the network but a function of ours. So what is
answered here is admitted, capped, counted, logged and shown like everything else, and a service of
the same name in `config.yaml` takes its place without anybody noticing. Owns the form of such an
answer. Refuses to know what the functions do.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

from server.base.errors import PayloadTooLarge
from server.gateway.model import UpstreamClient, UpstreamRequest, UpstreamResponse
from server.gateway.wire import Header

SCHEME = "here://"
_PIECE = 1 << 16


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole answer."""

    body: bytes
    media_type: str = "application/json"
    status: int = 200


Handler = Callable[[UpstreamRequest], Awaitable[Answered]]
"""Raises a `SparkError` for a request it does not take. Must not hold up the loop."""


def address(name: str) -> str:
    return f"{SCHEME}{name}"


class OrHere:
    """An `UpstreamClient`: ours for `here://`, `client` for everything else."""

    def __init__(self, client: UpstreamClient, handlers: Mapping[str, Handler]) -> None:
        self._client = client
        self._handlers = handlers

    async def open(self, request: UpstreamRequest) -> UpstreamResponse:
        if not request.url.startswith(SCHEME):
            return await self._client.open(request)
        name = request.url.removeprefix(SCHEME).partition("/")[0]
        return _Answer(await self._handlers[name](request))

    async def close(self) -> None:
        await self._client.close()


class _Answer:
    def __init__(self, said: Answered) -> None:
        self._said = said
        self.retried = False

    @property
    def status(self) -> int:
        return self._said.status

    @property
    def headers(self) -> list[Header]:
        return [
            (b"content-type", self._said.media_type.encode("ascii")),
            (b"content-length", b"%d" % len(self._said.body)),
        ]

    async def chunks(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._said.body), _PIECE):
            yield self._said.body[at : at + _PIECE]
            await asyncio.sleep(0)  # a long answer gives way to streams

    async def read(self, limit: int) -> bytes:
        return self._said.body[:limit]

    def close(self) -> None:
        """Nothing is held."""


async def whole(request: UpstreamRequest, limit: int) -> bytes:
    """The body of a request. Raises `PayloadTooLarge` as soon as it is more than `limit` bytes."""
    parts: list[bytes] = []
    left = limit
    async for part in _parts(request):
        left -= len(part)
        if left < 0:
            raise PayloadTooLarge(f"The body is larger than {limit // 1024} KiB.")
        parts.append(part)
    return b"".join(parts)


async def _parts(request: UpstreamRequest) -> AsyncIterator[bytes]:
    if isinstance(request.body, bytes):
        yield request.body
    else:
        async for part in request.body:
            yield part

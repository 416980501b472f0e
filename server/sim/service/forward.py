"""A request handed on to the reference engine, and its answer as it comes.

Owns one HTTP/1.1 exchange with the standard library alone, as everything that runs inside a
simulated container. Whoever stops reading closes the connection, and the engine stops.
"""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from server.sim.engine.server import Request, Response

HANDED = ("content-type", "accept")
KEPT = ("x-engine", "retry-after")
PIECE = 64 * 1024


async def forward(url: str, request: Request) -> Response:
    """ConnectionError when nobody is there or the answer breaks off before its body."""
    at = urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    try:
        lines = [f"{request.method} {request.path} HTTP/1.1", f"host: {at.netloc}"]
        lines += [f"{name}: {request.headers[name]}" for name in HANDED if name in request.headers]
        lines += [f"content-length: {len(request.body)}", "connection: close", "", ""]
        writer.write("\r\n".join(lines).encode("latin-1") + request.body)
        await writer.drain()
        status, headers = await _head(reader)
    except BaseException:
        writer.close()
        raise
    chunked = "chunked" in headers.get("transfer-encoding", "")
    kept = {name: value for name, value in headers.items() if name in KEPT}
    kind = headers.get("content-type", "application/octet-stream")
    if chunked:
        return Response(status, b"", kind, kept, _pieces(reader, writer))
    try:
        return Response(status, await reader.read(), kind, kept)
    finally:
        writer.close()


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise ConnectionError("the reference engine hung up") from error
    first, *lines = raw.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return int(first.split(" ")[1]), {name.lower(): value.strip() for name, _, value in pairs}


async def _pieces(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> AsyncIterator[bytes]:
    try:
        while size := int((await reader.readline()).split(b";")[0], 16):
            while size:
                piece = await reader.read(min(size, PIECE))
                if not piece:
                    raise ConnectionError("the reference engine hung up")
                size -= len(piece)
                yield piece
            await reader.readline()
    finally:
        writer.close()

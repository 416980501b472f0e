"""A small HTTP/1.1 server on asyncio alone, for engines and services that must start at once.

Owns framing (bodies by length or chunked, keep-alive, streamed answers) and the host's link: when
the link is cut, nothing is read or written any more; when it is down, connections are reset and
refused. A client that leaves cancels its handler. Refuses everything else.
"""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

MAX_HEAD = 64 * 1024
MAX_BODY = 1 << 30


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    head: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Response:
    """`stream` gives the body in pieces; otherwise `body` is whole."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    stream: AsyncIterator[bytes] | None = None

    @classmethod
    def of(cls, body: object, status: int = 200) -> "Response":
        return cls(status, json.dumps(body).encode())


Handler = Callable[[Request], Awaitable[Response]]


class FramingError(Exception):
    """The bytes are not HTTP that this server reads."""


Socket = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Takes a connection over for a WebSocket: the bytes of the handshake, and both directions."""


class HttpServer:
    """One listening socket. `link` is up, cut or down. `sockets`: paths that are WebSockets."""

    def __init__(self, handler: Handler, sockets: Mapping[str, Socket] | None = None) -> None:
        self._handler = handler
        self._sockets = sockets or {}
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._flow = asyncio.Event()
        self._flow.set()
        self._where = ("", 0)
        self.link = "up"

    @property
    def port(self) -> int:
        return self._where[1]

    async def listen(self, address: str, port: int) -> None:
        """Bind and serve. OSError when the port is taken: there is no SO_REUSEPORT here."""
        server = await asyncio.start_server(
            self._accept, address, port, limit=MAX_HEAD, backlog=512
        )
        self._server = server
        self._where = (address, server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)

    async def set_link(self, link: str) -> None:
        """Follow the host's link."""
        if link == self.link:
            return
        self.link = link
        if link == "cut":
            self._flow.clear()
            for writer in self._writers:
                _pause(writer)
            return
        if link == "down":
            await self._reset()
        elif self._server is None and self._where[1]:
            await self.listen(*self._where)
        for writer in self._writers:
            _resume(writer)
        self._flow.set()

    async def _reset(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._writers):
            reset(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            await self._flow.wait()
            await self._converse(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or the server closes: nobody is there to be told
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                request = await read_request(reader, writer)
            except FramingError as error:
                await self._send(writer, Response.of({"error": str(error)}, 400), keep=False)
                return
            if request is None:
                return
            taken = self._sockets.get(request.path)
            if taken is not None and request.headers.get("upgrade", "").lower() == "websocket":
                await taken(request.head, reader, writer)
                return
            keep = request.headers.get("connection", "").lower() != "close"
            if not await self._answer(request, reader, writer, keep=keep) or not keep:
                return

    async def _answer(
        self,
        request: Request,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        keep: bool,
    ) -> bool:
        """Run the handler while watching for a client that leaves. False when it left."""
        work = asyncio.create_task(self._respond(request, writer, keep=keep))
        watch = asyncio.create_task(_gone(reader))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
                return True
            return False
        finally:
            for task in (work, watch):
                task.cancel()
            await asyncio.wait({work, watch})

    async def _respond(self, request: Request, writer: asyncio.StreamWriter, *, keep: bool) -> None:
        response = await self._handler(request)
        await self._send(writer, response, keep=keep, head_only=request.method == "HEAD")

    async def _send(
        self,
        writer: asyncio.StreamWriter,
        response: Response,
        *,
        keep: bool,
        head_only: bool = False,
    ) -> None:
        await self._flow.wait()
        head = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
        head += ["server: simulated-vllm", f"content-type: {response.content_type}"]
        head += [f"{name}: {value}" for name, value in response.headers.items()]
        if response.stream is None:
            head.append(f"content-length: {len(response.body)}")
        else:
            head.append("transfer-encoding: chunked")
        if not keep:
            head.append("connection: close")
        writer.write("\r\n".join([*head, "", ""]).encode("latin-1"))
        if response.stream is not None:
            async for piece in response.stream:
                await self._flow.wait()
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()
            writer.write(b"0\r\n\r\n")
        elif not head_only:
            writer.write(response.body)
        await writer.drain()


async def read_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> Request | None:
    """The next request of a connection, None at its end."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    except asyncio.LimitOverrunError:
        raise FramingError("the request head is too long") from None
    lines = raw.decode("latin-1").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise FramingError("not an HTTP/1.1 request")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    path, _, query = parts[1].partition("?")
    return Request(parts[0], path, query, headers, await _body(reader, headers), raw)


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    try:
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return await _chunks(reader)
        length = int(headers.get("content-length", "0"))
    except ValueError:
        raise FramingError("the length of the body is not a number") from None
    if not 0 <= length <= MAX_BODY:
        raise FramingError("the body is too long")
    return await reader.readexactly(length)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    taken = bytearray()
    while size := int((await reader.readline()).split(b";")[0], 16):
        taken += await reader.readexactly(size)
        await reader.readline()
        if len(taken) > MAX_BODY:
            raise FramingError("the body is too long")
    while (await reader.readline()) not in (b"\r\n", b"\n", b""):
        pass
    return bytes(taken)


async def _gone(reader: asyncio.StreamReader) -> None:
    """Return when the client closed. A pipelined request stays unread, which is no departure."""
    while not reader.at_eof():
        if reader._buffer:  # type: ignore[attr-defined]  # noqa: SLF001  (no public peek)
            await asyncio.Event().wait()
        await reader._wait_for_data("watching")  # type: ignore[attr-defined]  # noqa: SLF001


def _pause(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(RuntimeError, NotImplementedError):
        writer.transport.pause_reading()  # type: ignore[attr-defined]


def _resume(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(RuntimeError, NotImplementedError):
        writer.transport.resume_reading()  # type: ignore[attr-defined]


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, as a host that lost its state does."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()

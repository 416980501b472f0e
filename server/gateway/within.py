"""A request of our own on behalf of a caller: the way of every other request, without a connection.

What is made of several requests, such as a long recording that is heard in parts, asks each of them
here. So each is admitted under the caps, waits in the line, goes to another replica, is counted and
shown as if the caller had sent it. Owns the connection that there is not. Refuses streams: an
answer is held whole.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from starlette.types import Message, Scope

from server.base.errors import SparkError, UpstreamError
from server.gateway.call import Call
from server.gateway.model import Caller, Operation, Passage
from server.gateway.way import Crew
from server.gateway.wire import NOTES, REQUEST_ID, Header

ANSWER_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Inner:
    """`body` is bytes, or makes them anew each time it is asked. `length` when it is known."""

    operation: Operation
    caller: Caller
    request_id: str
    content_type: str
    body: bytes | Callable[[], AsyncIterator[bytes]]
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Got:
    """A whole answer. `upstream` is who gave it."""

    status: int
    headers: list[Header]
    body: bytes
    upstream: str


async def ask(crew: Crew, inner: Inner) -> Got:
    """Raises the `SparkError` that the caller would have been told. Cancelling it leaves the line,
    and closes the upstream at once."""
    passage = Passage(
        inner.request_id, crew.now(), crew.monotonic(), inner.operation.path, inner.caller
    )
    held = _Held(inner)
    call = _Call(crew, inner.operation, passage, (_scope(inner), held.receive, held.send))
    try:
        await call.run()
    finally:
        held.forget()
    if call.failed is not None:
        raise call.failed
    return Got(held.status, held.headers, b"".join(held.parts), passage.upstream)


class _Call(Call):
    """Tells its asker the error itself, not the JSON of it."""

    __slots__ = ("failed",)

    def __init__(self, *given: "object") -> None:
        super().__init__(*given)  # type: ignore[arg-type]
        self.failed: SparkError | None = None

    async def _fail(self, error: SparkError) -> None:
        self.failed = error
        self._passage.error = error.code
        self._passage.status = error.status


class _Held:
    """Both directions of the connection, in memory."""

    def __init__(self, inner: Inner) -> None:
        self._pieces = _pieces(inner.body)
        self._next: asyncio.Task[tuple[bytes, bool]] | None = None
        self.status = 0
        self.headers: list[Header] = []
        self.parts: list[bytes] = []
        self._size = 0

    async def receive(self) -> Message:
        if self._next is None:
            self._next = asyncio.ensure_future(_after(self._pieces))
        # Whoever listens may be called away in the middle of a piece; the piece is kept.
        piece, more = await asyncio.shield(self._next)
        self._next = None
        return {"type": "http.request", "body": piece, "more_body": more}

    def forget(self) -> None:
        if self._next is not None:
            self._next.cancel()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
            return
        piece: bytes = message.get("body", b"")
        self._size += len(piece)
        if self._size > ANSWER_BYTES:
            raise UpstreamError(f"The answer is larger than {ANSWER_BYTES >> 20} MiB.")
        self.parts.append(piece)


async def _after(pieces: AsyncIterator[tuple[bytes, bool]]) -> tuple[bytes, bool]:
    async for piece in pieces:
        return piece
    # Who asks stays there: it leaves by cancelling.
    never: asyncio.Future[tuple[bytes, bool]] = asyncio.get_running_loop().create_future()
    return await never


async def _pieces(
    body: bytes | Callable[[], AsyncIterator[bytes]],
) -> AsyncIterator[tuple[bytes, bool]]:
    if isinstance(body, bytes):
        yield body, False
        return
    async for piece in body():
        yield piece, True
    yield b"", False


def _scope(inner: Inner) -> Scope:
    headers = [(b"content-type", inner.content_type.encode("latin-1"))]
    length = len(inner.body) if isinstance(inner.body, bytes) else inner.length
    if length is None:
        headers.append((b"transfer-encoding", b"chunked"))
    else:
        headers.append((b"content-length", b"%d" % length))
    return {
        "type": "http",
        "method": "POST",
        "path": inner.operation.path,
        "raw_path": inner.operation.path.encode(),
        "query_string": b"",
        "headers": headers,
        "client": None,
        NOTES: {},
        REQUEST_ID: inner.request_id,
    }

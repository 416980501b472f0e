"""The body of a request on its way in: whole when it is small and looked into, else as it comes.

Owns the counting of bytes against the limit while they come, and that a caller who leaves during
its upload is noticed. Refuses to hold more of an upload than its leading parts and a few messages.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

from starlette.types import Receive

from server.base.errors import ClientClosed, SparkError
from server.gateway.intake.head import declared_length, too_large
from server.gateway.wire import Header

_AHEAD_BYTES = 256 * 1024


def _left() -> ClientClosed:
    return ClientClosed("The client left before its request was complete.")


async def read_body(headers: Sequence[Header], receive: Receive, limit: int) -> bytes:
    """The whole body, at most `limit` bytes; a declared length above that is refused unread."""
    declared_length(headers, limit)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise too_large(limit)
        return body
    parts: list[bytes] = []
    size = 0
    while message["type"] != "http.disconnect":
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise too_large(limit)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)
        message = await receive()
    raise _left()


class Upload:
    """A body that is passed on while it comes. One reader at a time calls `take` or `chunks`.

    `held` is what was read and not passed on yet; `complete` says that nothing more will come;
    `begun` that some of it was passed on, so that it cannot be sent again.
    """

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self.held: deque[bytes] = deque()
        self.size = 0
        self.complete = False
        self.begun = False

    async def take(self) -> bytes:
        """The next piece. `PayloadTooLarge` as soon as it is known."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise _left()
        piece: bytes = message.get("body", b"")
        self.size += len(piece)
        if self.size > self._limit:
            raise too_large(self._limit)
        self.complete = not message.get("more_body", False)
        return piece

    async def ahead(self) -> None:
        """Read on while nobody takes: how a caller who leaves is noticed. Bounded, so the end of a
        long upload is only seen when it is taken."""
        while not self.complete and sum(map(len, self.held)) < _AHEAD_BYTES:
            self.held.append(await self.take())

    async def chunks(
        self, fail: Callable[[SparkError], None], sent: Callable[[], None]
    ) -> AsyncIterator[bytes]:
        """What is held, then the rest. When it cannot be completed `fail` ends the request from
        outside, because no client knows an error of its own body; `sent` tells the end."""
        while self.held:
            self.begun = True
            yield self.held.popleft()
        while not self.complete:
            try:
                piece = await self.take()
            except SparkError as error:
                fail(error)
                # The request is being ended: whoever reads here is cancelled, and must not take
                # this for the end of the body.
                await asyncio.get_running_loop().create_future()
                raise
            if piece:
                self.begun = True
                yield piece
        sent()

"""An answer on its way to the caller, held back until it was looked at.

Only of a service of which nothing is known yet, only a good answer that is no stream, and only a
small one: all else passes at once. Where a stream was asked for and something else comes, events
are made of it. What came of it is told to `learned`.
"""

from collections.abc import Callable

from starlette.types import Message, Send

from server.audio.front.looks import as_asked, rewritten
from server.audio.front.options import Options
from server.gateway.wire import Header, header

_MOST = 16 << 20


class Looking:
    """A `Send`. `source` names who answered, by then, and `known` says that it need not be looked
    at. `learned(good)` is told whether the answer was in the format that was asked for."""

    def __init__(
        self,
        send: Send,
        options: Options,
        seconds: float,
        *,
        learned: Callable[[bool], None],
        source: Callable[[], str],
        known: Callable[[], bool],
    ) -> None:
        self._send = send
        self._options = options
        self._seconds = seconds
        self._learned = learned
        self._source = source
        self._known = known
        self._head: Message | None = None
        self._held: list[bytes] = []
        self._size = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            events = _kind(message["headers"]).startswith("text/event-stream")
            if message["status"] == 200 and not events and not self._known():
                self._head = message
                return
            if message["status"] == 200 and events and self._options.stream:
                self._learned(True)
        elif self._head is not None:
            await self._body(self._head, message)
            return
        await self._send(message)

    async def _body(self, head: Message, message: Message) -> None:
        self._held.append(message.get("body", b""))
        self._size += len(self._held[-1])
        more = bool(message.get("more_body", False))
        if more and self._size <= _MOST:
            return
        self._head = None
        body = b"".join(self._held)
        self._held.clear()
        if not more:
            head, body = self._looked(head, body)
        await self._send(head)
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    def _looked(self, head: Message, body: bytes) -> tuple[Message, bytes]:
        kind = _kind(head["headers"])
        good = as_asked(self._options, kind, body)
        made = None
        if not good:
            made = rewritten(self._options, kind, body, self._seconds, self._source())
        if good or made is not None:
            self._learned(good)
        if made is None:
            return head, body
        dropped = {b"content-type", b"content-length", b"etag"}
        headers: list[Header] = [
            *(pair for pair in head["headers"] if pair[0].lower() not in dropped),
            (b"content-type", made.media_type.encode()),
            (b"content-length", b"%d" % len(made.body)),
        ]
        return {**head, "headers": headers}, made.body


def _kind(headers: list[Header]) -> str:
    lowered = [(key.lower(), value) for key, value in headers]
    return (header(lowered, b"content-type") or b"").decode("latin-1").lower()

"""A WebSocket whose turn has not come: accepted before its client gives up, and told where it is.

    held ──accept_after──> accepted, told every few seconds ──> carried on, or closed with a reason
     └─ its turn came, or it is refused: an HTTP answer, as if nobody had waited

Handshakes have deadlines (10 s is common), so the upgrade is not held for long. Owns that from then
on nothing the client says is lost or held without bound. Refuses to speak for the upstream: no
session is made up.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from starlette.types import Message, Receive, Scope, Send

from server.base.errors import Unavailable
from server.gateway.client.tunnel import ACCEPTED
from server.gateway.intake.held import Held
from server.gateway.keys.token import without_key
from server.gateway.model import Waiting
from server.gateway.sockets.dialect import ping, queue_event

EARLY_BYTES = 4 << 20
"""What a client may say while it waits: more than a minute of sound in base64."""
PING = "spark_control.ping"
"""The extension of the server that can send a ping, and the message that asks for one."""

DIRECT, TAKE = "spark_control.direct", "take"
"""The extension of the server that gives each binary message to the `take` in it as soon as it has
come, before `receive`; one that `take` answers False for is received as ever."""


class Early:
    """What a client says before anybody listens. One of `hear` and `next` at a time."""

    def __init__(self, receive: Receive, held: Held) -> None:
        self._receive = receive
        self._held = held
        self._messages: deque[Message] = deque()
        self._size = 0

    async def hear(self) -> Message:
        """The next message, which is kept."""
        message = await self._receive()
        if message["type"] == "websocket.receive":
            size = size_of(message)
            if self._size + size > EARLY_BYTES:
                raise Unavailable(
                    f"More than {EARLY_BYTES >> 20} MiB were sent while waiting for a turn.",
                    retry_after=5,
                )
            self._size += self._held.reserve(size)
            self._messages.append(message)
        return message

    async def next(self) -> Message:
        """What was kept, then the rest."""
        if not self._messages:
            return await self._receive()
        message = self._messages.popleft()
        self._give_back(size_of(message))
        return message

    def forget(self) -> None:
        self._messages.clear()
        self._give_back(self._size)

    def _give_back(self, size: int) -> None:
        self._size -= size
        self._held.give_back(size)


class Standing:
    """One wait. `heard` takes what the admission says; `stop` before anything else is sent.

    `events` tells whether the client understands `spark.queue`; `accepted` is called once.
    """

    def __init__(
        self,
        scope: Scope,
        send: Send,
        accepted: Callable[[], None],
        *,
        request_id: str,
        events: bool,
        accept_after: float,
        every: float,
    ) -> None:
        self.last: Waiting | None = None
        self._scope = scope
        self._send = send
        self._accepted = accepted
        self._request_id = request_id
        self._events = events
        self._accept_after = accept_after
        self._every = every
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def heard(self, waiting: Waiting) -> None:
        first = self.last is None
        self.last = waiting
        if first:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._accept_after, self._begin)

    async def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()

    # -- inside

    def _begin(self) -> None:
        self._timer = None
        self._task = asyncio.get_running_loop().create_task(self._talk())

    async def _talk(self) -> None:
        number = 0
        with suppress(OSError):  # It left: who listens to it is told.
            await self._accept()
            while self.last is not None:
                number += 1
                if self._events:
                    event = queue_event(self.last, self._request_id, number)
                    await self._send({"type": "websocket.send", "text": event})
                if PING in self._scope.get("extensions", ()):
                    await self._send({"type": PING, "bytes": ping(self.last)})
                await asyncio.sleep(self._every)

    async def _accept(self) -> None:
        """The upstream is offered what was chosen here, and nothing else."""
        scope = self._scope
        offered = without_key(scope.get("subprotocols", ()))
        chosen = "realtime" if "realtime" in offered else next(iter(offered), None)
        scope["subprotocols"] = [] if chosen is None else [chosen]
        scope[ACCEPTED] = True
        self._accepted()
        await self._send({"type": "websocket.accept", "subprotocol": chosen})


def size_of(message: Message) -> int:
    """Bytes of a message."""
    text = message.get("text")
    if text is None:
        return len(message.get("bytes") or b"")
    return len(text) if text.isascii() else len(text.encode())

"""What one connection is told, sent in order while its client reads.

Owns the task that sends. Refuses to wait for a client: what is said lies in the `outbox`, and who
reads too slowly for that is `slow`.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from starlette.types import Send

from server.audio.stream.outbox import Outbox

REASON_BYTES = 123
"""Of a close frame."""
LINGER_SECONDS = 2.0
"""How long the last words may take."""


class Speaker:
    """`sent` is told of the size of each text, `slow` once when too much waits."""

    def __init__(self, send: Send, sent: Callable[[int], None], slow: Callable[[], None]) -> None:
        self._send = send
        self._sent = sent
        self._slow = slow
        self._box = Outbox()
        self._more = asyncio.Event()
        self._bye: tuple[int, str] | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._speak(), name="stream out")

    def say(self, texts: Sequence[str], state_of: int | None = None) -> None:
        """`state_of`: the newest of these is enough."""
        if self._bye is not None:
            return
        for text in texts:
            self._box.put(text, state_of)
        if texts:
            self._more.set()
            if self._box.full:
                self._slow()

    def over(self, state_of: int) -> None:
        """What was said as the state of that is old now."""
        self._box.over(state_of)

    def bye(self, texts: Sequence[str], code: int, reason: str) -> None:
        """The last words; the first who says them decides."""
        self.say(texts)
        if self._bye is None:
            self._bye = code, reason.encode()[:REASON_BYTES].decode("utf-8", "ignore")
            self._more.set()

    async def end(self) -> None:
        """When it returns, nothing is sent any more. The last words get a moment."""
        task, self._task = self._task, None
        if task is None:
            return
        if self._bye is not None:
            await asyncio.wait({task}, timeout=LINGER_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _speak(self) -> None:
        with suppress(OSError):  # It left: who listens to it is told.
            while True:
                self._more.clear()
                while (text := self._box.take()) is not None:
                    await self._send({"type": "websocket.send", "text": text})
                    self._sent(len(text))
                if self._bye is not None:
                    code, reason = self._bye
                    await self._send({"type": "websocket.close", "code": code, "reason": reason})
                    return
                await self._more.wait()

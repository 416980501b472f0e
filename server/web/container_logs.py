"""The last lines of a container: the one thing a GET may ask of a host.

Owns the bounds: few lines, one question at a time for the same thing, the answer good for a
moment, so that a room full of open dashboards asks as much as one.
"""

import asyncio
from collections.abc import Sequence

from server.base.clock import Clock
from server.base.redact import escape_controls
from server.fleet.logs import logs
from server.ssh.model import Shells

MAX_LINES = 2000
_FRESH_SECONDS = 1.0
_LONGEST_LINE = 4000

_Key = tuple[str, str, int, str | None]


class ContainerLogs:
    """One per app; `close()` ends what is being asked."""

    def __init__(self, shells: Shells, clock: Clock) -> None:
        self._shells = shells
        self._clock = clock
        self._asking: dict[_Key, asyncio.Task[tuple[str, ...]]] = {}
        self._answers: dict[_Key, tuple[float, tuple[str, ...]]] = {}

    async def tail(
        self, host: str, container: str, lines: int, user: str | None = None
    ) -> Sequence[str]:
        """Oldest line first, secrets redacted. `container` is a name docker would accept."""
        key = (host, container, min(max(lines, 1), MAX_LINES), user)
        now = self._clock.monotonic()
        self._answers = {
            known: answer
            for known, answer in self._answers.items()
            if now - answer[0] < _FRESH_SECONDS
        }
        if key in self._answers:
            return self._answers[key][1]
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(key), name="container logs")
            task.add_done_callback(lambda done: self._asked(key, done))
        # Whoever leaves must not take the answer away from the others.
        return await asyncio.shield(task)

    def _asked(self, key: _Key, done: "asyncio.Task[tuple[str, ...]]") -> None:
        """Looks at the error as well, for when everybody who asked has left."""
        self._asking.pop(key, None)
        if not done.cancelled():
            done.exception()

    async def close(self) -> None:
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, key: _Key) -> tuple[str, ...]:
        host, container, lines, user = key
        text = await logs(self._shells.shell(host, user), container, lines)
        shown = escape_controls(text, keep="\n\t").removesuffix("\n")
        rows = shown.split("\n")[-lines:] if shown else []
        answer = tuple(row[:_LONGEST_LINE] for row in rows)
        self._answers[key] = (self._clock.monotonic(), answer)
        return answer

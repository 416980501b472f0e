"""Windows on their way to the engines: as many at once as these take, the oldest sound first.

Owns the tasks that ask and the line of those that wait (`turns`). A place is had before a window is
cut, so nobody's sound is copied to wait. Each window is one request within the gateway on its
caller's behalf: admitted, failed over and ended like any other. Refuses to know what a stream does
with the answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from server.audio.stream.model import Window
from server.audio.stream.turns import Turns
from server.audio.transcript import Transcript
from server.base.errors import SparkError, UpstreamError, UpstreamTimeout
from server.base.logs import get_logger

PATIENCE_SECONDS = 60.0
"""From the asking to the answer; then it is asked for once more, or told as lost."""
TOLD_SECONDS = 1.0
"""Who waits longer than this for a place is told where it stands."""

Ask = Callable[[Window], Awaitable[Transcript]]


class Taker(Protocol):
    """A stream. `cut` is called when there is a place; None: nothing is wanted any more."""

    def cut(self) -> Window | None: ...

    async def ask(self, window: Window) -> Transcript: ...

    def heard(self, window: Window, found: Transcript) -> None: ...

    def lost(self, window: Window, error: SparkError, *, again: bool) -> None: ...

    def waits(self, position: int) -> None: ...


@dataclass(slots=True)
class _Pool:
    turns: Turns[Taker] = field(default_factory=Turns)
    busy: int = 0


class Hearing:
    """One per app. `places` says how many windows a pool takes at once, of now."""

    def __init__(self, places: Callable[[str], int]) -> None:
        self._places = places
        self._pools: dict[str, _Pool] = {}
        self._tasks: dict[Taker, asyncio.Task[None]] = {}
        self._later: dict[Taker, asyncio.TimerHandle] = {}
        self._telling: asyncio.TimerHandle | None = None
        self._log = get_logger("streams")

    def want(self, pool: str, taker: Taker, since: float, after: float = 0.0) -> None:
        """A place for one window. It is `cut` at once where one is free."""
        if after > 0:
            loop = asyncio.get_running_loop()
            self._later[taker] = loop.call_later(after, self._wanted, pool, taker, since)
        else:
            self._wanted(pool, taker, since)

    def leave(self, pool: str, taker: Taker) -> None:
        """It wants nothing any more; what is asked on its behalf is ended."""
        later = self._later.pop(taker, None)
        if later is not None:
            later.cancel()
        task = self._tasks.get(taker)
        if task is not None:
            task.cancel()
        found = self._pools.get(pool)
        if found is not None:
            found.turns.remove(taker)
            self._tidy(pool, found)

    async def close(self) -> None:
        for later in self._later.values():
            later.cancel()
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        self._pools.clear()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- inside

    def _wanted(self, pool: str, taker: Taker, since: float) -> None:
        self._later.pop(taker, None)
        found = self._pools.setdefault(pool, _Pool())
        found.turns.add(taker, since)
        self._serve(pool, found)
        if len(found.turns) and self._telling is None:
            self._tell_later()

    def _serve(self, pool: str, found: _Pool) -> None:
        while len(found.turns) and found.busy < self._places(pool):
            taker = found.turns.next()
            window = None if taker is None else taker.cut()
            if taker is None or window is None:
                continue
            found.busy += 1
            work = self._work(pool, found, taker, window)
            self._tasks[taker] = asyncio.get_running_loop().create_task(work, name="window")
        self._tidy(pool, found)

    async def _work(self, pool: str, found: _Pool, taker: Taker, window: Window) -> None:
        outcome: Callable[[], None] = lambda: None  # noqa: E731 - nobody is told of a cancellation
        try:
            answer = await _in_time(taker.ask(window))
            outcome = lambda: taker.heard(window, answer)  # noqa: E731
        except SparkError as error:
            lost, again = error, error.retryable or isinstance(error, UpstreamError)
            self._log.info("window not heard", error=lost.code, source=lost.source, again=again)
            outcome = lambda: taker.lost(window, lost, again=again)  # noqa: E731
        except Exception:
            # A bug of ours costs this window, and is told; the stream would wait for ever.
            self._log.exception("window failed")
            broken = SparkError("A window of the stream could not be heard: see the log.")
            outcome = lambda: taker.lost(window, broken, again=False)  # noqa: E731
        finally:
            found.busy -= 1
            self._tasks.pop(taker, None)
            # The place first: what the answer leads to may want it.
            self._serve(pool, found)
        outcome()

    def _tidy(self, pool: str, found: _Pool) -> None:
        if not found.busy and not len(found.turns) and self._pools.get(pool) is found:
            del self._pools[pool]

    def _tell_later(self) -> None:
        self._telling = asyncio.get_running_loop().call_later(TOLD_SECONDS, self._tell)

    def _tell(self) -> None:
        self._telling = None
        for found in self._pools.values():
            for position, taker in enumerate(found.turns.standing(), 1):
                taker.waits(position)
        if any(len(found.turns) for found in self._pools.values()):
            self._tell_later()


async def _in_time(asked: Awaitable[Transcript]) -> Transcript:
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await asked
    except TimeoutError:
        raise UpstreamTimeout(
            f"A window of the stream was not heard within {PATIENCE_SECONDS:g} s.", retry_after=5
        ) from None

"""What people should know and did not ask for: mistakes in config.yaml, and what the engine's
watchdog did. The board remembers the newest notices, since the bus only passes them on."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from server.base.bus import EventBus
from server.base.clock import Clock
from server.web.pages.moment import Moment, moment

KEPT = 8
CONFIG = "config"
"""Key of the notices about config.yaml: these are a state, shown for as long as it holds."""


@dataclass(frozen=True, slots=True)
class Kept:
    at: datetime
    level: str
    message: str
    advice: str


@dataclass(frozen=True, slots=True)
class Notice:
    level: str
    message: str
    advice: str
    at: Moment | None


@dataclass(frozen=True, slots=True)
class NoticeList:
    template: ClassVar[str] = "notice/list.html"

    config: tuple[str, ...]
    notices: tuple[Notice, ...]


class NoticeBoard:
    """Listens on the bus from `start()` to `close()`."""

    def __init__(self, bus: EventBus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock
        self._kept: deque[Kept] = deque(maxlen=KEPT)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._listen(), name="notice board")

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _listen(self) -> None:
        with self._bus.subscribe(frozenset({"notice"})) as events:
            async for event in events:
                if event.key != CONFIG:
                    self.note(event.data)

    def note(self, data: Mapping[str, Any]) -> None:
        self._kept.appendleft(
            Kept(
                self._clock.now(),
                str(data.get("level") or "info"),
                str(data.get("message") or ""),
                str(data.get("advice") or ""),
            )
        )

    def newest(self) -> Sequence[Kept]:
        return tuple(self._kept)


def notice_list(config: Sequence[str], kept: Sequence[Kept], now: datetime) -> NoticeList:
    return NoticeList(
        tuple(config),
        tuple(Notice(one.level, one.message, one.advice, moment(one.at, now)) for one in kept),
    )

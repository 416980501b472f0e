"""Time as an argument: a `Clock` is handed in, so no test sleeps and no decision reads the wall."""

import asyncio
import time
from datetime import UTC, datetime
from functools import partial
from typing import Protocol


class Clock(Protocol):
    """`now` is aware UTC; `monotonic` is seconds that never go back; `sleep` takes seconds."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The real clock."""

    # Both are asked several times for each request: not by another call around them.
    now = staticmethod(partial(datetime.now, UTC))
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def iso(moment: datetime | None) -> str | None:
    """UTC ISO 8601 with milliseconds and a `Z`, as every API answer writes a time."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_iso(text: str) -> datetime:
    """The inverse of `iso`. Raises ValueError for anything else."""
    return datetime.fromisoformat(text)

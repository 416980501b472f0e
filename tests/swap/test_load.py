"""One load: what ends it, and what must not."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import pytest

from server.base.clock import Clock, SystemClock
from server.base.errors import HostUnreachable
from server.config.model import Engine as EngineSettings
from server.launch.model import Engine, LaunchSpec, Progress
from server.ssh.model import Stream
from server.swap.ground import EngineBrokeError
from server.swap.load import GUARD_AFTER, Load
from server.swap.model import SwapError
from tests.swap.made import at, engine, spec


class Quiet:
    """Hears everything, keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def step(self, name: str, host: str) -> None: ...
    def line(self, text: str) -> None: ...
    def progress(self, progress: Progress) -> None: ...
    def note(self, text: str) -> None:
        self.notes.append(text)


class HandClock(SystemClock):
    """Moves only when somebody sleeps on it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return at(self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        await asyncio.sleep(0)


class Log:
    """The engine's log: its lines, then silence, or with `ends` its end (once)."""

    def __init__(self, lines: Sequence[str], *, ends: bool) -> None:
        self.exit_status: int | None = None
        self._lines = iter(lines)
        self._ends = ends

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        line = next(self._lines, None)
        if line is not None:
            return line
        if not self._ends:
            await asyncio.Event().wait()
        self._ends = False
        raise StopAsyncIteration


class Site:
    """A host: `sampled` is when its last sample was true, `lost` whether its log can be read."""

    def __init__(self, *, available: int, sampled: datetime, looks: int = 3) -> None:
        self.hand = HandClock()
        self.lost = False
        self.log = Log([], ends=False)
        self._available = available
        self._sampled = sampled
        self._looks = looks

    @property
    def clock(self) -> Clock:
        return self.hand

    def patience(self) -> EngineSettings:
        return EngineSettings(host_lost_seconds=5)

    async def healthy(self, spec: LaunchSpec) -> bool:
        self._looks -= 1
        return self._looks < 0

    async def runs(self, spec: LaunchSpec, engine: Engine) -> bool:
        return True

    def available(self, host: str, since: datetime) -> int | None:
        return self._available if self._sampled >= since else None

    @asynccontextmanager
    async def follow(self, spec: LaunchSpec, engine: Engine) -> AsyncIterator[Stream]:
        if self.lost:
            raise HostUnreachable("spark-1 is down")
        yield self.log

    async def tail(self, spec: LaunchSpec, engine: Engine) -> str:
        return "the log"

    async def explain(self, spec: LaunchSpec, engine: Engine) -> SwapError:
        return SwapError("engine_died", "ended")


async def load(site: Site) -> bool:
    async with asyncio.timeout(10):
        return await Load(site, spec(), engine("swap-1"), Quiet()).run()


async def test_too_little_memory_ends_a_load() -> None:
    site = Site(available=1 << 20, sampled=at(0) + GUARD_AFTER)
    with pytest.raises(EngineBrokeError) as caught:
        await load(site)
    assert caught.value.error.code == "memory_guard"


async def test_a_sample_from_before_the_load_ends_nothing() -> None:
    """It tells of the engine that was stopped before this one: a rollback would fail for it."""
    await load(Site(available=1 << 20, sampled=at(0)))


async def test_a_host_that_stays_lost_ends_a_load_with_the_truth() -> None:
    site = Site(available=1 << 40, sampled=at(0), looks=1000)
    site.lost = True
    with pytest.raises(EngineBrokeError) as caught:
        await load(site)
    assert caught.value.error.code == "host_lost"
    assert site.hand.seconds >= 5


READY = "INFO:     Application startup complete."


@pytest.mark.parametrize(
    ("lines", "ends", "known"),
    [
        ([READY], False, True),
        ([READY], True, False),
        (["loading"], False, False),
        ([], False, False),
    ],
    ids=["told and open", "told and ended", "not told", "silent"],
)
async def test_a_200_is_the_engines_own_when_its_open_log_told_so(
    lines: list[str], ends: bool, known: bool
) -> None:
    """Anything less and the host has to be asked whether this very engine runs."""
    site = Site(available=1 << 40, sampled=at(0))
    site.log = Log(lines, ends=ends)
    assert await load(site) is known


class Listening(Quiet):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


class Broken(Site):
    """The log can be read, but breaks off after its last line; each reading is from its start."""

    def __init__(self, *readings: Sequence[str], lost_between: bool = False) -> None:
        super().__init__(available=1 << 40, sampled=at(0), looks=1000)
        self.readings = list(readings)
        self._lost_between = lost_between

    def patience(self) -> EngineSettings:
        return EngineSettings(host_lost_seconds=500, no_progress_seconds=60)

    @asynccontextmanager
    async def follow(self, spec: LaunchSpec, engine: Engine) -> AsyncIterator[Stream]:
        lines = self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]
        yield Log(lines, ends=True)
        if self._lost_between:
            raise HostUnreachable("spark-1 is down")


async def broken(site: Site, heard: Quiet) -> SwapError:
    async with asyncio.timeout(10):
        with pytest.raises(EngineBrokeError) as caught:
            await Load(site, spec(), engine("swap-1"), heard).run()
    return caught.value.error


async def test_a_log_that_breaks_off_again_and_again_is_no_progress() -> None:
    """Reading the same lines once more is not the engine moving on."""
    heard = Listening()
    error = await broken(Broken(["one", "two"]), heard)
    assert error.code == "no_progress"
    assert heard.lines == ["one", "two"]


async def test_after_a_break_only_what_is_new_is_heard() -> None:
    heard = Listening()
    await broken(Broken(["one"], ["one", "two"], ["one", "two", "three"]), heard)
    assert heard.lines == ["one", "two", "three"]


async def test_a_log_that_begins_anew_is_heard_anew() -> None:
    """It was rotated: its lines are not those that were heard."""
    heard = Listening()
    await broken(Broken(["one", "two"], ["three"]), heard)
    assert heard.lines == ["one", "two", "three"]


async def test_the_note_of_a_lost_host_is_taken_back_when_it_is_heard_again() -> None:
    heard = Listening()
    site = Broken(["one"], ["one"], lost_between=True)
    site._looks = 20
    async with asyncio.timeout(30):
        await Load(site, spec(), engine("swap-1"), heard).run()
    at_first = next(n for n, note in enumerate(heard.notes) if "not reachable" in note)
    assert "" in heard.notes[at_first:]


async def test_what_a_stuck_engine_said_last_is_short_and_without_secrets() -> None:
    """It stands in the history for good."""
    error = await broken(Broken(["token=sk-abcdefgh12345678 " + "x" * 60000]), Quiet())
    assert len(error.cause) < 500
    assert "sk-abcdefgh" not in error.cause


async def test_a_load_that_is_cancelled_while_it_ends_is_cancelled() -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    class Slow(Site):
        @asynccontextmanager
        async def follow(self, spec: LaunchSpec, engine: Engine) -> AsyncIterator[Stream]:
            try:
                yield self.log
            finally:
                entered.set()
                await leave.wait()

    site = Slow(available=1 << 40, sampled=at(0))
    task = asyncio.create_task(Load(site, spec(), engine("swap-1"), Quiet()).run())
    async with asyncio.timeout(10):
        await entered.wait()
    task.cancel()
    await asyncio.sleep(0)
    leave.set()
    async with asyncio.timeout(10):
        await asyncio.wait({task})
    assert task.cancelled()


async def test_an_engine_that_serves_already_still_tells_what_it_wrote() -> None:
    """A swap taken up after a restart of ours: its log is not empty, and not told twice."""
    heard = Listening()
    site = Site(available=1 << 40, sampled=at(0), looks=0)
    async with asyncio.timeout(10):
        await Load(site, spec(), engine("swap-1"), heard).run()
    assert heard.lines == ["the log"]
    again = Site(available=1 << 40, sampled=at(0), looks=20)
    again.log = Log([READY], ends=False)
    heard = Listening()
    async with asyncio.timeout(10):
        await Load(again, spec(), engine("swap-1"), heard).run()
    assert heard.lines == [READY]

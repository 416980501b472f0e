"""One load, watched to its end: log followed, `/health` polled, memory guarded, patience kept.

Ends when `/health` is 200; raises `EngineBrokeError` when the engine ended, hangs, is wedging
the host, or when the host stays lost.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol

from server.base.clock import Clock
from server.base.errors import HostUnreachable, SparkError
from server.base.redact import one_line, redact
from server.base.units import size
from server.config.model import Engine as EngineSettings
from server.launch.model import Engine, LaunchSpec, Progress
from server.launch.phases import PhaseReader, ready
from server.launch.signatures import excerpt
from server.ssh.model import Stream
from server.swap.ground import EngineBrokeError, Listener
from server.swap.model import SwapError

HEALTH_POLL_SECONDS = 0.2
RETRY_HOST_SECONDS = 1.0
GUARD_AFTER = timedelta(seconds=1)
"""A sample from before this much of the load tells of the engine that was stopped before it."""


class Site(Protocol):
    """What a load needs to see of its hosts."""

    @property
    def clock(self) -> Clock: ...

    def patience(self) -> EngineSettings: ...
    async def healthy(self, spec: LaunchSpec) -> bool: ...
    async def runs(self, spec: LaunchSpec, engine: Engine) -> bool: ...
    def available(self, host: str, since: datetime) -> int | None: ...
    def follow(self, spec: LaunchSpec, engine: Engine) -> AbstractAsyncContextManager[Stream]: ...
    async def tail(self, spec: LaunchSpec, engine: Engine) -> str: ...
    async def explain(self, spec: LaunchSpec, engine: Engine) -> SwapError: ...


class Load:
    """One per Watch effect."""

    def __init__(self, site: Site, spec: LaunchSpec, engine: Engine, listener: Listener) -> None:
        self._site = site
        self._spec = spec
        self._engine = engine
        self._listener = listener
        self._last = ""
        self._first: str | None = None
        self._heard = 0
        self._reader = PhaseReader()
        self._ready = asyncio.Event()
        self._reading = False
        self._moved = site.clock.monotonic()
        self._guarded_from = site.clock.now() + GUARD_AFTER

    async def run(self) -> bool:
        """Whether it is known that the 200 is this engine's own: its log had told that it serves,
        and was still open, which it is only while the engine runs."""
        follower = asyncio.create_task(self._follow())
        try:
            while not await self._site.healthy(self._spec):
                if follower.done():
                    await follower  # raises what it found; a clean end means the engine is gone
                    raise EngineBrokeError(await self._site.explain(self._spec, self._engine))
                await self._guard()
                await self._check_patience()
                await self._pause(follower)
            if not self._heard:
                await self._catch_up()
            return self._ready.is_set() and self._reading
        finally:
            follower.cancel()
            await asyncio.wait({follower})  # a cancel of our own is not taken for the follower's
            if not follower.cancelled():
                follower.exception()  # seen above, or of no account any more

    async def _catch_up(self) -> None:
        """It serves already, as after a restart of ours: what it wrote meanwhile is still told."""
        text = await self._site.tail(self._spec, self._engine)
        if not self._heard:  # else the follower was quicker, and these would be told twice
            for line in text.splitlines():
                self._listener.line(line)

    async def _pause(self, follower: asyncio.Task[None]) -> None:
        """Until the next poll; a little sooner once the log says that the server is up."""
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait(
                {ready, follower},
                timeout=HEALTH_POLL_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if self._ready.is_set():
                await asyncio.sleep(HEALTH_POLL_SECONDS / 8)
        finally:
            ready.cancel()

    async def _follow(self) -> None:
        """Read the log to its end, over lost connections; raise when the host stays lost."""
        lost_since: float | None = None
        limit = self._site.patience().host_lost_seconds
        while True:
            try:
                async with self._site.follow(self._spec, self._engine) as stream:
                    number = 0
                    async for line in stream:
                        if lost_since is not None:
                            self._listener.note("")
                        lost_since, self._reading = None, True
                        if self._is_new(number, line):
                            self._hear(line)
                        number += 1
                    self._reading = False
                if not await self._site.runs(self._spec, self._engine):
                    return
            except SparkError as error:  # the host or its docker does not tell: unknown, not dead
                self._reading = False
                now = self._site.clock.monotonic()
                lost_since = now if lost_since is None else lost_since
                if now - lost_since >= limit:
                    raise EngineBrokeError(_lost(self._spec, error, limit)) from error
                self._moved = now  # a host that cannot be heard is not a load without progress
                self._listener.note(_waiting(self._spec, error))
            await self._site.clock.sleep(RETRY_HOST_SECONDS)

    def _is_new(self, number: int, line: str) -> bool:
        """After a break the log is read from its start again: what was heard is no progress, and
        is not told twice. With another first line it is another log: rotated, or cut."""
        if number == 0 and line != self._first:
            self._first, self._heard, self._reader = line, 0, PhaseReader()
        new = number >= self._heard
        self._heard = max(self._heard, number + 1)
        return new

    def _hear(self, line: str) -> None:
        self._listener.line(line)
        if line != self._last:
            self._moved = self._site.clock.monotonic()
        self._last = line
        progress: Progress | None = self._reader.feed(line)
        if progress is not None:
            self._listener.progress(progress)
        if ready(line):
            self._ready.set()

    async def _guard(self) -> None:
        """End the load before it wedges the host: a GB10 out of memory may need a power cycle."""
        floor = self._site.patience().guard_bytes
        for node in self._spec.nodes:
            available = self._site.available(node.host, self._guarded_from)
            if available is not None and available < floor:
                text = await self._site.tail(self._spec, self._engine)
                raise EngineBrokeError(
                    SwapError(
                        "memory_guard",
                        f"Only {size(available)} of memory were left on {node.host} while loading.",
                        cause="The model takes more memory than the host has to give.",
                        advice="Lower gpu_memory_utilization or max_model_len, or use more nodes.",
                        log_excerpt=excerpt(text),
                    )
                )

    async def _check_patience(self) -> None:
        limit = self._site.patience().no_progress_seconds
        if self._site.clock.monotonic() - self._moved <= limit:
            return
        text = await self._site.tail(self._spec, self._engine)
        raise EngineBrokeError(
            SwapError(
                "no_progress",
                f"The engine on {self._spec.head.host} has shown no progress for {limit:.0f} s.",
                cause=f"It is stuck after: {redact(one_line(self._last, 300)) or 'no log line'}",
                advice="Look at the log below; a frozen percentage often means that the page "
                "cache is full: drop caches, or try another load_format. "
                "engine.no_progress_seconds sets the patience.",
                log_excerpt=excerpt(text),
            )
        )


def _waiting(spec: LaunchSpec, error: SparkError) -> str:
    if isinstance(error, HostUnreachable):
        return f"{spec.head.host} is not reachable; waiting for it"
    return f"waiting: {error.message}"


def _lost(spec: LaunchSpec, error: SparkError, limit: float) -> SwapError:
    return SwapError(
        "host_lost",
        f"{spec.head.host} was lost while {spec.model} loaded, for more than {limit:.0f} s.",
        cause=error.message,
        advice="When it is back, an engine that still runs there is adopted or stopped.",
    )

"""What lies on the hosts, remembered: scans run in the background, readers get the last result.

Owns when a host is scanned: at its first sign of life, when somebody asks, and every so often.
Refuses to be waited for, and to forget what was found on a host that does not answer now.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from server.base.bus import EventBus
from server.base.clock import Clock, iso
from server.base.errors import SparkError
from server.base.health import Health

Scan = Callable[[str], Awaitable[Sequence[Mapping[str, Any]]]]


@dataclass(frozen=True, slots=True)
class _HostScan:
    """The last scan of a host; `found` stays when a later scan fails, `error` says that it did."""

    found: tuple[Mapping[str, Any], ...] = ()
    at: datetime | None = None
    error: str = ""


class DiscoveryCache:
    """`scan(host)` asks one host; `hosts()` names the configured ones. `start()`, `close()`."""

    def __init__(
        self,
        *,
        scan: Scan,
        hosts: Callable[[], Sequence[str]],
        bus: EventBus,
        clock: Clock,
        every_seconds: float = 900.0,
    ) -> None:
        self._scan = scan
        self._hosts = hosts
        self._bus = bus
        self._clock = clock
        self._every_seconds = every_seconds
        self._known: dict[str, _HostScan] = {}
        self._due: set[str] = set()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._work(), name="discovery scans"),
            asyncio.create_task(self._listen(), name="discovery events"),
            asyncio.create_task(self._repeat(), name="discovery beat"),
        ]

    async def close(self) -> None:
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    def found(self) -> list[Mapping[str, Any]]:
        hosts = self._hosts()
        return [one for host in hosts for one in self._known.get(host, _HostScan()).found]

    def scans(self) -> list[dict[str, Any]]:
        known = [(host, self._known.get(host, _HostScan())) for host in self._hosts()]
        return [
            {"host": host, "scanned_at": iso(scan.at), "error": scan.error or None}
            for host, scan in known
        ]

    def rescan(self) -> None:
        self._due.update(self._hosts())
        self._wake.set()

    async def _repeat(self) -> None:
        while True:
            await self._clock.sleep(self._every_seconds)
            self.rescan()

    async def _listen(self) -> None:
        """A host that answers for the first time has not been looked at yet."""
        with self._bus.subscribe(frozenset({"host"})) as events:
            async for event in events:
                if event.key not in self._known and event.data.get("health") == Health.UP.value:
                    self._due.add(event.key)
                    self._wake.set()

    async def _work(self) -> None:
        """One host after the other: a scan reads many small files, and nobody waits for it."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._due:
                host = self._due.pop()
                if host in self._hosts():
                    await self._look(host)

    async def _look(self, host: str) -> None:
        before = self._known.get(host, _HostScan())
        try:
            found = tuple(await self._scan(host))
        except SparkError as error:
            self._known[host] = _HostScan(before.found, before.at, error.message)
        else:
            self._known[host] = _HostScan(found, self._clock.now())
        self._bus.publish("model", "discovery", {"discovery": host})

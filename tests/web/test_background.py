"""What the web floor remembers: discovery scans in the background, container logs asked once."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from server.base.bus import EventBus
from server.base.clock import SystemClock
from server.base.errors import HostUnreachable, NotFound
from server.ssh.model import Result, Target
from server.web.container_logs import ContainerLogs
from server.web.discovery import DiscoveryCache

FOUND = {"source": {"path": "/srv/models/x"}}


@dataclass
class Scans:
    """Hosts that were scanned, and what the next scan says."""

    bus: EventBus = field(default_factory=EventBus)
    asked: list[str] = field(default_factory=list)
    fails: bool = False
    hosts: list[str] = field(default_factory=lambda: ["spark-1", "spark-2"])

    async def scan(self, host: str) -> Sequence[Mapping[str, Any]]:
        self.asked.append(host)
        if self.fails:
            raise HostUnreachable(f"{host} does not answer")
        return [FOUND | {"host": host}]


@asynccontextmanager
async def cache(scans: Scans) -> AsyncIterator[DiscoveryCache]:
    made = DiscoveryCache(
        scan=scans.scan, hosts=lambda: scans.hosts, bus=scans.bus, clock=SystemClock()
    )
    await made.start()
    try:
        yield made
    finally:
        await made.close()


async def test_a_host_is_scanned_at_its_first_sign_of_life() -> None:
    """And not again at each of its samples."""
    scans = Scans()
    async with cache(scans) as found:
        with scans.bus.subscribe(frozenset({"model"})) as events:
            await asyncio.sleep(0)
            scans.bus.publish("host", "spark-1", {"health": "unknown"})
            scans.bus.publish("host", "spark-1", {"health": "up"})
            assert (await anext(events)).data == {"discovery": "spark-1"}
            scans.bus.publish("host", "spark-1", {"health": "up"})
            scans.bus.publish("host", "spark-2", {"health": "up"})
            assert (await anext(events)).data == {"discovery": "spark-2"}
        assert scans.asked == ["spark-1", "spark-2"]
        assert [one["host"] for one in found.found()] == ["spark-1", "spark-2"]
        assert all(one["scanned_at"] for one in found.scans())
    assert scans.bus.subscribers == 0


async def test_a_scan_that_fails_keeps_what_was_found_before() -> None:
    """And says that it failed; a host that was removed is not shown."""
    scans = Scans()
    async with cache(scans) as found:
        with scans.bus.subscribe(frozenset({"model"})) as events:
            found.rescan()
            await anext(events)
            scans.fails = True
            found.rescan()
            while not any(one["error"] for one in found.scans()):
                await anext(events)
        assert len(found.found()) >= 1
        scans.hosts.clear()
        assert found.found() == []
        assert found.scans() == []


@dataclass
class FakeShell:
    """A host whose docker says what the test wants, when the test lets it."""

    answer: str
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0
    target: Target = field(default_factory=lambda: Target("spark-1", "192.0.2.11", 22, "ubuntu"))

    def shell(self, host: str, user: str | None = None) -> "FakeShell":
        return self

    async def run(self, argv: Sequence[str], **_options: Any) -> Result:
        self.asked += 1
        await self.go_on.wait()
        return Result(tuple(argv), 0, self.answer, "", 0.1)


@asynccontextmanager
async def logs(shell: FakeShell) -> AsyncIterator[ContainerLogs]:
    made = ContainerLogs(shell, SystemClock())  # type: ignore[arg-type]
    try:
        yield made
    finally:
        await made.close()


async def test_many_who_ask_are_one_question() -> None:
    """Also those who ask just after; and whoever leaves takes nothing from the others."""
    shell = FakeShell("one\ntwo \x1b[31mred\x1b[0m\nstatus=0\n")
    async with logs(shell) as made:
        asking = [asyncio.create_task(made.tail("spark-1", "engine", 5)) for _ in range(3)]
        await asyncio.sleep(0)
        asking[0].cancel()
        shell.go_on.set()
        assert await asking[1] == await asking[2] == ("one", "two red")
        assert await made.tail("spark-1", "engine", 5) == ("one", "two red")
        assert shell.asked == 1


async def test_a_failure_is_told_to_all_who_asked_and_not_remembered() -> None:
    """The next one asks again."""
    shell = FakeShell("Error: No such container: engine\nstatus=1\n")
    shell.go_on.set()
    async with logs(shell) as made:
        for _ in range(2):
            with pytest.raises(NotFound):
                await made.tail("spark-1", "engine", 5)
    assert shell.asked == 2


async def test_closing_ends_what_is_being_asked() -> None:
    """Nothing is left running at shutdown."""
    shell = FakeShell("")
    async with logs(shell) as made:
        asking = asyncio.create_task(made.tail("spark-1", "engine", 5))
        await asyncio.sleep(0)
        await made.close()
        with pytest.raises(asyncio.CancelledError):
            await asking

"""Looks of the doctor beside a page: one at a time for each host, told as they go."""

import asyncio
from collections.abc import Sequence

from server.base.bus import EventBus
from server.base.clock import SystemClock
from server.base.errors import Unavailable
from server.base.finding import Finding, Severity
from server.config.model import Host
from server.fleet.examination import Examinations, Tell

HOST = Host(name="spark-1", address="192.0.2.11")
FINE = Finding("ssh", Severity.OK, "It answers.")
BAD = Finding("docker", Severity.ERROR, "docker is not installed.")


class Doctor:
    """Says the first finding, and the rest when it is let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.told, self.go = asyncio.Event(), asyncio.Event()

    async def __call__(self, host: Host, tell: Tell) -> Sequence[Finding]:
        self.asked.append(host.address)
        tell([FINE])
        self.told.set()
        await self.go.wait()
        return [FINE, BAD]


async def test_findings_come_in_while_it_goes_on() -> None:
    """A second press meanwhile begins nothing; the bus hears of each step."""
    doctor, bus = Doctor(), EventBus()
    looks = Examinations(doctor, bus, SystemClock())
    with bus.subscribe(frozenset({"job"})) as events:
        first = looks.begin(HOST)
        assert first.running
        assert looks.begin(HOST) is first
        await doctor.told.wait()
        now = looks.of(HOST)
        assert now is not None
        assert (now.running, now.good, now.findings) == (True, False, (FINE,))
        doctor.go.set()
        seen = []
        async for event in events:
            seen.append(event.data["state"])
            if event.data["state"] != "running":
                break
    assert seen[-1] == "failed"
    ended = looks.of(HOST)
    assert ended is not None
    assert (ended.running, ended.findings) == (False, (FINE, BAD))
    assert doctor.asked == ["192.0.2.11"]
    await looks.close()


async def test_a_changed_host_is_another_one() -> None:
    """What was found of the old address says nothing of the new; the old look is given up."""
    doctor = Doctor()
    looks = Examinations(doctor, EventBus(), SystemClock())
    looks.begin(HOST)
    moved = Host(name="spark-1", address="192.0.2.12")
    assert looks.of(moved) is None
    looks.begin(moved)
    doctor.go.set()
    found = await looks.examine(moved)
    assert found.findings == (FINE, BAD)
    assert looks.of(HOST) is None
    await looks.close()


async def test_a_doctor_that_cannot_look_says_why() -> None:
    """Unknown, never an error of the host."""

    async def away(host: Host, tell: Tell) -> Sequence[Finding]:
        raise Unavailable("Spark Control is shutting down.", advice="Try again.")

    looks = Examinations(away, EventBus(), SystemClock())
    found = await looks.examine(HOST)
    assert [one.severity for one in found.findings] == [Severity.UNKNOWN]
    await looks.close()


async def test_a_look_that_breaks_off_is_over() -> None:
    """A mistake of ours leaves no page that looks for ever."""

    async def broken(host: Host, tell: Tell) -> Sequence[Finding]:
        raise KeyError("a mistake")

    looks = Examinations(broken, EventBus(), SystemClock())
    found = await looks.examine(HOST)
    assert (found.running, found.good) == (False, False)
    await looks.close()

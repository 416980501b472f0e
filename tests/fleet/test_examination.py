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
        self.go = asyncio.Event()

    async def __call__(self, host: Host, tell: Tell) -> Sequence[Finding]:
        self.asked.append(host.address)
        tell([FINE])
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
        while (now := looks.of(HOST)) is not None and not now.findings:
            await asyncio.sleep(0)
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
    while (found := looks.of(moved)) is not None and found.running:
        await asyncio.sleep(0)
    assert found is not None
    assert looks.of(HOST) is None
    await looks.close()


async def test_a_doctor_that_cannot_look_says_why() -> None:
    """Unknown, never an error of the host."""

    async def away(host: Host, tell: Tell) -> Sequence[Finding]:
        raise Unavailable("Spark Control is shutting down.", advice="Try again.")

    looks = Examinations(away, EventBus(), SystemClock())
    looks.begin(HOST)
    while (found := looks.of(HOST)) is not None and found.running:
        await asyncio.sleep(0)
    assert found is not None
    assert [one.severity for one in found.findings] == [Severity.UNKNOWN]
    await looks.close()

"""The last look of the doctor at each host: run beside the page that asked for it, kept in memory.

Owns one task for each host that is being looked at, and tells the bus as findings come in. Refuses
a second look at the same host while one is under way: whoever asks then sees that one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from server.base.bus import EventBus
from server.base.clock import Clock, iso
from server.base.errors import SparkError
from server.base.finding import Finding, Severity
from server.config.model import Host

Tell = Callable[[Sequence[Finding]], None]
Doctor = Callable[[Host, Tell], Awaitable[Sequence[Finding]]]

BAD = frozenset({Severity.ERROR, Severity.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Examination:
    """`host` is what was looked at: after a change of its settings this says nothing of it."""

    host: Host
    began: datetime
    ended: datetime | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def running(self) -> bool:
        return self.ended is None

    @property
    def good(self) -> bool:
        return not self.running and not any(one.severity in BAD for one in self.findings)


class Examinations:
    """`close()` ends what is under way."""

    def __init__(self, doctor: Doctor, bus: EventBus, clock: Clock) -> None:
        self._doctor = doctor
        self._bus = bus
        self._clock = clock
        self._known: dict[str, Examination] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def of(self, host: Host) -> Examination | None:
        """The last one, if it was of the host as it is now."""
        found = self._known.get(host.name)
        return found if found is not None and found.host == host else None

    def begin(self, host: Host) -> Examination:
        """Does not wait. An examination under way of the same host goes on."""
        known = self.of(host)
        if known is not None and known.running:
            return known
        before = self._tasks.pop(host.name, None)
        if before is not None:
            before.cancel()
        started = self._known[host.name] = Examination(host, self._clock.now())
        task = asyncio.create_task(self._run(started), name=f"look at {host.name}")
        self._tasks[host.name] = task
        self._publish(started)
        return started

    async def examine(self, host: Host) -> Examination:
        """Begin one, or join the one under way, and wait for its end. Who gives up waiting ends
        nothing: others may be looking."""
        found = self.begin(host)
        await asyncio.wait((self._tasks[host.name],))
        return self.of(host) or found

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, started: Examination) -> None:
        def tell(findings: Sequence[Finding]) -> None:
            self._keep(replace(started, findings=tuple(findings)))

        try:
            findings = tuple(await self._doctor(started.host, tell))
        except SparkError as error:
            advice = error.advice or ""
            findings = (_unknown(error.code, error.message, advice, started.host.name),)
        except BaseException:
            told = "The look was broken off before its end."
            findings = (_unknown("internal", told, "Test again.", started.host.name),)
            self._keep(replace(started, ended=self._clock.now(), findings=findings))
            raise
        self._keep(replace(started, ended=self._clock.now(), findings=findings))

    def _keep(self, now: Examination) -> None:
        """Unless another look has begun meanwhile, at the host as it is by then."""
        known = self._known.get(now.host.name)
        if known is not None and (known.host, known.began) == (now.host, now.began):
            self._known[now.host.name] = now
            self._publish(now)

    def _publish(self, one: Examination) -> None:
        state = "running" if one.running else "done" if one.good else "failed"
        name = one.host.name
        self._bus.publish(
            "job",
            f"check:{name}",
            {"job": "check", "host": name, "state": state, "began_at": iso(one.began)},
        )


def _unknown(code: str, message: str, advice: str, host: str) -> Finding:
    return Finding(code, Severity.UNKNOWN, message, advice, host)

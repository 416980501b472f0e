"""Looking at a swap before it is asked for: what preflight finds, and who would go for it.

Owns one look per model at a time, begun because a person asked, and how the last of each model
ended: a bounded number, in memory. Each is told on the bus as a `job` event. Touches nothing.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from server.base.bus import EventBus
from server.base.clock import Clock, iso
from server.base.errors import QueueFull, SparkError
from server.base.finding import Finding, Severity
from server.base.logs import get_logger
from server.swap.events import Placement

KEPT = 32
AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """`placement` is None while it goes on, and where it can be placed nowhere. `error` says why
    nothing could be looked at at all."""

    model: str
    requested_by: str
    began_at: datetime
    ended_at: datetime | None = None
    findings: tuple[Finding, ...] = ()
    placement: Placement | None = None
    error: str = ""
    advice: str = ""

    @property
    def refused(self) -> bool:
        """Whether a swap would be refused, unless it is forced."""
        return any(one.severity is Severity.ERROR for one in self.findings)

    def to_dict(self) -> dict[str, Any]:
        evicted = self.placement.evicted if self.placement else ()
        return {
            "model": self.model,
            "requested_by": self.requested_by,
            "began_at": iso(self.began_at),
            "ended_at": iso(self.ended_at),
            "findings": [finding.to_dict() for finding in self.findings],
            "evicted": [gone.spec.model for gone in evicted],
            "error": self.error or None,
        }


class Stage(Protocol):
    """What is rehearsed on: the swap service."""

    async def rehearse(self, model: str) -> tuple[list[Finding], Placement | None]: ...


class Rehearsals:
    """One per app; `close()` ends what is being looked at."""

    def __init__(self, stage: Stage, bus: EventBus, clock: Clock) -> None:
        self._stage = stage
        self._bus = bus
        self._clock = clock
        self._last: OrderedDict[str, Rehearsal] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = get_logger("swap")

    def begin(self, model: str, *, requested_by: str) -> Rehearsal:
        """Of a model's id. Whoever asks while one is under way gets that one."""
        running = self._last.get(model)
        if running is not None and running.ended_at is None:
            return running
        if sum(one.ended_at is None for one in self._last.values()) >= AT_ONCE:
            raise QueueFull(f"{AT_ONCE} models are being looked at already.", retry_after=5)
        begun = Rehearsal(model, requested_by, self._clock.now())
        self._tell(begun)
        task = asyncio.create_task(self._look(begun), name="rehearsal")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return begun

    def now(self, model: str) -> Rehearsal | None:
        """The one that goes on, else the last one."""
        return self._last.get(model)

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self, begun: Rehearsal) -> None:
        try:
            findings, placement = await self._stage.rehearse(begun.model)
            ended = replace(begun, findings=tuple(findings), placement=placement)
        except SparkError as error:
            ended = replace(begun, error=error.message, advice=error.advice or "")
        except Exception:  # a bug of ours must not leave it "checking" for good
            self._log.exception("rehearsal.bug", model=begun.model)
            ended = replace(begun, error="It failed inside Spark Control; see its log.")
        self._tell(replace(ended, ended_at=self._clock.now()))

    def _tell(self, told: Rehearsal) -> None:
        self._last[told.model] = told
        self._last.move_to_end(told.model)
        while len(self._last) > KEPT:
            self._last.popitem(last=False)
        self._bus.publish("job", f"preflight {told.model}", {"job": "preflight"} | told.to_dict())

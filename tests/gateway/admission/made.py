"""Short ways to write what the admission is told, and a clock that is moved by hand."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from server.base.health import Verdict
from server.gateway.admission.model import Entry
from server.gateway.admission.scheduler import Scheduler
from server.gateway.model import Ask, Caller, Operation, Route, Upstream

OPERATION = Operation("/v1/audio/transcriptions", ("asr",))


class HandClock:
    """Time goes on when the test says so."""

    def __init__(self, moment: float = 1000.0) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.moment, UTC)

    def monotonic(self) -> float:
        return self.moment

    async def sleep(self, seconds: float) -> None:
        self.moment += seconds
        await asyncio.sleep(0)


def upstream(name: str = "a", cap: int | None = 1, **fields: Any) -> Upstream:
    return Upstream(name, "asr", f"http://{name}", "spark-1", cap=cap, **fields)


def down(name: str = "a", reason: str = "it does not answer") -> Upstream:
    return upstream(name, health=Verdict.down(reason))


def caller(name: str = "anna", **fields: Any) -> Caller:
    return Caller(name, key_id=name, **fields)


def entry(ticket: int, pool: str = "kind:asr", *, by: Caller | None = None, **fields: Any) -> Entry:
    who = by or caller()
    fields = {"arrived": 1000.0, "patience": 900.0, "client_cap": who.max_in_flight} | fields
    return Entry(ticket, pool, who.name, who, **fields)


def ask(
    request: str = "r",
    pool: str = "kind:asr",
    *,
    at: float,
    by: Caller | None = None,
    patience: float = 900.0,
    exclude: frozenset[str] = frozenset(),
) -> Ask:
    model = pool.partition(":")[2]
    return Ask(Route(pool, model), OPERATION, by or caller(), request, at, patience, exclude)


def flying(scheduler: Scheduler) -> dict[str, int]:
    """In flight by upstream, those that have any."""
    return {name: seat.in_flight for name, seat in scheduler.seats.items() if seat.in_flight}

"""A circuit breaker of one upstream: events in, a new state out, over one table. Pure.

Theory. An upstream that fails again and again gets no more victims for a while; then exactly one
request, the probe, finds out whether it is back. What the probe learns decides alone: answers of
requests that were sent before the breaker opened say nothing about now.

              failures in a row, or a rate of them in a window
    CLOSED ───────────────────────────────────────────────► OPEN (until a moment)
       ▲                                                      │ time is up: the next request
       │                                                      │ is the probe · a health probe
       │ the probe was answered                               │ was answered
       └─────────────────────── HALF_OPEN ◄───────────────────┘
                                 │  ▲ │ the probe failed, or a health probe did: OPEN, twice as long
                                 └──┘ └────────────────────────► OPEN
                     the probe's caller left: nothing is known, the next request is the probe

Invariants. (1) In HALF_OPEN at most one request is out, and it is known by its ticket. (2) A caller
that left says nothing, in any state. (3) The time open doubles from trip to trip up to a cap and
starts anew after an answer. (4) An event without a row in the table changes nothing.

Owns when an upstream is let alone. Refuses to know caps, health verdicts and who waits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any


class Position(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Rules:
    """`row` failures in a row open it, or a share of `rate` among at least `volume` outcomes since
    the first failure, which is forgotten after `window` seconds. It is open for `first_seconds`,
    then twice that, up to `longest_seconds`."""

    row: int = 5
    rate: float = 0.5
    volume: int = 20
    window: float = 30.0
    first_seconds: float = 2.0
    longest_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """`since`, `failed` and `total` count the window that the first failure began. `trips`: how
    often it opened without an answer between. `until`: open until then. `probe`: its ticket."""

    position: Position = Position.CLOSED
    row: int = 0
    since: float = 0.0
    failed: int = 0
    total: int = 0
    trips: int = 0
    until: float = 0.0
    probe: int | None = None


@dataclass(frozen=True, slots=True)
class Began:
    """A request is sent."""

    by: int


@dataclass(frozen=True, slots=True)
class Answered:
    by: int


@dataclass(frozen=True, slots=True)
class Failed:
    by: int


@dataclass(frozen=True, slots=True)
class Left:
    """Its caller left before anything could be told."""

    by: int


@dataclass(frozen=True, slots=True)
class Recovered:
    """A health probe was answered."""


@dataclass(frozen=True, slots=True)
class Sick:
    """A health probe failed; the next one follows after `again` seconds."""

    again: float


Event = Began | Answered | Failed | Left | Recovered | Sick
Handler = Callable[[Breaker, Any, float, Rules], Breaker]

NEW = Breaker()


def lets_in(breaker: Breaker, now: float) -> bool:
    if breaker.position is Position.CLOSED:
        return True
    if breaker.position is Position.OPEN:
        return now >= breaker.until
    return breaker.probe is None


def opens_in(breaker: Breaker, now: float) -> float | None:
    """Seconds until a request may go; 0 for now, None while a probe is out."""
    if lets_in(breaker, now):
        return 0.0
    return breaker.until - now if breaker.position is Position.OPEN else None


def _trip(breaker: Breaker, now: float, rules: Rules) -> Breaker:
    # The exponent is bounded before it is used: 2.0 ** 1100 is an error, not infinity.
    seconds = min(rules.longest_seconds, rules.first_seconds * 2.0 ** min(breaker.trips, 30))
    return Breaker(Position.OPEN, trips=breaker.trips + 1, until=now + seconds)


def _good(breaker: Breaker, _event: Answered, now: float, rules: Rules) -> Breaker:
    if not breaker.total:
        return breaker
    if now - breaker.since > rules.window:
        return NEW
    return replace(breaker, row=0, total=breaker.total + 1)


def _bad(breaker: Breaker, _event: Failed, now: float, rules: Rules) -> Breaker:
    fresh = not breaker.total or now - breaker.since > rules.window
    failed = 1 if fresh else breaker.failed + 1
    total = 1 if fresh else breaker.total + 1
    row = breaker.row + 1
    if row >= rules.row or (total >= rules.volume and failed >= rules.rate * total):
        return _trip(breaker, now, rules)
    since = now if fresh else breaker.since
    return replace(breaker, row=row, since=since, failed=failed, total=total)


def _try(breaker: Breaker, event: Began, now: float, _rules: Rules) -> Breaker:
    if not lets_in(breaker, now):
        return breaker
    return replace(breaker, position=Position.HALF_OPEN, probe=event.by)


def _probe_answered(breaker: Breaker, event: Answered, _now: float, _rules: Rules) -> Breaker:
    return NEW if event.by == breaker.probe else breaker


def _probe_failed(breaker: Breaker, event: Failed, now: float, rules: Rules) -> Breaker:
    return _trip(breaker, now, rules) if event.by == breaker.probe else breaker


def _probe_left(breaker: Breaker, event: Left, _now: float, _rules: Rules) -> Breaker:
    return replace(breaker, probe=None) if event.by == breaker.probe else breaker


def _ready(breaker: Breaker, _event: Recovered, _now: float, _rules: Rules) -> Breaker:
    return replace(breaker, position=Position.HALF_OPEN, probe=None)


def _longer(breaker: Breaker, event: Sick, now: float, _rules: Rules) -> Breaker:
    return replace(breaker, until=max(breaker.until, now + event.again))


def _sick_again(breaker: Breaker, _event: Sick, now: float, rules: Rules) -> Breaker:
    return _trip(breaker, now, rules) if breaker.probe is None else breaker


TABLE: Mapping[tuple[Position, type], Handler] = {
    (Position.CLOSED, Answered): _good,
    (Position.CLOSED, Failed): _bad,
    (Position.OPEN, Began): _try,
    (Position.OPEN, Recovered): _ready,
    (Position.OPEN, Sick): _longer,
    (Position.HALF_OPEN, Began): _try,
    (Position.HALF_OPEN, Answered): _probe_answered,
    (Position.HALF_OPEN, Failed): _probe_failed,
    (Position.HALF_OPEN, Left): _probe_left,
    (Position.HALF_OPEN, Sick): _sick_again,
}


def advance(breaker: Breaker, event: Event, now: float, rules: Rules) -> Breaker:
    """The same object when nothing changed."""
    handler = TABLE.get((breaker.position, type(event)))
    return breaker if handler is None else handler(breaker, event, now, rules)

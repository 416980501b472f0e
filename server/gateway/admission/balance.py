"""Which upstream of a pool answers. Pure.

Owns `available` (it takes new work, is not Down, its breaker lets in, it is not full) and the
choice among what is: Up before Unknown, then the least busy, ties in turn. Refuses to know queues.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from server.base.health import Health
from server.gateway.admission.breaker import NEW, Breaker, Position, lets_in
from server.gateway.model import Upstream

# How busy an upstream without a bound counts against one with a cap: as if this were its cap.
NOMINAL_CAP = 16


@dataclass(slots=True, eq=False)
class Seat:
    """What is counted of one upstream, whichever pools it is in. `pools` are their names."""

    name: str
    cap: int | None = None
    in_flight: int = 0
    breaker: Breaker = NEW
    pools: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """An upstream as one pool sees it, and its seat."""

    upstream: Upstream
    seat: Seat


def usable(upstream: Upstream) -> bool:
    """It takes new work and is not known to be down. Unknown is not down."""
    return upstream.accepting and upstream.health.health is not Health.DOWN


def full(seat: Seat) -> bool:
    return seat.cap is not None and seat.in_flight >= seat.cap


def available(place: Place, now: float) -> bool:
    seat = place.seat
    return (
        usable(place.upstream)
        and not full(seat)
        and (seat.breaker.position is Position.CLOSED or lets_in(seat.breaker, now))
    )


def load(place: Place) -> tuple[bool, float]:
    """Less is better."""
    seat = place.seat
    unknown = place.upstream.health.health is Health.UNKNOWN
    return unknown, seat.in_flight / (seat.cap or NOMINAL_CAP)


def choose(places: Sequence[Place], exclude: frozenset[str], turn: int, now: float) -> Place | None:
    """The best available one that is not in `exclude`. `turn` is where the look begins, so that
    equal ones are used in turn."""
    count = len(places)
    if count == 1:
        only = places[0]
        fits = available(only, now) and only.upstream.name not in exclude
        return only if fits else None
    best: Place | None = None
    least = (True, 0.0)
    for step in range(count):
        place = places[(turn + step) % count]
        if place.upstream.name in exclude or not available(place, now):
            continue
        busy = load(place)
        if best is None or busy < least:
            best, least = place, busy
    return best

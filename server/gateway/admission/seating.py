"""From the pools as they are told to places and seats. Pure but for the maps it is given.

Owns the seat of an upstream: one for all its pools, kept while something is in flight on it, and
with a clean slate when the upstream comes back. Refuses to know who waits.
"""

from collections.abc import Mapping

from server.base.health import Health
from server.gateway.admission.balance import Place, Seat
from server.gateway.admission.breaker import NEW
from server.gateway.admission.queues import Pool
from server.gateway.model import Upstream


def seat_all(
    pools: dict[str, Pool], seats: dict[str, Seat], told: Mapping[str, tuple[Upstream, ...]]
) -> list[Pool]:
    """Change `pools` and `seats` to what is told. The pools that are told no more: without places,
    and still in `pools`."""
    before = {
        place.upstream.name: place.upstream for pool in pools.values() for place in pool.places
    }
    for seat in seats.values():
        seat.pools = []
    for name, upstreams in told.items():
        pool = pools.get(name) or pools.setdefault(name, Pool(name))
        pool.known = True
        pool.places = tuple(
            Place(upstream, _seat(seats, upstream, name, before.get(upstream.name)))
            for upstream in upstreams
        )
    gone = [pool for name, pool in pools.items() if name not in told]
    for pool in gone:
        pool.places, pool.known = (), False
    for seat in [one for one in seats.values() if not one.pools]:
        seat.breaker = NEW
        if not seat.in_flight:
            del seats[seat.name]
    return gone


def _seat(seats: dict[str, Seat], upstream: Upstream, pool: str, old: Upstream | None) -> Seat:
    """Of two bounds for one upstream the smaller one holds."""
    seat = seats.get(upstream.name) or seats.setdefault(upstream.name, Seat(upstream.name))
    if old is not None and _returns(old, upstream):
        seat.breaker = NEW
    caps = [upstream.cap, seat.cap] if seat.pools else [upstream.cap]
    seat.cap = min((cap for cap in caps if cap is not None), default=None)
    if pool not in seat.pools:
        seat.pools.append(pool)
    return seat


def _returns(old: Upstream, new: Upstream) -> bool:
    """From a pause or an outage: what it did before says nothing."""
    up = old.health.health is Health.DOWN and new.health.health is Health.UP
    return up or (new.accepting and not old.accepting)

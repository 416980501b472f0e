"""The admission as it stands, for the demand, pages and metrics. Pure; changes nothing."""

from server.gateway.admission.balance import Place, available, full, usable
from server.gateway.admission.breaker import Position, opens_in
from server.gateway.admission.model import PoolNow, Snapshot, UpstreamNow
from server.gateway.admission.queues import Pool
from server.gateway.admission.scheduler import Scheduler
from server.gateway.model import Upstream


def _longest(pool: Pool, now: float) -> float:
    oldest = pool.ages.first()
    return 0.0 if oldest is None else max(0.0, now - oldest[0])


def resting(scheduler: Scheduler) -> tuple[Upstream, ...]:
    """Those whose breaker is open; almost always nobody."""
    if all(seat.breaker.position is not Position.OPEN for seat in scheduler.seats.values()):
        return ()
    found = {
        place.upstream.name: place.upstream
        for pool in scheduler.pools.values()
        for place in pool.places
        if place.seat.breaker.position is Position.OPEN
    }
    return tuple(found.values())


def snapshot(scheduler: Scheduler, now: float) -> Snapshot:
    upstreams: dict[str, UpstreamNow] = {}
    for pool in scheduler.pools.values():
        for place in pool.places:
            upstreams.setdefault(place.upstream.name, _upstream(place, now))
    return Snapshot(
        tuple(_pool(pool, now) for pool in scheduler.pools.values()),
        tuple(upstreams.values()),
        dict(scheduler.clients),
    )


def _pool(pool: Pool, now: float) -> PoolNow:
    return PoolNow(
        pool.name,
        len(pool.line),
        _longest(pool, now),
        pool.held,
        tuple(place.upstream.name for place in pool.places),
        pool.learned.seconds,
        pool.learned.wait(len(pool.line) + 1, pool.room(), now),
    )


def _upstream(place: Place, now: float) -> UpstreamNow:
    upstream, seat = place.upstream, place.seat
    wait = opens_in(seat.breaker, now)
    return UpstreamNow(
        seat.name,
        upstream.kind,
        upstream.host,
        seat.in_flight,
        seat.cap,
        seat.breaker.position.value,
        seat.breaker.row,
        wait or None,
        available(place, now),
        _reason(place, now),
    )


def _reason(place: Place, now: float) -> str:
    """Why it is not available; empty when it is."""
    if not place.upstream.accepting:
        return "takes nothing new"
    if not usable(place.upstream):
        return place.upstream.health.reason or "down"
    if full(place.seat):
        return "full"
    return "" if available(place, now) else "failed again and again"

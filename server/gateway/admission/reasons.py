"""What a caller reads who waits or is refused, and who need not wait at all. Pure.

Owns the sentences. Refuses to know the order in which people wait.
"""

from collections.abc import Sequence

from server.base.errors import ModelLoading, QueueFull, SparkError, Unavailable
from server.gateway.admission.balance import Place, full, usable
from server.gateway.admission.breaker import lets_in, opens_in
from server.gateway.admission.learned import retry_after
from server.gateway.admission.model import MODEL_POOL, Entry
from server.gateway.admission.queues import Pool

_DOWN_AFTER = 10.0


def loadable(pool: str) -> bool:
    return pool.startswith(MODEL_POOL)


def spoken(pool: str) -> str:
    """The pool's name for people."""
    scope, _, name = pool.partition(":")
    if scope == "service":
        return f"the service {name}"
    if scope == "group":
        kind, _, claimed = name.partition(":")
        return f"the {kind} services for {claimed}"
    return f"services of kind {name}" if scope == "kind" else name


def _down(places: Sequence[Place]) -> str:
    return "; ".join(
        f"{place.upstream.name}: {place.upstream.health.reason or 'down'}" for place in places
    )


def hopeless(pool: Pool, entry: Entry, now: float) -> SparkError | None:
    """Why waiting would be in vain; None when it is not."""
    name = spoken(pool.name)
    if not pool.places:
        if loadable(pool.name):
            return None
        return Unavailable(
            f"Nothing here answers this request: {name} has no upstream.",
            advice="Add the service under services in the settings; "
            "GET /api/v1/services lists them.",
            retry_after=_DOWN_AFTER,
        )
    left = [place for place in pool.places if place.upstream.name not in entry.exclude]
    if not left:
        return Unavailable(
            f"Every upstream of {name} has failed this request.",
            advice="GET /api/v1/services shows what is wrong with them.",
            retry_after=retry_after(None),
        )
    usables = [place for place in left if usable(place.upstream)]
    if usables:
        return _resting(usables, entry, now)
    if loadable(pool.name) or not all(place.upstream.accepting for place in left):
        # An engine that is down is restarted or replaced, one that drains as well: worth waiting.
        return None
    return Unavailable(
        f"{name[0].upper()}{name[1:]} cannot answer now ({_down(left)}).",
        advice="GET /api/v1/services shows its state and its log.",
        retry_after=_DOWN_AFTER,
    )


def _resting(usables: Sequence[Place], entry: Entry, now: float) -> SparkError | None:
    """All breakers are open, and the next try comes after the caller's patience."""
    waits: list[float] = []
    for place in usables:
        wait = opens_in(place.seat.breaker, now)
        if wait is None or wait <= 0:
            return None
        waits.append(wait)
    soonest = min(waits)
    if now + soonest <= entry.arrived + entry.patience:
        return None
    return Unavailable(
        f"{', '.join(place.upstream.name for place in usables)} failed again and again; "
        f"the next try is in {soonest:.0f} s.",
        advice="Its log says why: GET /api/v1/services, or the engine's log.",
        retry_after=retry_after(soonest),
    )


def queue_full(pool: Pool, entry: Entry, wait: float | None) -> QueueFull:
    return QueueFull(
        f"{entry.queue_limit} requests wait for {spoken(pool.name)} already.",
        advice="Ask again later, or raise gateway.queue_limit.",
        retry_after=retry_after(wait),
    )


def displaced(pool: Pool, limit: int, wait: float | None) -> QueueFull:
    """For one who waited already. Its client has the most of those who wait."""
    return QueueFull(
        f"{limit} requests wait for {spoken(pool.name)} already, and this caller has the most of "
        "them: its last one made room for a caller with fewer.",
        advice="Ask again later, send fewer at once, or raise gateway.queue_limit.",
        retry_after=retry_after(wait),
    )


def patience_over(pool: Pool, entry: Entry, wait: float | None, now: float) -> SparkError:
    name = spoken(pool.name)
    seconds = f"{entry.patience:.0f} s"
    if loadable(pool.name) and not pool.places:
        return ModelLoading(
            f"{name} was not loaded within {seconds}.",
            param="model",
            advice="GET /api/v1/swaps/current shows how far its load is.",
            retry_after=retry_after(wait),
        )
    return Unavailable(
        f"No place became free at {name} within {seconds}: {why(pool, None, now)}.",
        advice="Ask again later, or raise gateway.queue_seconds.",
        retry_after=retry_after(wait),
    )


def gone(pool: str) -> Unavailable:
    return Unavailable(
        f"{spoken(pool)[0].upper()}{spoken(pool)[1:]} was taken out of the settings.",
        advice="GET /api/v1/services lists what is there.",
    )


def why(pool: Pool, client_cap: int | None, now: float) -> str:
    """Why somebody waits. `client_cap` is given when the caller itself has all it may have."""
    if client_cap is not None:
        return f"this caller has {client_cap} requests in flight, which is its limit"
    if not any(place.upstream.accepting for place in pool.places):
        return f"{spoken(pool.name)} is not loaded yet"
    return ", ".join(sorted(pool.causes)) if pool.held else _busy(pool.places, now)


def _busy(places: Sequence[Place], now: float) -> str:
    usables = [place for place in places if usable(place.upstream)]
    if not usables:
        return f"down: {_down(places)}"
    if all(full(place.seat) for place in usables):
        return "all places are taken"
    if not any(lets_in(place.seat.breaker, now) for place in usables):
        return "it failed again and again and rests"
    return "others go first"

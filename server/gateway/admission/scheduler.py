"""The scheduler: who goes where, who waits, who is refused. Events in, effects out. Pure.

Theory. An upstream has a `Seat`: what is in flight on it, its cap and its breaker. It may be in
several pools, which share the seat. A request asks for a pool; it goes at once when an upstream is
available, its client has not all it may have, and nobody waits who could go instead. Else it waits
in the pool's lanes (`queues`), and whoever gives something back lets the next one in:

    Asked ──┬─ goes ─► Granted ─► Reported? ─► Released ─┐ a place is free, a client may have more
            ├─ in vain, or too many ─► Refused           │
            └─ waits ─► Told … ─┬◄─ dispatch ◄───────────┴─ PoolsChanged, Unheld, Probed, Tick
                                ├─► Granted
                                └─► Left · Refused (patience over, Turned, Closed)

Invariants. (1) In flight on a seat never rises above its cap, nor a client's above its own.
(2) After every event nobody waits who could go, unless `behind`; who comes then queues as well.
(3) Each ticket is granted or refused at most once, and never after it left. (4) Of those who could
take a place, the least rank takes it, across all pools of the upstream. (5) A seat with something
in flight is kept when its upstream goes, so that its return does not forget it. (6) No more wait in
a pool than its bound, and no client keeps another out of it (`shares`).

Cost: one event looks at the pools of one upstream, at one lane for each set of exclusions, and
moves one item in sorted lists. What a thousand people wait for (a model that is loaded now) is
given to `AT_ONCE` of them; then `behind` is true and `More` goes on: no event holds the loop up.

Owns seats, lines and leases' tickets. Refuses to know tasks, clocks and sockets.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from server.base.errors import SparkError
from server.gateway.admission import breaker as breakers
from server.gateway.admission.balance import Place, Seat, choose
from server.gateway.admission.breaker import Position, Rules
from server.gateway.admission.learned import Learned
from server.gateway.admission.line import Line
from server.gateway.admission.model import (
    Asked,
    Closed,
    Effect,
    Entry,
    EtaSet,
    Event,
    Granted,
    Held,
    Left,
    More,
    PoolsChanged,
    Probed,
    Refused,
    Released,
    Reported,
    Tick,
    Told,
    Turned,
    Unheld,
)
from server.gateway.admission.queues import Lane, Pool, Queued
from server.gateway.admission.reasons import (
    displaced,
    gone,
    hopeless,
    loadable,
    patience_over,
    queue_full,
    why,
)
from server.gateway.admission.seating import seat_all
from server.gateway.model import Upstream, Waiting

AGING_SECONDS = 30.0
AT_ONCE = 32
NEWS_AT_ONCE = 256


@dataclass(slots=True, eq=False)
class _Out:
    """A granted request: what it occupies."""

    pool: Pool
    seat: Seat
    client: str
    since: float
    reported: bool = False


class Scheduler:
    """Not for two threads. `now` is monotonic and never goes back."""

    def __init__(self, rules: Rules | None = None, aging_seconds: float = AGING_SECONDS) -> None:
        self.rules = rules or Rules()
        self.pools: dict[str, Pool] = {}
        self.seats: dict[str, Seat] = {}
        self.clients: dict[str, int] = {}
        self.waiting: dict[int, Queued] = {}
        self._aging = aging_seconds
        self._out: dict[int, _Out] = {}
        self._deadlines = Line()
        self._hidden: dict[str, set[Lane]] = {}
        self._behind: dict[str, None] = {}
        self._closed: SparkError | None = None

    # ---- what the driver calls -----------------------------------------------------------------

    def advance(self, event: Event, now: float) -> list[Effect]:
        """Every event has its row. One that names what is gone already changes nothing."""
        return self._TABLE[type(event)](self, event, now)

    def seize(self, entry: Entry, now: float) -> Upstream | None:
        """The short way in: leave at once for whom nobody has to step back, else None, and then
        `Asked` decides. It is `Asked` without its words."""
        pool = self.pools.get(entry.pool)
        if pool is None or pool.held or len(pool.line) or self._closed:
            return None
        if self._at_cap(entry.client, entry.client_cap):
            return None
        place = choose(pool.places, entry.exclude, pool.turn, now)
        if place is None:
            return None
        if self.waiting and any(len(self.pools[name].line) for name in place.seat.pools):
            return None
        self._take(pool, place, entry, now)
        return place.upstream

    def due(self) -> float | None:
        """When the patience of the first one is over; None while nobody waits."""
        first = self._deadlines.first()
        return None if first is None else first[0]

    @property
    def behind(self) -> bool:
        """Some who wait may be able to go: `More` looks."""
        return bool(self._behind)

    # ---- coming and going ----------------------------------------------------------------------

    def _asked(self, event: Asked, now: float) -> list[Effect]:
        entry = event.entry
        if self._closed is not None:
            return [Refused(entry.ticket, self._closed)]
        pool = self.pools.get(entry.pool) or self.pools.setdefault(entry.pool, Pool(entry.pool))
        refusal = hopeless(pool, entry, now)
        if refusal is not None:
            self._forget(pool)
            return [Refused(entry.ticket, refusal)]
        queued = pool.add(entry, entry.arrived - entry.caller.priority * self._aging)
        self.waiting[entry.ticket] = queued
        self._deadlines.add(queued.deadline)
        effects = self._dispatch(self._beside(pool), now)
        if entry.ticket not in self.waiting:
            return effects
        position = pool.line.position(queued.item)
        wait = pool.learned.wait(position, pool.room(), now)
        if queued.deadline[0] <= now:
            effects.append(self._refuse(queued, patience_over(pool, entry, wait, now)))
        elif len(pool.line) > entry.queue_limit and not self._made_room(pool, entry, effects, now):
            effects.append(self._refuse(queued, queue_full(pool, entry, wait)))
        else:
            effects += self._tell(pool, queued, pool.line.position(queued.item), now)
        return effects

    def _made_room(self, pool: Pool, entry: Entry, effects: list[Effect], now: float) -> bool:
        """Somebody of the client with the most gives its place up, as `shares` says. Not while a
        bound that was lowered is still exceeded: then nobody new comes in."""
        ticket = pool.shares.loser(entry.client)
        if ticket is None or len(pool.line) > entry.queue_limit + 1:
            return False
        queued = self.waiting[ticket]
        wait = pool.learned.wait(pool.line.position(queued.item), pool.room(), now)
        effects.append(self._refuse(queued, displaced(pool, entry.queue_limit, wait)))
        return True

    def _left(self, event: Left, _now: float) -> list[Effect]:
        queued = self.waiting.get(event.ticket)
        if queued is not None:
            self._drop(queued)
        return []

    def _reported(self, event: Reported, now: float) -> list[Effect]:
        out = self._out.get(event.ticket)
        if out is None or out.reported:
            return []
        out.reported = True
        if event.outcome == "answered":
            out.pool.learned.saw(now - out.since)
            if out.seat.breaker is breakers.NEW:
                return []
            return self._judge(out.seat, breakers.Answered(event.ticket), now)
        if event.outcome == "failed":
            return self._judge(out.seat, breakers.Failed(event.ticket), now)
        return self._judge(out.seat, breakers.Left(event.ticket), now)

    def _released(self, event: Released, now: float) -> list[Effect]:
        out = self._out.pop(event.ticket, None)
        if out is None:
            return []
        seat, client = out.seat, out.client
        seat.in_flight -= 1
        left = self.clients[client] - 1
        if left:
            self.clients[client] = left
        else:
            del self.clients[client]
        if not out.reported and seat.breaker.position is not Position.CLOSED:
            left_early = breakers.Left(event.ticket)
            seat.breaker = breakers.advance(seat.breaker, left_early, now, self.rules)
        if not seat.in_flight and not seat.pools:
            self.seats.pop(seat.name, None)
        if not self.waiting:
            return []
        return self._dispatch(dict.fromkeys((*seat.pools, *self._unhide(client))), now)

    # ---- what changes around them --------------------------------------------------------------

    def _pools_changed(self, event: PoolsChanged, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for pool in seat_all(self.pools, self.seats, event.pools):
            if not loadable(pool.name):
                effects += self._turn(pool, gone(pool.name))
            self._forget(pool)
        return effects + self._dispatch(self._crowded(), now)

    def _held(self, event: Held, _now: float) -> list[Effect]:
        pool = self.pools.get(event.pool) or self.pools.setdefault(event.pool, Pool(event.pool))
        pool.hold(event.cause)
        return []

    def _unheld(self, event: Unheld, now: float) -> list[Effect]:
        pool = self.pools.get(event.pool)
        if pool is None or not pool.held:
            return []
        pool.unhold(event.cause)
        self._forget(pool)
        return self._dispatch(self._beside(pool), now)

    def _eta_set(self, event: EtaSet, now: float) -> list[Effect]:
        pool = self.pools.get(event.pool) or self.pools.setdefault(event.pool, Pool(event.pool))
        pool.learned.expect(event.seconds, now)
        self._forget(pool)
        return []

    def _turned(self, event: Turned, _now: float) -> list[Effect]:
        pool = self.pools.get(event.pool)
        if pool is None:
            return []
        effects = self._turn(pool, event.error)
        self._forget(pool)
        return effects

    def _probed(self, event: Probed, now: float) -> list[Effect]:
        seat = self.seats.get(event.upstream)
        if seat is None:
            return []
        verdict = breakers.Recovered() if event.answered else breakers.Sick(event.again)
        return self._judge(seat, verdict, now)

    def _close(self, event: Closed, _now: float) -> list[Effect]:
        self._closed = event.error
        return [effect for pool in self.pools.values() for effect in self._turn(pool, event.error)]

    def _more(self, _event: More, now: float) -> list[Effect]:
        names, self._behind = self._behind, {}
        return self._dispatch(names, now)

    def _tick(self, _event: Tick, now: float) -> list[Effect]:
        effects = self._dispatch(self._crowded(), now)
        for moment, ticket in self._deadlines.some(0, AT_ONCE):
            queued = self.waiting[ticket]
            if moment > now:
                break
            pool = queued.lane.pool
            wait = pool.learned.wait(pool.line.position(queued.item), pool.room(), now)
            effects.append(self._refuse(queued, patience_over(pool, queued.entry, wait, now)))
        for name in self._crowded():
            effects += self._news(self.pools[name], now)
        return effects

    # ---- the parts -----------------------------------------------------------------------------

    def _at_cap(self, client: str, cap: int | None) -> bool:
        return cap is not None and self.clients.get(client, 0) >= cap

    def _beside(self, pool: Pool) -> Iterable[str]:
        """The pool and those that share an upstream with it."""
        beside = dict.fromkeys((pool.name,))
        for place in pool.places:
            beside.update(dict.fromkeys(place.seat.pools))
        return beside

    def _crowded(self) -> list[str]:
        return [name for name, pool in self.pools.items() if len(pool.line)]

    def _take(self, pool: Pool, place: Place, entry: Entry, now: float) -> None:
        seat = place.seat
        seat.in_flight += 1
        self.clients[entry.client] = self.clients.get(entry.client, 0) + 1
        if seat.breaker.position is not Position.CLOSED:
            began = breakers.Began(entry.ticket)
            seat.breaker = breakers.advance(seat.breaker, began, now, self.rules)
        pool.turn += 1
        self._out[entry.ticket] = _Out(pool, seat, entry.client, now)

    def _judge(self, seat: Seat, event: breakers.Event, now: float) -> list[Effect]:
        old = seat.breaker
        seat.breaker = breakers.advance(old, event, now, self.rules)
        if seat.breaker is old or not self.waiting:
            return []
        return self._dispatch(seat.pools, now)

    def _dispatch(self, names: Iterable[str], now: float) -> list[Effect]:
        """Let in everybody who can go now: again and again the least rank of all these pools. A
        line that found no upstream is not asked again, for places only get fewer here."""
        if not self.waiting:
            return []
        effects: list[Effect] = []
        lines = [
            (pool, exclude)
            for pool in map(self.pools.get, names)
            if pool is not None and not pool.held
            for exclude in pool.ready
        ]
        while lines:
            if len(effects) == AT_ONCE:
                self._behind.update((pool.name, None) for pool, _ in lines)
                break
            best: tuple[Queued, Pool, Place] | None = None
            able: list[tuple[Pool, frozenset[str]]] = []
            for pool, exclude in lines:
                place = choose(pool.places, exclude, pool.turn, now)
                queued = None if place is None else self._first(pool, exclude)
                if place is None or queued is None:
                    continue
                able.append((pool, exclude))
                if best is None or queued.item < best[0].item:
                    best = queued, pool, place
            if best is None:
                break
            queued, pool, place = best
            self._drop(queued)
            self._take(pool, place, queued.entry, now)
            effects.append(Granted(queued.entry.ticket, place.upstream))
            lines = able
        return effects

    def _first(self, pool: Pool, exclude: frozenset[str]) -> Queued | None:
        """The first of the line whose client may have more. Lanes of full clients are hidden."""
        while (line := pool.ready.get(exclude)) is not None:
            queued = self.waiting[line.some(0, 1)[0][1]]
            lane = queued.lane
            if not self._at_cap(lane.client, lane.client_cap):
                return queued
            pool.hide(lane)
            self._hidden.setdefault(lane.client, set()).add(lane)
        return None

    def _unhide(self, client: str) -> list[str]:
        """The client may have one more: its lanes are seen again. The pools they are in."""
        lanes = self._hidden.pop(client, ())
        for lane in lanes:
            lane.pool.show(lane)
        return [lane.pool.name for lane in lanes]

    def _drop(self, queued: Queued) -> None:
        """Out of every line it stands in."""
        lane = queued.lane
        del self.waiting[queued.entry.ticket]
        self._deadlines.remove(queued.deadline)
        lane.pool.remove(queued)
        if not len(lane.line) and lane.client in self._hidden:
            self._hidden[lane.client].discard(lane)
            if not self._hidden[lane.client]:
                del self._hidden[lane.client]
        self._forget(lane.pool)

    def _forget(self, pool: Pool) -> None:
        """A pool that nobody knows and nobody needs costs nothing."""
        if (
            not (pool.known or pool.held or len(pool.line))
            and pool.learned == Learned()
            and self.pools.get(pool.name) is pool
        ):
            del self.pools[pool.name]

    def _refuse(self, queued: Queued, error: SparkError) -> Refused:
        self._drop(queued)
        return Refused(queued.entry.ticket, error)

    def _turn(self, pool: Pool, error: SparkError) -> list[Effect]:
        """All at once, without one look for each in the sorted lists."""
        tickets = [ticket for _, ticket in pool.line.some(0, len(pool.line))]
        gone_now = set(tickets)
        self._deadlines.cut(gone_now)
        for client in {self.waiting.pop(ticket).entry.client for ticket in tickets}:
            lanes = self._hidden.pop(client, set())
            others = {lane for lane in lanes if lane.pool is not pool}
            if others:
                self._hidden[client] = others
        pool.clear()
        return [Refused(ticket, error) for ticket in tickets]

    def _news(self, pool: Pool, now: float) -> list[Effect]:
        """The next few of a long line hear where they stand; after the last it begins anew."""
        begin = pool.cursor if pool.cursor < len(pool.line) else 0
        some = pool.line.some(begin, NEWS_AT_ONCE)
        pool.cursor = begin + len(some)
        effects: list[Effect] = []
        for offset, (_, ticket) in enumerate(some):
            effects += self._tell(pool, self.waiting[ticket], begin + offset + 1, now)
        return effects

    def _tell(self, pool: Pool, queued: Queued, position: int, now: float) -> list[Effect]:
        """Nothing when it knows that already, to the second."""
        wait = pool.learned.wait(position, pool.room(), now)
        cap = queued.entry.client_cap
        full = cap if self._at_cap(queued.entry.client, cap) else None
        told = (position, None if wait is None else round(wait), why(pool, full, now))
        if told == queued.told:
            return []
        queued.told = told
        return [Told(queued.entry.ticket, Waiting(position, wait, told[2]))]

    _TABLE: ClassVar[Mapping[type, Callable[["Scheduler", Any, float], list[Effect]]]] = {
        Asked: _asked,
        Left: _left,
        Reported: _reported,
        Released: _released,
        PoolsChanged: _pools_changed,
        Held: _held,
        Unheld: _unheld,
        EtaSet: _eta_set,
        Turned: _turned,
        Probed: _probed,
        Closed: _close,
        More: _more,
        Tick: _tick,
    }

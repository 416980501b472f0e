"""The scheduler under any sequence of events, against a naive model of what must hold."""

from collections import Counter
from collections.abc import Mapping

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from server.base.errors import QueueFull, SparkError, Unavailable
from server.gateway.admission.balance import usable
from server.gateway.admission.breaker import Rules, lets_in
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
    Turned,
    Unheld,
)
from server.gateway.admission.scheduler import Scheduler
from server.gateway.model import Caller, Outcome, Upstream
from tests.gateway.admission.made import down, entry, flying, upstream

AGING = 30.0
CAUSES = ("another model goes first", "a sweep")
POOLS = ("kind:asr", "service:a", "service:b", "model:m")
CALLERS = (
    Caller("free", key_id="free"),
    Caller("two", key_id="two", max_in_flight=2, priority=1),
    Caller("one", key_id="one", max_in_flight=1),
    Caller("vip", key_id="vip", priority=3),
)
SHAPES: dict[str, tuple[Upstream, ...]] = {
    "one": (upstream("x", 1),),
    "two": (upstream("x", 2),),
    "endless": (upstream("x", None),),
    "unknown": (upstream("x", 2, models=("m",)),),
    "down": (down("x"),),
    "draining": (upstream("x", 2, accepting=False),),
    "none": (),
}
shapes = st.sampled_from(sorted(SHAPES))


def named(shape: str, name: str) -> tuple[Upstream, ...]:
    return tuple(
        Upstream(
            name, one.kind, one.base_url, one.host, one.cap, one.models, one.health, one.accepting
        )
        for one in SHAPES[shape]
    )


class Walk(RuleBasedStateMachine):
    """`waiting`, `out` and `done` are what the effects said; the scheduler must agree."""

    def __init__(self) -> None:
        super().__init__()
        rules = Rules(row=2, first_seconds=2.0, longest_seconds=8.0)
        self.scheduler = Scheduler(rules, AGING)
        self.now = 1000.0
        self.tickets = 0
        self.pools: Mapping[str, tuple[Upstream, ...]] = {}
        self.held: set[tuple[str, str]] = set()
        self.waiting: dict[int, Entry] = {}
        self.out: dict[int, tuple[Entry, str]] = {}
        self.done: set[int] = set()
        self.apply(
            {
                "kind:asr": named("two", "a") + named("one", "b"),
                "service:a": named("two", "a"),
                "service:b": named("one", "b"),
                "model:m": (),
            }
        )

    def apply(self, pools: Mapping[str, tuple[Upstream, ...]]) -> None:
        self.pools = pools
        self.post(PoolsChanged(pools))

    # ---- the naive model -----------------------------------------------------------------------

    def rank(self, one: Entry) -> tuple[float, int]:
        return one.arrived - one.caller.priority * AGING, one.ticket

    def in_flight(self) -> Counter[str]:
        return Counter(name for _, name in self.out.values())

    def client_full(self, one: Entry) -> bool:
        mine = sum(1 for other, _ in self.out.values() if other.client == one.client)
        return one.client_cap is not None and mine >= one.client_cap

    def may_use(self, one: Entry, name: str) -> bool:
        """But for the upstream's being full and its breaker."""
        return (
            all(pool != one.pool for pool, _ in self.held)
            and not self.client_full(one)
            and name not in one.exclude
            and any(each.name == name and usable(each) for each in self.pools.get(one.pool, ()))
        )

    def post(self, event: Event) -> list[Effect]:
        effects = self.scheduler.advance(event, self.now)
        granted: list[tuple[Entry, str]] = []
        for effect in effects:
            ticket = effect.ticket
            assert ticket in self.waiting, "each one is answered once, and not after it left"
            if isinstance(effect, Granted):
                one = self.waiting.pop(ticket)
                self.admit(one, effect.upstream)
                granted.append((one, effect.upstream.name))
            elif isinstance(effect, Refused):
                del self.waiting[ticket]
                self.done.add(ticket)
        for one, name in granted:
            for other in self.waiting.values():
                if self.rank(other) < self.rank(one):
                    assert not self.may_use(other, name), "nobody was passed over"
        return effects

    def admit(self, one: Entry, to: Upstream) -> None:
        assert to in self.pools[one.pool]
        assert self.may_use(one, to.name), "client, health, hold and exclusions are kept"
        assert to.cap is None or self.in_flight()[to.name] < to.cap, "never above the cap"
        self.out[one.ticket] = (one, to.name)

    # ---- what happens --------------------------------------------------------------------------

    @rule(
        pool=st.sampled_from(POOLS),
        by=st.sampled_from(CALLERS),
        patience=st.sampled_from((0.0, 5.0, 900.0)),
        late=st.sampled_from((0.0, 3.0)),
        exclude=st.sampled_from((frozenset[str](), frozenset({"a"}), frozenset({"a", "b"}))),
        limit=st.sampled_from((0, 3, 100)),
        short=st.booleans(),
        times=st.integers(1, 4),
    )
    def ask(  # noqa: PLR0917
        self,
        pool: str,
        by: Caller,
        patience: float,
        late: float,
        exclude: frozenset[str],
        limit: int,
        short: bool,
        times: int,
    ) -> None:
        """`short`: the short way in is tried first, as the driver does."""
        for _ in range(times):
            self.tickets += 1
            one = entry(
                self.tickets,
                pool,
                by=by,
                arrived=self.now - late,
                patience=patience,
                exclude=exclude,
                queue_limit=limit,
            )
            self.ask_one(one, short)

    def ask_one(self, one: Entry, short: bool) -> None:
        if short and (found := self.scheduler.seize(one, self.now)) is not None:
            for other in self.waiting.values():
                if self.rank(other) < self.rank(one):
                    assert not self.may_use(other, found.name)
            self.admit(one, found)
            return
        before = self.crowd(one.pool)
        self.waiting[one.ticket] = one
        effects = self.post(Asked(one))
        after = self.crowd(one.pool)
        assert one.ticket not in self.waiting or after.total() <= one.queue_limit
        full = any(isinstance(e, Refused) and isinstance(e.error, QueueFull) for e in effects)
        if full and before.total() <= one.queue_limit:
            # A full queue stays full, and places went from the most to the fewest.
            assert after.total() == before.total() == one.queue_limit
            mine = after[one.client]
            assert all(mine <= many for name, many in before.items() if after[name] < many)
            if one.ticket not in self.waiting:
                assert all(many <= mine + 1 for many in after.values())

    def crowd(self, pool: str) -> Counter[str]:
        """Who of the clients has how many that wait there."""
        return Counter(one.client for one in self.waiting.values() if one.pool == pool)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.waiting)))
        del self.waiting[ticket]
        self.done.add(ticket)
        self.post(Left(ticket))

    @precondition(lambda self: self.out)
    @rule(data=st.data(), outcome=st.sampled_from(("answered", "failed", "left", None)))
    def end(self, data: st.DataObject, outcome: Outcome | None) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.out)))
        if outcome is not None:
            self.post(Reported(ticket, outcome))
        del self.out[ticket]
        self.done.add(ticket)
        self.post(Released(ticket))

    @precondition(lambda self: self.done)
    @rule(data=st.data())
    def say_it_again(self, data: st.DataObject) -> None:
        """What is over is over: a second release or report of it changes nothing."""
        ticket = data.draw(st.sampled_from(sorted(self.done)))
        for event in (Left(ticket), Reported(ticket, "failed"), Released(ticket)):
            assert self.post(event) == []

    @rule(a=shapes, b=shapes, m=shapes, services=st.booleans())
    def change_pools(self, a: str, b: str, m: str, services: bool) -> None:
        first, second = named(a, "a"), named(b, "b")
        pools = {"kind:asr": first + second, "model:m": named(m, "m@spark-1")}
        self.apply(pools | ({"service:a": first, "service:b": second} if services else {}))

    @rule(pool=st.sampled_from(POOLS), cause=st.sampled_from(CAUSES))
    def hold(self, pool: str, cause: str) -> None:
        self.held.add((pool, cause))
        self.post(Held(pool, cause))

    @rule(pool=st.sampled_from(POOLS), cause=st.sampled_from(CAUSES))
    def unhold(self, pool: str, cause: str) -> None:
        self.held.discard((pool, cause))
        self.post(Unheld(pool, cause))

    @rule(seconds=st.sampled_from((0.0, 1.0, 4.0, 100.0)))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds
        self.post(Tick())
        while self.waiting and (self.scheduler.due() or 0.0) <= self.now:
            self.post(Tick())
        assert all(one.arrived + one.patience > self.now for one in self.waiting.values())

    @rule(pool=st.sampled_from(POOLS), seconds=st.sampled_from((None, 0.0, 60.0)))
    def eta(self, pool: str, seconds: float | None) -> None:
        self.post(EtaSet(pool, seconds))

    @rule(pool=st.sampled_from(POOLS))
    def turn_away(self, pool: str) -> None:
        self.post(Turned(pool, Unavailable("no")))
        assert all(one.pool != pool for one in self.waiting.values())

    @rule(name=st.sampled_from(("a", "b", "m@spark-1")), answered=st.booleans())
    def probed(self, name: str, answered: bool) -> None:
        self.post(Probed(name, answered, 3.0))

    # ---- what holds always ---------------------------------------------------------------------

    @invariant()
    def agrees(self) -> None:
        assert set(self.scheduler.waiting) == set(self.waiting)
        assert flying(self.scheduler) == dict(self.in_flight())
        assert self.scheduler.clients == Counter(one.client for one, _ in self.out.values())

    @invariant()
    def nobody_waits_who_could_go(self) -> None:
        if self.scheduler.behind:
            self.post(More())
        flying = self.in_flight()
        for one in self.waiting.values():
            for each in self.pools.get(one.pool, ()):
                seat = self.scheduler.seats[each.name]
                free = each.cap is None or flying[each.name] < each.cap
                assert not (
                    free and self.may_use(one, each.name) and lets_in(seat.breaker, self.now)
                )

    @invariant()
    def half_open_has_one_out(self) -> None:
        for seat in self.scheduler.seats.values():
            if seat.breaker.probe is not None:
                assert seat.breaker.probe in self.out

    @invariant()
    def lines_are_whole(self) -> None:
        for pool in self.scheduler.pools.values():
            there = sum(1 for one in self.waiting.values() if one.pool == pool.name)
            lanes = pool.lanes.values()
            assert there == len(pool.line) == len(pool.ages) == sum(len(x.line) for x in lanes)
            clients = Counter(one.client for one in self.waiting.values() if one.pool == pool.name)
            assert all(pool.shares.count(name) == many for name, many in clients.items())
            shown = [lane for lane in lanes if lane.shown is not None]
            assert all(lane.shown == lane.line.first() for lane in shown)
            assert len(shown) == sum(map(len, pool.ready.values()))

    def teardown(self) -> None:
        """Everything goes: nothing is left of anybody."""
        error: SparkError = Unavailable("closing")
        self.post(Closed(error))
        assert not self.waiting
        for ticket in list(self.out):
            del self.out[ticket]
            self.post(Released(ticket))
        self.post(PoolsChanged({}))
        for pool in POOLS:
            for cause in CAUSES:
                self.post(Unheld(pool, cause))
            self.post(EtaSet(pool, None))
        self.agrees()
        left = self.scheduler
        assert (left.clients, left.seats, left._out, left._hidden) == ({}, {}, {}, {})
        assert left.due() is None
        assert all(pool.learned.seconds is not None for pool in left.pools.values())


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)

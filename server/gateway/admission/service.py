"""`Admission`: the scheduler for tasks.

Owns the futures of those who wait, the leases of those who were let in, and the one timer that
runs while somebody waits. Refuses to decide: `scheduler` does. A request that finds a free place
costs neither a task nor a future. Used from one event loop only.

A grant may cross with a caller that leaves: then the lease is released at once, and the next one
goes. A lease that ends without a report counts as left.
"""

import asyncio
import copy
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count

from server.base.clock import Clock
from server.base.errors import SparkError, Unavailable
from server.base.logs import get_logger
from server.config.gateway import Gateway
from server.gateway.admission import shown
from server.gateway.admission.breaker import Rules
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
    Snapshot,
    Tick,
    Turned,
    Unheld,
)
from server.gateway.admission.scheduler import AGING_SECONDS, Scheduler
from server.gateway.inflight import InFlight
from server.gateway.model import Ask, Grant, Outcome, Route, Upstream, Waiting
from server.gateway.pools import rewritten

TICK_SECONDS = 1.0
SHORTEST_SECONDS = 0.001
AT_ONCE = 64


def model_of(route: Route, upstream: Upstream) -> str:
    """Under which model its request counts: an engine's own, so that its drain sees a request
    that was sent there in another model's place."""
    return upstream.name.rpartition("@")[0] if upstream.engine else route.model


def client_of(ask: Ask) -> str:
    """Whom the bound per client counts: a key, or an address that has none."""
    caller = ask.caller
    return caller.address if caller.key_id is None else f"key {caller.key_id}"


@dataclass(slots=True, eq=False)
class _Waiter:
    ask: Ask
    heard: Callable[[Waiting], None]
    future: asyncio.Future[Grant]
    since: float


class Admission:
    """`settings` are the gateway's, of now. `on_change` is called when somebody begins to wait,
    leaves, or a lease ends; it must be quick."""

    def __init__(
        self,
        *,
        inflight: InFlight,
        settings: Callable[[], Gateway],
        clock: Clock,
        rules: Rules | None = None,
        aging_seconds: float = AGING_SECONDS,
    ) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self._inflight = inflight
        self._settings = settings
        self._clock = clock
        self._scheduler = Scheduler(rules, aging_seconds)
        self._tickets = count(1)
        self._waiters: dict[int, _Waiter] = {}
        self._effects: deque[Effect] = deque()
        self._later: asyncio.Handle | None = None
        self._carrying = False
        self._timer: asyncio.TimerHandle | None = None
        self._wakes = 0.0
        self._log = get_logger("admission")

    # ---- the way of a request ------------------------------------------------------------------

    async def admit(self, ask: Ask, heard: Callable[[Waiting], None]) -> Grant:
        """Raises `QueueFull`, `Unavailable` or `ModelLoading`. Cancelling it frees the place."""
        now = self._clock.monotonic()
        entry = self._entry(ask)
        upstream = self._scheduler.seize(entry, now)
        if upstream is not None:
            return self._grant(ask, entry.ticket, upstream, 0.0)
        return await self._wait(ask, entry, heard, now)

    def admit_now(self, ask: Ask) -> Grant | None:
        """`admit` for who finds a free place; None, and nothing has happened, for who has to wait
        or is refused. Raises `Unavailable` when the app is shutting down."""
        entry = self._entry(ask)
        upstream = self._scheduler.seize(entry, self._clock.monotonic())
        return None if upstream is None else self._grant(ask, entry.ticket, upstream, 0.0)

    def _entry(self, ask: Ask) -> Entry:
        settings, caller = self._settings(), ask.caller
        cap = caller.max_in_flight
        return Entry(
            next(self._tickets),
            ask.route.pool,
            client_of(ask),
            caller,
            ask.arrived,
            ask.patience,
            settings.client_in_flight if cap is None else cap,
            settings.queue_limit,
            ask.exclude,
        )

    async def _wait(
        self, ask: Ask, entry: Entry, heard: Callable[[Waiting], None], now: float
    ) -> Grant:
        future = asyncio.get_running_loop().create_future()
        self._waiters[entry.ticket] = _Waiter(ask, heard, future, now)
        granted: Grant | None = None
        try:
            self._post(Asked(entry))
            if not future.done():
                self.on_change()
            granted = await future
            return granted
        finally:
            del self._waiters[entry.ticket]
            if granted is None:
                self._abandon(entry.ticket, future)
            self.on_change()

    def _abandon(self, ticket: int, future: "asyncio.Future[Grant]") -> None:
        """Refused, or left: then its place in the queue, or the grant it did not hear of, goes."""
        if not future.done() or future.cancelled():
            self._post(Left(ticket))
        elif future.exception() is None:
            future.result().lease.release()

    def _grant(self, ask: Ask, ticket: int, upstream: Upstream, waited: float) -> Grant:
        """Raises `Unavailable` when the app is shutting down."""
        try:
            lease = self._inflight.lease(
                model_of(ask.route, upstream),
                ask.request_id,
                upstream=upstream.name,
                released=partial(self._released, ticket),
            )
        except Unavailable:
            self._post(Released(ticket))
            raise
        return Grant(
            ask.route,
            upstream,
            lease,
            rewritten(ask.route.asked, ask.route.model, upstream),
            waited,
            (),
            partial(self._report, ticket),
        )

    def _report(self, ticket: int, outcome: Outcome) -> None:
        self._post(Reported(ticket, outcome))

    def _released(self, ticket: int) -> None:
        self._post(Released(ticket))
        self.on_change()

    # ---- what the demand and the settings say --------------------------------------------------

    def set_pools(self, pools: Mapping[str, tuple[Upstream, ...]]) -> None:
        """All pools there are. One that is missing is gone; a model's keeps its queue."""
        self._post(PoolsChanged(pools))

    def hold(self, pool: str, cause: str) -> None:
        """Nothing new is granted in that pool until `unhold` for this cause, and each other one.
        Who waits there is told the cause."""
        self._post(Held(pool, cause))

    def unhold(self, pool: str, cause: str) -> None:
        self._post(Unheld(pool, cause))

    def refuse(self, pool: str, error: SparkError) -> None:
        """Everybody who waits there gets `error`."""
        self._post(Turned(pool, error))

    def set_eta(self, pool: str, seconds: float | None) -> None:
        """When the pool begins to answer, from now; None: nothing is known of it."""
        self._post(EtaSet(pool, seconds))

    def probed(self, upstream: str, *, answered: bool, again: float) -> None:
        """A health probe of an upstream whose breaker is open; the next one follows in `again`."""
        self._post(Probed(upstream, answered, again))

    def resting(self) -> tuple[Upstream, ...]:
        """The upstreams whose breaker is open."""
        return shown.resting(self._scheduler)

    def snapshot(self) -> Snapshot:
        return shown.snapshot(self._scheduler, self._clock.monotonic())

    def tick(self) -> None:
        """Time went by. The timer calls it while somebody waits; tests call it instead."""
        self._post(Tick())

    def close(self) -> None:
        """Everybody who waits, and who asks from now on, is refused. Idempotent."""
        self._post(Closed(Unavailable("Spark Control is shutting down.", retry_after=5)))
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # ---- carrying out --------------------------------------------------------------------------

    def _post(self, event: Event) -> None:
        """One event and its effects. What many wait for is handed out in portions, with a turn of
        the loop between: thousands who wake at once would hold up every stream."""
        effects = self._scheduler.advance(event, self._clock.monotonic())
        if effects:
            self._effects.extend(effects)
            if self._later is None and not self._carrying:
                self._carry_on()
        if self._scheduler.waiting:
            self._arm()

    def _carry_on(self) -> None:
        """Not nested: what an effect leads to comes after it."""
        self._later, self._carrying = None, True
        try:
            self._portion()
        finally:
            self._carrying = False
        if self._effects or self._scheduler.behind:
            self._later = asyncio.get_running_loop().call_soon(self._carry_on)

    def _portion(self) -> None:
        for _ in range(AT_ONCE):
            if self._effects:
                lost = self._carry_out(self._effects.popleft())
                if lost is not None:
                    # A grant that nobody takes is given back, which may let another one in.
                    self._post(Released(lost))
            elif self._scheduler.behind:
                self._post(More())
            else:
                return

    def _carry_out(self, effect: Effect) -> int | None:
        """The ticket of a grant that has no taker any more."""
        waiter = self._waiters.get(effect.ticket)
        if waiter is None or waiter.future.done():
            return effect.ticket if isinstance(effect, Granted) else None
        if isinstance(effect, Refused):
            # Raising one object in many tasks would chain their traces.
            waiter.future.set_exception(copy.copy(effect.error))
        elif isinstance(effect, Granted):
            waited = self._clock.monotonic() - waiter.since
            try:
                grant = self._grant(waiter.ask, effect.ticket, effect.upstream, waited)
            except Unavailable as closing:
                waiter.future.set_exception(closing)
            else:
                waiter.future.set_result(grant)
        else:
            self._tell(waiter, effect.waiting)
        return None

    def _tell(self, waiter: _Waiter, waiting: Waiting) -> None:
        try:
            waiter.heard(waiting)
        except Exception:
            # One caller's ear must not cost the others their turn.
            self._log.exception("telling a waiting caller failed", request=waiter.ask.request_id)

    def _arm(self) -> None:
        """Wake at the first end of patience, and at least every tick."""
        now = self._clock.monotonic()
        due = self._scheduler.due()
        wakes = now + TICK_SECONDS if due is None else min(due, now + TICK_SECONDS)
        if self._timer is not None:
            if self._wakes <= wakes:
                return
            self._timer.cancel()
        self._wakes = wakes
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(SHORTEST_SECONDS, wakes - now), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.tick()

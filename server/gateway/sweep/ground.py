"""What a sweep sees of the gateway: where its upstream is, who else is there, a lease of its own.

Owns the answer to "does anybody else need it": whoever runs there, and whoever waits in a pool that
it belongs to. While an upstream is measured nothing new is let in to it, so that its own requests
and another's never add up to more than it stands; whoever comes is seen waiting, and the sweep
ends. That holds for an engine as well, and an engine also makes room for who waits for a model
that is not loaded: it may have to go for it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from server.base.errors import NotFound, Unavailable
from server.base.health import Health, Verdict
from server.config.model import Settings
from server.gateway import pools
from server.gateway.activity import Activity
from server.gateway.admission.model import Snapshot
from server.gateway.admission.reasons import loadable
from server.gateway.inflight import InFlight, Lease
from server.gateway.model import Passage, Upstream
from server.gateway.sweep.runner import Leaving
from server.swap.model import Serving

Look = Callable[[str], Upstream]
Present = Callable[[Upstream], AbstractContextManager[None]]

_CAUSE = "a sweep that measures it ends first"


class Door(Protocol):
    """What is needed of the admission."""

    def snapshot(self) -> Snapshot: ...

    def hold(self, pool: str, cause: str) -> None: ...

    def unhold(self, pool: str, cause: str) -> None: ...


def finder(
    settings: Callable[[], Settings],
    layout: Callable[[], Sequence[Serving]],
    verdicts: Callable[[], Mapping[str, Verdict]],
) -> Look:
    """From the name of a service or of a model that is served to its upstream."""

    def find(name: str) -> Upstream:
        now = settings()
        for each in now.services:
            host = now.host(each.host)
            if each.name == name and host is not None:
                health = verdicts().get(name, Verdict.unknown("not probed yet"))
                return pools.service(each, host, health)
        for serving in layout():
            if name == serving.model or name in serving.names:
                return pools.engine(serving)
        known = ", ".join([one.name for one in now.services] + [s.model for s in layout()])
        raise NotFound(
            f"There is no service and no served model {name[:100]!r}. There are: "
            f"{known or 'none'}.",
            param="target",
        )

    return find


class GatewayGround:
    """`door` is the admission. `monotonic` is the clock that passages carry, `since` when the sweep
    was asked for. A sweep's own requests are no passages: they are in no statistics of callers, and
    `present` says for how long each of them is there, so that its GPU time has a name."""

    def __init__(
        self,
        name: str,
        *,
        find: Look,
        door: Door,
        activity: Activity,
        inflight: InFlight,
        monotonic: Callable[[], float],
        since: float,
        present: Present = lambda _upstream: nullcontext(),
    ) -> None:
        self._name = name
        self._find = find
        self._door = door
        self._activity = activity
        self._inflight = inflight
        self._monotonic = monotonic
        self._since = since
        self._present = present
        self._upstream = find(name)

    def upstream(self) -> Upstream:
        self._upstream = found = self._find(self._name)
        if found.health.health is Health.DOWN:
            raise Unavailable(f"{self._name} is down: {found.health.reason}")
        if not found.accepting:
            raise Leaving(f"{self._name} is about to be replaced by another model.")
        return found

    def _runs_here(self, passage: Passage) -> bool:
        return passage.upstream == self._upstream.name

    def others(self) -> int:
        """Whom the admission let in to it, which the sweep's own are not, and who waits."""
        mine, now = self._upstream, self._door.snapshot()
        waiting = sum(
            pool.waiting
            for pool in now.pools
            if mine.name in pool.upstreams
            or (mine.engine and not pool.upstreams and loadable(pool.pool))
        )
        return waiting + sum(one.in_flight for one in now.upstreams if one.name == mine.name)

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Nothing new is let in meanwhile, through whichever pool."""
        mine = self._upstream.name
        held = [pool.pool for pool in self._door.snapshot().pools if mine in pool.upstreams]
        for pool in held:
            self._door.hold(pool, _CAUSE)
        try:
            yield
        finally:
            for pool in held:
                self._door.unhold(pool, _CAUSE)

    def idle_seconds(self) -> float:
        """Counted from the start of the sweep's own wait when nobody was seen before."""
        last = self._activity.last(self._runs_here)
        return self._monotonic() - (self._since if last is None else last)

    def neighbours(self) -> int:
        host = self._upstream.host
        return _count(
            self._activity.under_way(),
            lambda one: one.host == host and one.upstream != self._upstream.name,
        )

    @contextmanager
    def lease(self, request_id: str) -> Iterator[Lease]:
        """Under the name that a drain of it waits for."""
        upstream = self._upstream
        model = upstream.name.rpartition("@")[0] if upstream.engine else upstream.name
        with (
            self._inflight.lease(model, request_id, upstream=upstream.name) as lease,
            self._present(upstream),
        ):
            yield lease


def _count(passages: Iterable[Passage], wanted: Callable[[Passage], bool]) -> int:
    return sum(map(wanted, passages))

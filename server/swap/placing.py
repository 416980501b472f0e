"""Where a new engine goes, and who goes for it. Pure.

Theory. A place costs memory on every host of its group, and a seat (container name, port) there.
vLLM takes a share of the *total* memory at once, so an engine fits where its share is available
now, with what the evicted ones hold added when they go first. Every group that may take the model
is tried with as few evictions as do, least valuable first; then the best way of all is taken:
one that fits before one that can only be tried, fewer evictions before more, and among those
`beside` before `overlap` before `replace`. What is unknown never fits: then all that is served on
the hosts goes first, as it would with one model at a time. A pinned model is never evicted (but by
itself, when it is loaded anew). Preflight has the last word on whether it really fits.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from types import MappingProxyType
from typing import Literal

from server.base.errors import Conflict
from server.base.units import GIB
from server.launch.place import LAST_PORT, name_of
from server.swap.model import Mode, Use

SEATS = 64
OS_RESERVE = 2 * GIB
"""Kept for the system beside `engine.guard_bytes`: a host that is full to the brim hangs."""


@dataclass(frozen=True, slots=True)
class Room:
    """One host as it was just seen; None is Unknown. `held` is what an engine of the layout holds
    there, by its model, where that was told. `names` and `ports` are taken by others than the
    layout: engines of ours that are left over, configured services."""

    total: int | None = None
    available: int | None = None
    held: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    names: frozenset[str] = frozenset()
    ports: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Tenant:
    """A model of the layout. `share` of each of its hosts' total memory is its own."""

    model: str
    hosts: tuple[str, ...]
    container: str
    port: int
    share: float
    pinned: bool = False
    use: Use = field(default_factory=Use)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be placed. `groups` may take it, best first; `container` and `port` are those of
    the first seat."""

    model: str
    share: float
    groups: tuple[tuple[str, ...], ...]
    container: str
    port: int


@dataclass(frozen=True, slots=True)
class Rules:
    max_models: int = 1
    overlap: Literal["auto", "never"] = "auto"
    guard_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """`evict` least valuable first."""

    hosts: tuple[str, ...]
    slot: int
    container: str
    port: int
    evict: tuple[str, ...]
    mode: Mode


@dataclass(frozen=True, slots=True)
class _Way:
    plan: Plan
    fits: bool


_ORDER: Mapping[Mode, int] = MappingProxyType({"beside": 0, "overlap": 1, "replace": 2})


def worth_a_look(wish: Wish, tenants: Sequence[Tenant], rules: Rules) -> bool:
    """Whether the memory of the hosts could change the answer. Asking costs a round trip."""
    if not tenants or (rules.max_models == 1 and rules.overlap == "never"):
        return False
    if len(tenants) > 1 or len(wish.groups) > 1:
        return True
    (only,) = wish.groups
    return all(
        wish.share + sum(t.share for t in tenants if host in t.hosts) <= 1.0 for host in only
    )


def place(wish: Wish, tenants: Sequence[Tenant], rooms: Mapping[str, Room], rules: Rules) -> Plan:
    """Raises `Conflict` when every way is barred by pinned models."""
    ways = [
        way
        for group in wish.groups
        if (way := _Try(wish, group, tenants, rooms, rules).way()) is not None
    ]
    if not ways:
        raise _barred(wish, tenants)
    order = {one.model: number for number, one in enumerate(by_value(tenants))}

    def rank(way: _Way) -> tuple[bool, int, int, list[int]]:
        plan = way.plan
        worth = sorted((order[model] for model in plan.evict), reverse=True)
        return not way.fits, len(plan.evict), _ORDER[plan.mode], worth

    return min(ways, key=rank).plan


def by_value(tenants: Sequence[Tenant]) -> list[Tenant]:
    """Least valuable first: idle before wanted, then the longest idle, then the oldest."""

    def value(pair: tuple[int, Tenant]) -> tuple[bool, float, int]:
        use = pair[1].use
        return bool(use.in_flight or use.waiting), -use.idle_seconds, pair[0]

    return [tenant for _, tenant in sorted(enumerate(tenants), key=value)]


def _barred(wish: Wish, tenants: Sequence[Tenant]) -> Conflict:
    pinned = ", ".join(t.model for t in tenants if t.pinned) or "none"
    return Conflict(
        f"There is no room for {wish.model}: whatever could make room is pinned ({pinned}).",
        param="model",
        advice="Unload one of them, take its pin off, or raise engine.max_models if memory allows.",
    )


class _Try:
    """One group of hosts."""

    def __init__(
        self,
        wish: Wish,
        group: tuple[str, ...],
        tenants: Sequence[Tenant],
        rooms: Mapping[str, Room],
        rules: Rules,
    ) -> None:
        self.wish = wish
        self.group = group
        self.tenants = tenants
        self.rules = rules
        self.rooms = {host: rooms.get(host, Room()) for host in group}
        self.known = all(
            room.total is not None and room.available is not None for room in self.rooms.values()
        )
        self.here = [t for t in tenants if set(t.hosts) & set(group)]

    def way(self) -> _Way | None:
        must = [t for t in by_value(self.tenants) if self._must_go(t)]
        if any(t.pinned and t.model != self.wish.model for t in must):
            return None
        for gone in self._choices(must):
            if self._counts(gone) and self._fits(gone):
                plan = self._plan(gone)
                return None if plan is None else _Way(plan, True)
        return self._last_resort(must)

    def _must_go(self, tenant: Tenant) -> bool:
        """Itself; whom it cannot stand beside: unknown memory, or another group of several hosts
        (they would meet in the ports of their own network)."""
        if tenant.model == self.wish.model:
            return True
        if tenant not in self.here:
            return False
        return not self.known or (len(tenant.hosts) > 1 and len(self.group) > 1)

    def _choices(self, must: list[Tenant]) -> Iterator[tuple[Tenant, ...]]:
        """Sets of tenants to evict: small ones first, the least valuable first among those."""
        rest = [t for t in by_value(self.tenants) if t not in must and not t.pinned]
        for size in range(len(rest) + 1):
            for more in combinations(rest, size):
                yield (*must, *more)

    def _last_resort(self, must: list[Tenant]) -> _Way | None:
        """It fits nowhere by the figures: all on the hosts go, and preflight judges."""
        gone = [*must, *(t for t in by_value(self.here) if t not in must)]
        if any(t.pinned and t.model != self.wish.model for t in gone):
            return None
        rest = [t for t in by_value(self.tenants) if t not in gone and not t.pinned]
        while not self._counts(gone) and rest:
            gone.append(rest.pop(0))
        plan = self._plan(tuple(gone)) if self._counts(gone) else None
        return None if plan is None else _Way(plan, False)

    def _counts(self, gone: Sequence[Tenant]) -> bool:
        return len(self.tenants) - len(gone) < self.rules.max_models

    def _fits(self, gone: Sequence[Tenant]) -> bool:
        """On every host of the group, once `gone` are gone. With nobody of the layout left there,
        unknown memory is no reason against it: there is nothing more to evict."""
        if not self.known:
            return not [t for t in self.here if t not in gone]
        return all(self._fits_on(host, room, gone) for host, room in self.rooms.items())

    def _fits_on(self, host: str, room: Room, gone: Sequence[Tenant]) -> bool:
        if room.total is None or room.available is None:
            return False
        freed = sum(
            room.held.get(t.model, int(t.share * room.total)) for t in gone if host in t.hosts
        )
        left = room.available + freed - self.wish.share * room.total
        return left >= self.rules.guard_bytes + OS_RESERVE

    def _plan(self, gone: tuple[Tenant, ...]) -> Plan | None:
        mode = self._mode(gone)
        staying = [t for t in self.tenants if mode == "overlap" or t not in gone]
        seat = self._seat(staying, sweep=mode == "replace")
        if seat is None:
            return None
        evict = tuple(t.model for t in gone)
        return Plan(self.group, *seat, evict, mode)

    def _mode(self, gone: Sequence[Tenant]) -> Mode:
        if not self.known or not self.tenants:
            return "replace"
        if not gone:
            return "beside" if self._fits(()) else "replace"
        barred = any(self._must_go(t) for t in gone)
        if self.rules.overlap == "auto" and not barred and self._fits(()):
            return "overlap"
        return "replace"

    def _seat(self, staying: Sequence[Tenant], *, sweep: bool) -> tuple[int, str, int] | None:
        """The first free seat on all hosts of the group. What is left over there is swept away
        before a `replace`, so that its name is free then."""
        here = [t for t in staying if set(t.hosts) & set(self.group)]
        for slot in range(SEATS):
            name, port = name_of(self.wish.container, slot), self.wish.port + slot
            if port > LAST_PORT:
                return None
            if any(t.container == name or t.port == port for t in here):
                continue
            rooms = self.rooms.values()
            if not sweep and any(name in room.names for room in rooms):
                continue
            # At the first seat a service on its port is a mistake that preflight names.
            if slot and any(port in room.ports for room in rooms):
                continue
            return slot, name, port
        return None

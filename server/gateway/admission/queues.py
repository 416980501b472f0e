"""Those who wait for one pool, in lanes. Pure.

Theory. Rank = arrival - priority x aging. That is a waiting time that counts from earlier for whom
more priority was given, so everybody gains one level per `aging` seconds, and yet the order of any
two never changes: nothing is ever sorted again. Whoever has priority p is overtaken only by those
who arrive within (q - p) x aging seconds after it, for the highest priority q: nobody starves.

Who waits cannot always go when a place is free: its client may have all it may have, or the free
upstream already failed it. So a pool has lanes. In one lane stand those of the same client with
the same exclusions: either the first of a lane can go or none of it can. `ready` has the first of
each lane that can, one line per set of exclusions; a lane whose client is full is hidden until the
client gives something back. So the next one is found without a look at those who cannot go.

Owns the lines of one pool. Refuses to know upstreams and to decide who goes.
"""

from dataclasses import dataclass, field

from server.gateway.admission.balance import Place
from server.gateway.admission.learned import Learned
from server.gateway.admission.line import Item, Line
from server.gateway.admission.model import Entry
from server.gateway.admission.shares import Shares

LaneKey = tuple[str, int | None, frozenset[str]]


@dataclass(slots=True, eq=False)
class Lane:
    """`shown` is its item in `ready`, None while it is hidden."""

    pool: "Pool"
    key: LaneKey
    line: Line = field(default_factory=Line)
    shown: Item | None = None

    @property
    def client(self) -> str:
        return self.key[0]

    @property
    def client_cap(self) -> int | None:
        return self.key[1]

    @property
    def exclude(self) -> frozenset[str]:
        return self.key[2]


@dataclass(slots=True, eq=False)
class Queued:
    """One who waits. `told` is the last position and whole seconds it heard, or nothing."""

    entry: Entry
    item: Item
    lane: Lane
    deadline: Item
    told: tuple[int, int | None, str] | None = None


@dataclass(slots=True, eq=False)
class Pool:
    """`turn` lets equal upstreams be used in turn; `cursor` is where the next news begin. `held`:
    nothing new is granted, for each of the `causes`."""

    name: str
    places: tuple[Place, ...] = ()
    held: bool = False
    causes: set[str] = field(default_factory=set)
    known: bool = False
    turn: int = 0
    cursor: int = 0
    learned: Learned = field(default_factory=Learned)
    line: Line = field(default_factory=Line)
    ages: Line = field(default_factory=Line)
    lanes: dict[LaneKey, Lane] = field(default_factory=dict)
    ready: dict[frozenset[str], Line] = field(default_factory=dict)
    shares: Shares = field(default_factory=Shares)

    def add(self, entry: Entry, rank: float) -> Queued:
        key = ("" if entry.client_cap is None else entry.client, entry.client_cap, entry.exclude)
        lane = self.lanes.get(key)
        fresh = lane is None
        if lane is None:
            lane = self.lanes[key] = Lane(self, key)
        item = (rank, entry.ticket)
        lane.line.add(item)
        self.line.add(item)
        self.ages.add((entry.arrived, entry.ticket))
        self.shares.add(entry.client, item)
        if fresh or lane.shown is not None:
            self.show(lane)
        return Queued(entry, item, lane, (entry.arrived + entry.patience, entry.ticket))

    def remove(self, queued: Queued) -> None:
        """The lane goes with its last one."""
        lane, entry = queued.lane, queued.entry
        lane.line.remove(queued.item)
        self.line.remove(queued.item)
        self.ages.remove((entry.arrived, entry.ticket))
        self.shares.remove(entry.client, queued.item)
        if not len(lane.line):
            self.hide(lane)
            del self.lanes[lane.key]
        elif lane.shown is not None:
            self.show(lane)

    def clear(self) -> None:
        """Nobody waits any more."""
        self.line, self.ages = Line(), Line()
        self.lanes, self.ready = {}, {}
        self.shares = Shares()

    def hold(self, cause: str) -> None:
        self.causes.add(cause)
        self.held = True

    def unhold(self, cause: str) -> None:
        """It stays held while there is another cause."""
        self.causes.discard(cause)
        self.held = bool(self.causes)

    def show(self, lane: Lane) -> None:
        """Its first one stands in `ready`."""
        first = lane.line.first()
        if lane.shown == first:
            return
        self.hide(lane)
        if first is not None:
            self.ready.setdefault(lane.exclude, Line()).add(first)
            lane.shown = first

    def hide(self, lane: Lane) -> None:
        if lane.shown is None:
            return
        line = self.ready[lane.exclude]
        line.remove(lane.shown)
        lane.shown = None
        if not len(line):
            del self.ready[lane.exclude]

    def room(self) -> int | None:
        """How many the pool takes at once; None: no bound; 0: nothing takes new work."""
        total = 0
        for place in self.places:
            if place.upstream.accepting:
                if place.seat.cap is None:
                    return None
                total += place.seat.cap
        return total

"""A cluster of one place, or of several, that runs in seconds that nobody waits for.

It answers requests in `answer` seconds, drains, loads in `load` seconds, and does what the policy
says; the policy is the product's.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from server.base.errors import SparkError
from server.gateway.demand.model import (
    AskPeople,
    Facts,
    Hold,
    Loaded,
    Refuse,
    ReturnToDefault,
    Rules,
    StartSwap,
    Unhold,
    Unload,
    Wanted,
)
from server.gateway.demand.policy import decide
from server.gateway.model import SwapPolicy


@dataclass(slots=True, eq=False)
class Request:
    model: str
    arrives: float
    answer: float = 1.0
    policy: SwapPolicy = "auto"
    priority: int = 0
    granted: float | None = None
    done: float | None = None
    refused: SparkError | None = None

    @property
    def waited(self) -> float:
        assert self.granted is not None
        return self.granted - self.arrives


@dataclass(slots=True)
class Engine:
    model: str
    since: float
    used: float


@dataclass(slots=True)
class Swap:
    """`going` drain and go; from `stopped` on it loads, until `serves`."""

    model: str | None
    going: frozenset[str]
    began: float
    stopped: float | None = None
    serves: float = 0.0


@dataclass
class World:
    """`places`: how many models fit beside each other. Who goes is the one unused the longest."""

    rules: Rules = field(default_factory=Rules)
    load: float = 100.0
    drain: float = 30.0
    places: int = 1
    pinned: frozenset[str] = frozenset()
    ttl: dict[str, float] = field(default_factory=dict)
    fails: frozenset[str] = frozenset()
    blocked: dict[str, SparkError] = field(default_factory=dict)
    step: float = 1.0
    now: float = 0.0
    engines: list[Engine] = field(default_factory=list)
    swap: Swap | None = None
    held: set[str] = field(default_factory=set)
    requests: list[Request] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    loads: list[tuple[float, str]] = field(default_factory=list)
    evicted: list[str] = field(default_factory=list)
    parted: tuple[str, float] | None = None

    def serve(self, *models: str) -> None:
        self.engines = [Engine(model, self.now, self.now) for model in models]

    def served(self) -> set[str]:
        return {engine.model for engine in self.engines}

    def waiting(self, model: str | None = None) -> list[Request]:
        return [
            one
            for one in self.requests
            if one.arrives <= self.now
            and one.granted is None
            and one.refused is None
            and model in {None, one.model}
        ]

    def in_flight(self, model: str) -> list[Request]:
        return [
            one
            for one in self.requests
            if one.model == model and one.granted is not None and one.done is None
        ]

    def run(self, seconds: float, arrivals: Sequence[Request] = ()) -> None:
        self.requests += arrivals
        end = self.now + seconds
        while self.now < end:
            self._end_answers()
            self._drive_swap()
            self._grant()
            self._obey()
            self._grant()
            self.now += self.step

    # ---- the cluster

    def _end_answers(self) -> None:
        for engine in self.engines:
            for one in self.in_flight(engine.model):
                engine.used = self.now
                if one.granted is not None and self.now - one.granted >= one.answer:
                    one.done = self.now

    def _drive_swap(self) -> None:
        swap = self.swap
        if swap is None:
            return
        if swap.stopped is None:
            busy = any(self.in_flight(model) for model in swap.going)
            if busy and self.now - swap.began < self.drain:
                return
            for model in swap.going:
                for one in self.in_flight(model):
                    one.done = self.now  # ended, as the drain's deadline does
            self.engines = [e for e in self.engines if e.model not in swap.going]
            swap.stopped, swap.serves = self.now, self.now + (self.load if swap.model else 0)
        if self.now < swap.serves:
            return
        self.swap = None
        if swap.model in self.fails:
            self.blocked[swap.model] = SparkError("it failed")
        elif swap.model is not None:
            self.engines.append(Engine(swap.model, self.now, self.now))
            self.parted = None

    def _grant(self) -> None:
        closed = self.held | (self.swap.going if self.swap else frozenset())
        for engine in self.engines:
            for one in [] if engine.model in closed else self.waiting(engine.model):
                one.granted = engine.used = self.now

    # ---- the policy

    def _obey(self) -> None:
        for action in decide(self.facts(), self.rules):
            match action:
                case StartSwap(model) | ReturnToDefault(model):
                    self._start(model)
                case Unload(model):
                    assert model not in self.pinned
                    used = next(e.used for e in self.engines if e.model == model)
                    self.parted = (model, used)
                    self.swap = Swap(None, frozenset({model}), self.now)
                case Hold(model):
                    self.held.add(model)
                case Unhold(model):
                    self.held.remove(model)
                case Refuse(model, error):
                    for one in self.waiting(model):
                        one.refused = error
                case AskPeople(model):
                    self.asked.append(model)

    def _start(self, model: str) -> None:
        assert self.swap is None
        going = self.evicts(model)
        assert going is not None
        assert not going & self.pinned
        self.evicted += sorted(going)
        self.loads.append((self.now, model))
        self.swap = Swap(model, going, self.now)

    def evicts(self, model: str) -> frozenset[str] | None:
        if len(self.engines) < self.places:
            return frozenset()
        free = [e for e in self.engines if e.model not in self.pinned]
        if not free:
            return None
        return frozenset({min(free, key=lambda e: e.used).model})

    def facts(self) -> Facts:
        served = self.served()
        wanted = dict.fromkeys(one.model for one in self.waiting() if one.model not in served)
        default = [self.rules.default_model] if self.rules.default_model else []
        return Facts(
            wanted=tuple(self._wanted(model) for model in wanted),
            layout=tuple(self._loaded(engine) for engine in self.engines),
            swaps=(self.swap.model,) if self.swap else (),
            evicts={model: self.evicts(model) for model in [*wanted, *default]},
            blocked=dict(self.blocked),
            held=frozenset(self.held),
            asked=frozenset(self.asked),
            parted=(self.parted[0], self.now - self.parted[1]) if self.parted else None,
        )

    def _wanted(self, model: str) -> Wanted:
        waiting = self.waiting(model)
        order: Sequence[SwapPolicy] = ("never", "ask", "auto")
        return Wanted(
            model,
            len(waiting),
            self.now - min(one.arrives for one in waiting),
            max((one.policy for one in waiting), key=order.index),
            max(one.priority for one in waiting),
        )

    def _loaded(self, engine: Engine) -> Loaded:
        return Loaded(
            engine.model,
            self.now - engine.since,
            len(self.in_flight(engine.model)),
            len(self.waiting(engine.model)),
            self.now - engine.used,
            self.ttl.get(engine.model, 0.0),
            engine.model in self.pinned,
        )

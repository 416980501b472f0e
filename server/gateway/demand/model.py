"""Frozen values of the demand room: the facts that are looked at, the actions that follow."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from server.base.errors import SparkError
from server.gateway.model import SwapPolicy

Evicted = frozenset[str] | None
"""The models that would go for another one: empty when it fits beside them, None when it cannot be
placed, because what would have to go is pinned."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that matter here (`gateway.*`). `default_model` is an id of the catalog."""

    batch_seconds: float = 60.0
    residency_seconds: float = 30.0
    default_model: str | None = None
    default_after_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model that is not loaded, and the requests that wait for it.

    `seconds`: the longest wait. `policy`: the most permissive of theirs. `priority`: the highest.
    `caller`: who waits longest.
    """

    model: str
    count: int
    seconds: float
    policy: SwapPolicy = "auto"
    priority: int = 0
    caller: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is served, and how it is used. `idle_seconds` since its last request ended."""

    model: str
    seconds: float
    in_flight: int = 0
    waiting: int = 0
    idle_seconds: float = 0.0
    ttl: float = 0.0
    pinned: bool = False

    @property
    def busy(self) -> bool:
        return self.in_flight > 0 or self.waiting > 0

    @property
    def unused_seconds(self) -> float:
        """How long nobody has asked for it, counted from when it was loaded at the earliest."""
        return 0.0 if self.busy else min(self.seconds, self.idle_seconds)


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the decision looks at.

    `swaps`: the models of the running and the queued swaps (None: an unload). `evicts`: for each
    wanted model and the default, who would go for it; in `overlap` those that come in while who
    goes still serves. `blocked`: why a model cannot be loaded now (disabled, failed a moment ago).
    `held`: nothing new is granted there. `asked`: people were
    told already. `parted`: the model that `ttl` unloaded last and how long ago it was last used,
    while nothing was loaded since.
    """

    wanted: tuple[Wanted, ...] = ()
    layout: tuple[Loaded, ...] = ()
    swaps: tuple[str | None, ...] = ()
    evicts: Mapping[str, Evicted] = field(default_factory=dict)
    overlap: frozenset[str] = frozenset()
    blocked: Mapping[str, SparkError] = field(default_factory=dict)
    held: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    parted: tuple[str, float] | None = None


@dataclass(frozen=True, slots=True)
class StartSwap:
    """Load `model`; `caller` is for whom."""

    model: str
    caller: str


@dataclass(frozen=True, slots=True)
class Unload:
    """Its time to live without requests is over."""

    model: str


@dataclass(frozen=True, slots=True)
class ReturnToDefault:
    model: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing new is granted to `model`, so that it drains for another one."""

    model: str


@dataclass(frozen=True, slots=True)
class Unhold:
    model: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """Everybody who waits for `model` gets `error`."""

    model: str
    error: SparkError


@dataclass(frozen=True, slots=True)
class AskPeople:
    """Requests wait for `model`, and only a person may load it."""

    model: str
    count: int
    caller: str


Action = StartSwap | Unload | ReturnToDefault | Hold | Unhold | Refuse | AskPeople

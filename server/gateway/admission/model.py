"""Frozen values of the admission: what happens to it, what it decides, what it shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from server.base.errors import SparkError
from server.gateway.model import Caller, Outcome, Upstream, Waiting

MODEL_POOL = "model:"
"""Pools of this prefix may be empty: a model can be loaded. Any other pool without an upstream
never answers."""


class Entry(NamedTuple):
    """One request that wants in. `ticket` is unique in the app's life and grows. `client` is whom
    `client_cap` counts and among whom the places of a queue are shared; `queue_limit` how many may
    wait in this pool. Times are monotonic."""

    ticket: int
    pool: str
    client: str
    caller: Caller
    arrived: float
    patience: float
    client_cap: int | None = None
    queue_limit: int = 1000
    exclude: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Asked:
    entry: Entry


@dataclass(frozen=True, slots=True)
class Left:
    """The caller went away while it waited."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Reported:
    """How the upstream did; before `Released`, at most once."""

    ticket: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Released:
    """The request that was granted is over."""

    ticket: int


@dataclass(frozen=True, slots=True)
class PoolsChanged:
    pools: Mapping[str, tuple[Upstream, ...]]


@dataclass(frozen=True, slots=True)
class Held:
    """Nothing new is granted in that pool, until `Unheld` for the same cause. `cause` is what who
    waits is told."""

    pool: str
    cause: str


@dataclass(frozen=True, slots=True)
class Unheld:
    pool: str
    cause: str


@dataclass(frozen=True, slots=True)
class EtaSet:
    """What is known about when the pool begins to answer; None: no longer anything."""

    pool: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Turned:
    """Everybody who waits in that pool gets `error`."""

    pool: str
    error: SparkError


@dataclass(frozen=True, slots=True)
class Probed:
    """A health probe of an upstream was answered, or was not; the next follows after `again`."""

    upstream: str
    answered: bool
    again: float


@dataclass(frozen=True, slots=True)
class Closed:
    """The app ends: who waits and who asks later gets `error`."""

    error: SparkError


@dataclass(frozen=True, slots=True)
class More:
    """Go on letting in those for whom one event was not enough."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time went by: patience, breakers, and news for those who wait."""


Event = (
    Asked
    | Left
    | Reported
    | Released
    | PoolsChanged
    | Held
    | Unheld
    | EtaSet
    | Turned
    | Probed
    | Closed
    | More
    | Tick
)


@dataclass(frozen=True, slots=True)
class Granted:
    ticket: int
    upstream: Upstream


@dataclass(frozen=True, slots=True)
class Refused:
    """`error` may be the same object for many: who raises it copies it."""

    ticket: int
    error: SparkError


@dataclass(frozen=True, slots=True)
class Told:
    ticket: int
    waiting: Waiting


Effect = Granted | Refused | Told


@dataclass(frozen=True, slots=True)
class PoolNow:
    pool: str
    waiting: int
    longest_seconds: float
    held: bool
    upstreams: tuple[str, ...]
    service_seconds: float | None
    eta_seconds: float | None


@dataclass(frozen=True, slots=True)
class UpstreamNow:
    """`state` is the breaker's; `opens_in` seconds until it lets a request in again, None when it
    does now or when nobody can tell."""

    name: str
    kind: str
    host: str
    in_flight: int
    cap: int | None
    state: str
    failures: int
    opens_in: float | None
    available: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The admission as it stands, for pages and metrics. An address in `clients` is nobody else's
    business."""

    pools: tuple[PoolNow, ...]
    upstreams: tuple[UpstreamNow, ...]
    clients: Mapping[str, int]

"""Frozen values of the gateway, and the seams behind which routing, transport and counting may
change: `Router`, `UpstreamClient`, `Gatekeeper`, `Observer`."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

from server.base.errors import SparkError
from server.base.health import Verdict
from server.gateway.inflight import Lease
from server.gateway.wire import Header

Body = Literal["json", "form", "any"]
SwapPolicy = Literal["auto", "ask", "never"]
AudioSource = Literal["told", "measured", "estimated"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One route that is relayed.

    `kinds`: the kinds of upstream that answer it, in order of preference; `llm` is the engine (and
    services of that kind); empty: whatever the name means, of any kind. `body`: how the model is
    found: in JSON, in the leading parts of a form, or not at all. `named_events`: its streams name
    their SSE events. `events`: with `stream` in the body it answers in SSE. `upstream_path`: where
    the upstream serves it, when that is not `path`. `repeatable`: asking twice does no harm, so a
    failure before the first byte may be tried elsewhere. `methods`: empty for any. `service`: the
    name that is asked for when the request names none. `prefix`: what comes after `path` in the
    request is passed on; `named`: its first segment is the name that is asked for. `socket`: a
    WebSocket, and nothing else. `here`: Spark Control answers it itself where no service of the
    name `service` is set up.
    """

    path: str
    kinds: tuple[str, ...] = ("llm",)
    body: Body = "json"
    named_events: bool = False
    upstream_path: str | None = None
    repeatable: bool = True
    methods: tuple[str, ...] = ("POST",)
    events: bool = False
    service: str | None = None
    prefix: bool = False
    named: bool = False
    socket: bool = False
    here: bool = False


@dataclass(frozen=True, slots=True)
class Upstream:
    """One place that answers: an engine, or a service of `config.yaml`.

    `name` is unique: a service's own, or `<model>@<host>` for an engine. `cap` is how many requests
    it gets at once, None for no bound. `models` are the names it knows; empty: it does not care.
    `model_sent`: the name it is sent whatever was asked, None: the asked one.
    """

    name: str
    kind: str
    base_url: str
    host: str
    cap: int | None = None
    models: tuple[str, ...] = ()
    health: Verdict = field(default_factory=Verdict.up)
    accepting: bool = True
    engine: bool = False
    model_sent: str | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: an API key, or an address without one. `name` is for logs, metrics and usage.

    `priority`: higher goes first. `max_in_flight`: None for no bound. `models`: empty for all.
    `swap`: what asking for a model that is not loaded does; None: as the settings say.
    """

    name: str
    address: str = ""
    key_id: str | None = None
    priority: int = 0
    max_in_flight: int | None = None
    models: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset({"gateway"})
    swap: SwapPolicy | None = None


ANYONE = Caller("anyone")


@dataclass(frozen=True, slots=True)
class Route:
    """What a request means: the pool that may answer it.

    `pool` is a key of the admission: `model:<id>` for an engine's model, `service:<name>` when one
    service was named, `kind:<kind>` for whichever service of that kind is free. `model` is the
    catalog's id, or the name as asked; `asked` is what the request said, None when it said nothing.
    `params`: fields that a variant of the model sets in the body.
    """

    pool: str
    model: str
    asked: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


class Ask(NamedTuple):
    """One request that wants to be let in. `arrived` is monotonic seconds; `patience` how long it
    may wait; `exclude` the upstreams that failed it already; `bridge` whether another model may
    answer while its own is being loaded (not with `X-Spark-No-Bridge`)."""

    route: Route
    operation: Operation
    caller: Caller
    request_id: str
    arrived: float
    patience: float
    exclude: frozenset[str] = frozenset()
    bridge: bool = True


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a waiting caller is told. `position` counts from 1; `eta_seconds` None when unknown."""

    position: int
    eta_seconds: float | None
    reason: str


Outcome = Literal["answered", "failed", "left"]
"""How an upstream did: it answered (any status that is its caller's fault as well), it failed
(no connection, broke off, 5xx, too slow), or the caller left before that could be told."""


class Grant(NamedTuple):
    """Leave to send one request: where to, under which name, and the lease that is held for it.

    `rewrite`: the model name to put into the body, None when the upstream knows the one in it.
    `notes` are headers for the answer (a bridge says so). `report` tells how the upstream did; it
    is called once, before the lease is released.
    """

    route: Route
    upstream: Upstream
    lease: Lease
    rewrite: str | None = None
    waited: float = 0.0
    notes: tuple[Header, ...] = ()
    report: Callable[[Outcome], None] = lambda _outcome: None


class Router(Protocol):
    """Decides who answers a request. `resolve` says what a name means, at once and without
    remote work; `admit` may wait (a queue, a swap on demand), telling `heard` where it stands.
    `admit_now` does not: None, and nothing has happened, where `admit` would wait or refuse. They
    raise a `SparkError`. Cancelling `admit` frees the place. A grant holds a lease, and whoever was
    granted it releases it.
    """

    def resolve(self, operation: Operation, model: str | None) -> Route: ...

    def admit_now(self, ask: Ask) -> Grant | None: ...

    async def admit(self, ask: Ask, heard: Callable[[Waiting], None]) -> Grant: ...


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """What is sent to an upstream. `name` is how it is called in an error's `source`.

    A body that is not `bytes` is sent as it comes and cannot be sent twice; `length` is its
    length when it is known (else it goes chunked). `patience`: seconds from its end to the head of
    the answer; None: as long as an upstream may be silent at all.
    """

    method: str
    url: str
    headers: list[Header]
    body: bytes | AsyncIterable[bytes]
    name: str
    length: int | None = None
    patience: float | None = None


class UpstreamResponse(Protocol):
    """An answer whose head has come. `close` aborts at once and may be called any number of times.

    Raises `UpstreamError` or `UpstreamTimeout` from `chunks` and `read` when the upstream breaks.
    """

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> list[Header]: ...

    @property
    def retried(self) -> bool: ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, undecoded, never joined."""
        ...

    async def read(self, limit: int) -> bytes:
        """At most `limit` bytes of the body; for error bodies only."""
        ...

    def close(self) -> None: ...


class UpstreamClient(Protocol):
    """Raises `Unavailable` when nothing listens, `UpstreamError` when the answer broke off before
    its head, `UpstreamTimeout` when none came in time. Retries once, and only on a stale
    kept-alive connection on which nothing was written back and with a body that is `bytes`."""

    async def open(self, request: UpstreamRequest) -> UpstreamResponse: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Used:
    """What an answer cost. None: it was not told and cannot be counted."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    audio_seconds: float | None = None
    counted: bool = False
    """The completion tokens are counted chunks of the stream, not a figure of the engine's."""
    audio_source: AudioSource = "told"
    """Of the seconds: the service told them, or they are what was sent to it, measured by its
    container, or estimated by its size."""


NOTHING = Used()


@dataclass(slots=True)
class Passage:
    """One request on its way through: filled in as it goes, shown to every `Observer` at its end.

    Times but `at` are monotonic seconds, None when that was not reached. `model` and `upstream`
    are empty before they are known. `bytes_in` and `bytes_out` count bodies. `charged` is what of
    `used` its caller was charged while it went on. `stop` ends the request wherever it is, waiting
    or running; None before it can be ended.
    """

    request_id: str
    at: datetime
    arrived: float
    route: str
    caller: Caller = ANYONE
    asked: str = ""
    model: str = ""
    upstream: str = ""
    kind: str = ""
    host: str = ""
    stream: bool = False
    status: int = 0
    error: str = ""
    admitted: float | None = None
    opened: float | None = None
    first_byte: float | None = None
    first_token: float | None = None
    ended: float | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    attempts: int = 0
    cached: bool = False
    used: Used = NOTHING
    charged: Used = NOTHING
    stop: Callable[[SparkError], None] | None = None


Observer = Callable[[Passage], None]
"""Sees every passage once, at its end. Must be quick and must not raise.

Who also shows what is under way (`Activity.began`) sees the passage at its beginning too; it is the
same object, filled in as the request goes on.
"""


class Gatekeeper(Protocol):
    """Who a caller is and what it may do. Answers from memory, raises a `SparkError`.

    `identify`: `InvalidApiKey` for a key that is unknown, expired or missing where one is required.
    `recognised`: the same by the key itself (None: none was sent), but None, and nothing is counted
    or logged, where `identify` would refuse. While `edition` is the same (and not 0) it says the
    same of that caller's key.
    `enter`: `Forbidden` (scope). `allow`: the same, `ModelNotFound` (a model this key may not use),
    `RateLimited`. `look`: what `allow` would raise whatever the model; nothing is counted.
    `sees`: whether something of these names may be listed to a caller. `headers_for`: what an
    answer to a caller says of its limits. `spend`: charges what a request that goes on has cost
    since the last time, and says whether something is used up now.
    """

    def identify(self, headers: list[Header], address: str) -> Caller: ...

    def recognised(self, key: str | None, address: str) -> Caller | None: ...

    def edition(self, caller: Caller) -> int: ...

    def enter(self, caller: Caller) -> None: ...

    def allow(self, caller: Caller, operation: Operation, route: Route) -> None: ...

    def look(self, caller: Caller, operation: Operation) -> None: ...

    def sees(self, caller: Caller, names: Iterable[str]) -> bool: ...

    def headers_for(self, caller: Caller) -> list[Header]: ...

    def spend(self, passage: Passage, operation: Operation) -> SparkError | None: ...

"""Frozen values of the gateway, and the seams behind which routing and transport may change."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from server.gateway.inflight import Lease
from server.gateway.wire import Header


@dataclass(frozen=True, slots=True)
class Operation:
    """One `/v1` route that is relayed. `named_events`: its streams name their SSE events."""

    path: str
    named_events: bool = False


OPERATIONS = {
    operation.path: operation
    for operation in (
        Operation("/v1/chat/completions"),
        Operation("/v1/completions"),
        Operation("/v1/responses", named_events=True),
        Operation("/v1/messages", named_events=True),
        Operation("/v1/embeddings"),
        Operation("/v1/tokenize"),
    )
}

UPSTREAM_PATHS = {"/v1/tokenize": "/tokenize"}
"""Where the engine serves a route under another path than ours: vLLM's tokenizer is not in /v1."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to send one request: where to, under which name, and the lease that is held for it.

    `rewrite` is the model name to put into the body; None when the engine knows the one asked for.
    """

    model: str
    base_url: str
    lease: Lease
    rewrite: str | None = None


class Router(Protocol):
    """Decides who answers a request. May wait (a queue, a swap on demand); raises a `SparkError`.

    A grant holds a lease, and whoever was granted it releases it.
    """

    async def admit(self, model: str, request_id: str) -> Grant: ...


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """What is sent to an engine. `name` is how the upstream is called in an error's `source`."""

    method: str
    url: str
    headers: list[Header]
    body: bytes
    name: str


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
    kept-alive connection on which nothing was written back."""

    async def open(self, request: UpstreamRequest) -> UpstreamResponse: ...

    async def close(self) -> None: ...

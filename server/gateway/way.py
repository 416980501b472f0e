"""What every request goes through, whatever it carries: begun, perhaps stopped, told of once.

Owns the task that `end` interrupts, the listening for a caller that leaves, and that each passage
is shown to every observer once at its beginning and once at its end. Refuses to know what is
carried: that is `call`'s and `sockets`'.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from starlette.types import Receive, Scope

from server.base.errors import SparkError
from server.config.gateway import Gateway as GatewaySettings
from server.gateway.cache.model import AnswerCache
from server.gateway.intake.held import Held
from server.gateway.model import (
    Gatekeeper,
    Grant,
    Observer,
    Operation,
    Passage,
    Router,
    UpstreamClient,
)
from server.gateway.presence import Presence
from server.gateway.relay import MakeTap
from server.gateway.wire import NOTES


@dataclass(frozen=True, slots=True)
class Crew:
    """The parts that every call works with. `monotonic` and `now` are clocks."""

    router: Router
    upstream: UpstreamClient
    gatekeeper: Gatekeeper
    settings: Callable[[], GatewaySettings]
    monotonic: Callable[[], float]
    now: Callable[[], datetime]
    tap: MakeTap
    cache: AnswerCache | None = None
    began: Sequence[Observer] = ()
    ended: Sequence[Observer] = ()
    held: Held = field(default_factory=Held)
    amid: Sequence[Observer] = ()


class Way:
    """One request. `run` is awaited once; a kind of request says how it goes and how it fails."""

    __slots__ = (
        "_crew",
        "_ended",
        "_notes",
        "_operation",
        "_passage",
        "_presence",
        "_receive",
        "_scope",
        "_task",
    )

    def __init__(
        self, crew: Crew, operation: Operation, passage: Passage, scope: Scope, receive: Receive
    ) -> None:
        self._crew = crew
        self._operation = operation
        self._passage = passage
        self._scope = scope
        self._receive = receive
        self._notes: dict[str, Any] = scope[NOTES]
        self._presence = Presence(receive, self.end)
        self._ended: SparkError | None = None
        self._task: asyncio.Task[Any] | None = None

    def _begin(self) -> None:
        for observer in self._crew.began:
            observer(self._passage)

    async def _go(self) -> None:
        """Everything up to the end of the answer."""
        raise NotImplementedError

    async def _fail(self, error: SparkError) -> None:
        """Tell the caller, as far as it can still be told."""
        raise NotImplementedError

    def end(self, error: SparkError) -> None:
        """Stop this with `error`, wherever it is. The first reason stands."""
        if self._ended is None and self._task is not None:
            self._ended = error
            self._task.cancel()

    async def run(self) -> None:
        """Everything. Errors are told to the caller here; only a cancellation leaves."""
        task = self._task = asyncio.current_task()
        passage = self._passage
        passage.stop = self.end
        self._begin()
        try:
            try:
                await self._go()
            except asyncio.CancelledError:
                if self._ended is None or task is None or task.uncancel() > 0:
                    raise
                raise self._ended from None
        except SparkError as error:
            self._task = None
            await self._presence.pause()
            await self._fail(error)
        except Exception:
            passage.error, passage.status = "internal", passage.status or 500
            raise
        finally:
            self._task = None
            await self._presence.pause()
            self._account()
            # What points back here would keep the bodies until the next collection of garbage.
            passage.stop = None
            self._presence.forget()

    def _account(self) -> None:
        account(self._crew, self._passage, self._notes, self._crew.monotonic())

    def _let_in(self, grant: Grant) -> str:
        return let_in(self._passage, grant, self._crew.monotonic())


def let_in(passage: Passage, grant: Grant, now: float) -> str:
    """Note where it goes; the name under which the upstream is spoken of."""
    upstream = grant.upstream
    passage.admitted = now
    passage.attempts += 1
    passage.upstream, passage.kind, passage.host = upstream.name, upstream.kind, upstream.host
    passage.model = grant.route.model
    return name_of(grant)


def name_of(grant: Grant) -> str:
    """Under which name its upstream is spoken of."""
    return grant.route.model if grant.upstream.engine else grant.upstream.name


def account(crew: Crew, passage: Passage, notes: dict[str, Any], now: float) -> None:
    """It is over: what the log line says of it, and everybody who counts hears of it."""
    passage.ended = now
    if not passage.status:
        passage.status = 499
    if passage.error:
        notes["error"] = passage.error
    if passage.asked:
        notes["model"] = passage.asked
    if passage.upstream:
        notes["upstream"] = passage.upstream
    if passage.caller.key_id is not None:
        notes["key"] = passage.caller.name
    for observer in crew.ended:
        observer(passage)

"""Leases of requests in flight: objects with an idempotent release, not counters.

Owns who is in flight on which model and upstream, waiting until none is, and ending what is left.
Refuses to decide who may enter; that is the admission's.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from server.base.errors import SparkError, Unavailable


class Lease:
    """One request's place. Use it as a context manager, or call `release` any number of times."""

    __slots__ = ("_drop", "_released", "_task", "ended", "model", "request_id", "stop", "upstream")

    def __init__(
        self,
        model: str,
        request_id: str,
        drop: Callable[["Lease"], bool],
        *,
        upstream: str = "",
        released: Callable[[], None] | None = None,
    ) -> None:
        self.model = model
        self.request_id = request_id
        self.upstream = upstream
        self.ended: SparkError | None = None
        self._drop = drop
        self._released = released
        self._task: asyncio.Task[object] | None = None
        # What `end` calls where no task does the work.
        self.stop: Callable[[SparkError], None] | None = None

    def release(self) -> None:
        """`released` is called by the first one only, when the place is free already."""
        if self._drop(self) and self._released is not None:
            self._released()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def end(self, error: SparkError) -> None:
        """Stop the work under this lease with `error`. The first reason stands."""
        if self.ended is None:
            self.ended = error
            if self._task is not None:
                self._task.cancel()
            elif self.stop is not None:
                self.stop(error)

    def _reason(self) -> SparkError | None:
        return self.ended

    @contextmanager
    def endable(self) -> Iterator[None]:
        """The stretch of the current task that `end` interrupts, by raising its error there.

        Works like `asyncio.timeout`: a cancellation that came from somewhere else stays one.
        """
        if self.ended is not None:
            raise self.ended
        task = asyncio.current_task()
        self._task = task
        try:
            yield
        except asyncio.CancelledError:
            reason = self._reason()
            if reason is None or task is None or task.uncancel() > 0:
                raise
            raise reason from None
        finally:
            self._task = None


class InFlight:
    """All leases of the gateway. One per app, used from its event loop only."""

    def __init__(self) -> None:
        self._leases: dict[str, set[Lease]] = {}
        self._changed = asyncio.Event()
        self._closing = False

    def lease(
        self,
        model: str,
        request_id: str = "",
        *,
        upstream: str = "",
        released: Callable[[], None] | None = None,
    ) -> Lease:
        """Raises `Unavailable` once the app is shutting down. `upstream` is where the request
        goes; `released` is called once, when the lease ends, whoever ends it."""
        if self._closing:
            raise Unavailable("Spark Control is shutting down.", retry_after=5)
        lease = Lease(model, request_id, self._drop, upstream=upstream, released=released)
        held = self._leases.get(model)
        if held is None:
            self._leases[model] = {lease}
        else:
            held.add(lease)
        return lease

    def _drop(self, lease: Lease) -> bool:
        held = self._leases.get(lease.model)
        if held is None or lease not in held:
            return False
        held.discard(lease)
        if not held:
            del self._leases[lease.model]
        self._changed.set()
        return True

    def count(self, model: str | None = None) -> int:
        if model is not None:
            return len(self._leases.get(model, ()))
        return sum(map(len, self._leases.values()))

    def counts(self) -> dict[str, int]:
        """In flight by model; models without any are absent."""
        return {model: len(held) for model, held in self._leases.items()}

    def upstreams(self) -> dict[str, int]:
        """In flight by upstream; those without any are absent, and leases that name none."""
        return dict(
            Counter(
                lease.upstream for held in self._leases.values() for lease in held if lease.upstream
            )
        )

    async def drained(self, deadline: float, model: str | None = None) -> bool:
        """Wait at most `deadline` seconds until nothing is in flight (on `model`); True when so."""
        try:
            async with asyncio.timeout(deadline):
                while self.count(model):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return not self.count(model)
        return True

    def end(self, error: SparkError, model: str | None = None) -> int:
        """End everything in flight (on `model`) with `error`; how many there were."""
        held = [
            lease
            for name, leases in self._leases.items()
            for lease in leases
            if model is None or name == model
        ]
        for lease in held:
            lease.end(error)
        return len(held)

    async def close(self, grace: float) -> None:
        """Refuse new leases, let the held ones finish for `grace` seconds, then end the rest."""
        self._closing = True
        if not await self.drained(grace):
            self.end(Unavailable("Spark Control is shutting down.", retry_after=5))
            await self.drained(1.0)

"""The event bus. Slow readers get less, never lies: newest wins by key, then a resync.

Events carry keys and values, never HTML. `publish` never blocks and never fails; a subscriber
that falls behind keeps the newest value of each (kind, key), and when even the number of keys
outgrows its bound it is told to take a new snapshot.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

RESYNC = "resync"


@dataclass(frozen=True, slots=True)
class Event:
    """`kind` is one of swap, host, service, model, job, notice (or `resync`); `seq` only grows."""

    kind: str
    key: str
    data: Mapping[str, Any]
    seq: int


class Subscription:
    """An async iterator of events, closed by `close()` or by leaving its `with` block."""

    def __init__(self, bus: "EventBus", kinds: frozenset[str] | None, limit: int) -> None:
        self._bus = bus
        self._kinds = kinds
        self._limit = limit
        self._pending: OrderedDict[tuple[str, str], Event] = OrderedDict()
        self._wake = asyncio.Event()
        self._overflown = False
        self._closed = False

    def offer(self, event: Event) -> None:
        """Called by the bus only."""
        if self._closed or (self._kinds is not None and event.kind not in self._kinds):
            return
        key = (event.kind, event.key)
        self._pending.pop(key, None)
        self._pending[key] = event
        if len(self._pending) > self._limit:
            self._pending.clear()
            self._overflown = True
        self._wake.set()

    def close(self) -> None:
        self._closed = True
        self._bus.drop(self)
        self._wake.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while True:
            if self._overflown:
                self._overflown = False
                return Event(RESYNC, "", {}, self._bus.seq)
            if self._pending:
                return self._pending.popitem(last=False)[1]
            if self._closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()


class EventBus:
    """One per app. Not thread-safe: publish from the event loop."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self.seq = 0

    def publish(self, kind: str, key: str, data: Mapping[str, Any]) -> None:
        self.seq += 1
        event = Event(kind, key, data, self.seq)
        for subscription in tuple(self._subscriptions):
            subscription.offer(event)

    def subscribe(self, kinds: frozenset[str] | None = None, limit: int = 256) -> Subscription:
        subscription = Subscription(self, kinds, limit)
        self._subscriptions.add(subscription)
        return subscription

    def drop(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End every subscription, so that open event streams finish at shutdown."""
        for subscription in tuple(self._subscriptions):
            subscription.close()

    @property
    def subscribers(self) -> int:
        return len(self._subscriptions)

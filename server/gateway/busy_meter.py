"""Drives `busy`: looks at the newest samples of the fleet and at the passages, and counts.

Owns the counters and which passages still matter: those under way, and those that ended a moment
ago. Refuses to ask a host anything, and to make the fleet tell more than it tells anyway: it reads
what is in memory, once a second.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from server.base.clock import Clock
from server.fleet.model import HostStatus
from server.gateway.busy import LONGEST, Presence, Share, attribute, busy_seconds
from server.gateway.metrics import client_of
from server.gateway.model import Passage

LOOK_SECONDS = 1.0
ENDED = 4096
"""Ended passages that are kept at most, the newest; a sample that comes late misses the others."""

Spent = Callable[[str | None, str, float], None]
"""Key id (None: no key), service, GPU-busy seconds: the hook of the usage ledger."""


def own_host(passage: Passage) -> Sequence[str]:
    return (passage.host,) if passage.host else ()


class BusyMeter(Collector):
    """`under_way` is `Activity.under_way`; `ended` is an `Observer`. `start` and `close` it.

    `hosts` names all hosts that work on a passage: more than one for a model over several nodes.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        clock: Clock,
        *,
        statuses: Callable[[], Iterable[HostStatus]],
        under_way: Callable[[], Iterable[Passage]],
        hosts: Callable[[Passage], Sequence[str]] = own_host,
        spent: Spent = lambda _key, _service, _seconds: None,
    ) -> None:
        self._clock = clock
        self._statuses = statuses
        self._under_way = under_way
        self._hosts = hosts
        self._spent = spent
        self._ended: deque[tuple[Sequence[str], Presence]] = deque(maxlen=ENDED)
        self._guests: dict[int, tuple[Sequence[str], Presence]] = {}
        self._keys: dict[str, str | None] = {}
        self._seen: dict[str, datetime] = {}
        self.seconds: dict[tuple[str, str, str], float] = {}
        self._task: asyncio.Task[None] | None = None
        registry.register(self)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="gpu-busy meter")

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def ended(self, passage: Passage) -> None:
        """Keep who was here until the next sample of the host tells how busy it was."""
        if passage.admitted is not None and not passage.cached:
            self._ended.append((self._hosts(passage), self._presence(passage, passage.admitted)))

    @contextmanager
    def guest(self, hosts: Sequence[str], service: str, client: str) -> Iterator[None]:
        """Somebody who is in flight on `hosts` for a while and is no passage. Of no key."""
        one = Presence(service, client, self._clock.monotonic())
        self._guests[id(one)] = hosts, one
        try:
            yield
        finally:
            del self._guests[id(one)]
            self._ended.append((hosts, replace(one, end=self._clock.monotonic())))

    def _presence(self, passage: Passage, admitted: float) -> Presence:
        client = client_of(passage.caller)
        self._keys[client] = passage.caller.key_id
        return Presence(passage.upstream or passage.model, client, admitted, passage.ended)

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Take in every sample that came since the last look."""
        now, wall = self._clock.monotonic(), self._clock.now()
        seen: dict[str, datetime] = {}
        for status in self._statuses():
            if status.seen_at is None:
                continue
            seen[status.name] = status.seen_at
            before = self._seen.get(status.name)
            if before is None or status.seen_at <= before:
                continue
            end = now - (wall - status.seen_at).total_seconds()
            interval = (status.seen_at - before).total_seconds()
            if interval <= LONGEST:
                self._count(status, end - interval, end)
        self._seen = seen
        while self._ended and (self._ended[0][1].end or 0.0) < now - 2 * LONGEST:
            self._ended.popleft()

    def _count(self, status: HostStatus, start: float, end: float) -> None:
        sample = status.last
        if sample is None:
            return
        busy = busy_seconds([gpu.utilization for gpu in sample.gpus], end - start)
        if busy > 0:
            self._book(status.name, attribute(busy, start, end, self._present(status.name)))

    def _present(self, host: str) -> list[Presence]:
        running = [
            self._presence(one, one.admitted)
            for one in self._under_way()
            if one.admitted is not None and host in self._hosts(one)
        ]
        others = (*self._guests.values(), *self._ended)
        return running + [one for hosts, one in others if host in hosts]

    def _book(self, host: str, shares: Iterable[Share]) -> None:
        for share in shares:
            key = host, share.service, share.client
            self.seconds[key] = self.seconds.get(key, 0.0) + share.seconds
            if share.client in self._keys:
                self._spent(self._keys[share.client], share.service, share.seconds)

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "spark_gpu_busy_seconds",
            "Seconds a GPU worked, shared among who was in flight on its host",
            labels=["host", "service", "client"],
        )
        for labels, seconds in self.seconds.items():
            family.add_metric(labels, seconds)
        yield family

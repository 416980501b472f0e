"""What is counted of requests, swaps, hosts and services, on the registry of the app.

Owns names and labels. What the fleet knows is read when somebody asks for it, so that idle costs
nothing; only the outcomes of swaps are counted as they happen.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from server.base.bus import EventBus
from server.base.clock import Clock
from server.base.health import Health
from server.fleet.model import HostStatus
from server.gateway.tally import Tally
from server.swap.model import FINAL
from server.web.parts import Fleet, Swaps

_SECONDS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"})
_OUTCOMES = frozenset(state.value for state in FINAL)
_REMEMBERED = 64


class RequestMetrics(Collector):
    """All HTTP requests, of the API and the gateway: plain sums, made into families when somebody
    asks for them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests: dict[tuple[str, str, int], int] = {}
        self._seconds: dict[str, Tally] = {}
        self._now = 0
        registry.register(self)

    def enter(self) -> None:
        """A request came; `leave` when it is over."""
        self._now += 1

    def leave(self) -> None:
        self._now -= 1

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        key = (method if method in _METHODS else "other", route, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        tally = self._seconds.get(route)
        if tally is None:
            tally = self._seconds[route] = Tally(_SECONDS)
        tally.observe(seconds)

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "spark_http_requests", "Answered requests", labels=["method", "route", "status"]
        )
        for (method, route, status), count in self._requests.items():
            requests.add_metric([method, route, str(status)], count)
        yield requests
        seconds = HistogramMetricFamily(
            "spark_http_request_seconds",
            "Duration of requests to the end of the answer",
            labels=["route"],
        )
        for route, tally in self._seconds.items():
            seconds.add_metric([route], tally.cumulated(), tally.total)
        yield seconds
        now = GaugeMetricFamily("spark_http_requests_in_flight", "Requests being answered")
        now.add_metric([], self._now)
        yield now


class SwapMetrics:
    """Counts the ends of swaps as the bus tells them: `start()` in a loop, `close()` at the end."""

    def __init__(self, registry: CollectorRegistry, bus: EventBus) -> None:
        self._bus = bus
        self._ended = Counter(
            "spark_swaps", "Ended swaps by outcome", ["outcome"], registry=registry
        )
        for outcome in sorted(_OUTCOMES):
            self._ended.labels(outcome)
        self._seen: dict[str, None] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._listen(), name="swap metrics")

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _listen(self) -> None:
        with self._bus.subscribe(frozenset({"swap"})) as events:
            async for event in events:
                self.note(event.key, str(event.data.get("state", "")))

    def note(self, swap_id: str, state: str) -> None:
        """The same end told twice counts once."""
        if state not in _OUTCOMES or swap_id in self._seen:
            return
        self._seen[swap_id] = None
        while len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        self._ended.labels(state).inc()


class FleetCollector(Collector):
    """Hosts, services and what is served, as they are at the moment of asking.

    An unknown figure has no sample at all: it is never 0.
    """

    def __init__(self, fleet: Fleet, swaps: Swaps, clock: Clock) -> None:
        self._fleet = fleet
        self._swaps = swaps
        self._clock = clock

    def describe(self) -> Iterable[Metric]:
        """Nothing is collected at registration, when the fleet may not have started."""
        return ()

    def collect(self) -> Iterator[Metric]:
        statuses = self._fleet.statuses()
        yield self._health(
            "spark_host_health", "host", [(s.name, s.verdict.health) for s in statuses]
        )
        services = self._fleet.services()
        yield self._health(
            "spark_service_health", "service", [(s.name, s.verdict.health) for s in services]
        )
        yield self._sample_age(statuses)
        yield from _figures(statuses)
        serving = GaugeMetricFamily("spark_serving", "The models being served", labels=["model"])
        for served in self._swaps.layout():
            serving.add_metric([served.model], 1)
        yield serving
        queued = GaugeMetricFamily("spark_swaps_queued", "Swaps that wait")
        queued.add_metric([], len(self._swaps.queue()))
        yield queued

    def _health(self, name: str, label: str, known: list[tuple[str, Health]]) -> Metric:
        family = GaugeMetricFamily(
            name, f"1 for the state a {label} is in: up, down or unknown", labels=[label, "state"]
        )
        for one, health in known:
            for state in Health:
                family.add_metric([one, state.value], 1 if health is state else 0)
        return family

    def _sample_age(self, statuses: Iterable[HostStatus]) -> Metric:
        family = GaugeMetricFamily(
            "spark_host_sample_age_seconds", "Age of the newest sample", labels=["host"]
        )
        now = self._clock.now()
        for status in statuses:
            if status.seen_at is not None:
                family.add_metric([status.name], (now - status.seen_at).total_seconds())
        return family


def _figures(statuses: Iterable[HostStatus]) -> Iterator[Metric]:
    """The figures of the newest samples that alerts are made of."""
    available = GaugeMetricFamily(
        "spark_host_memory_available_bytes", "MemAvailable", labels=["host"]
    )
    total = GaugeMetricFamily("spark_host_memory_total_bytes", "MemTotal", labels=["host"])
    busy = GaugeMetricFamily("spark_gpu_utilization_percent", "GPU busy", labels=["host", "gpu"])
    hot = GaugeMetricFamily("spark_gpu_temperature_celsius", "GPU", labels=["host", "gpu"])
    power = GaugeMetricFamily("spark_gpu_power_watts", "GPU draw", labels=["host", "gpu"])
    disk = GaugeMetricFamily(
        "spark_host_disk_available_bytes", "Free to users", labels=["host", "mount"]
    )
    for status in statuses:
        if status.last is None or status.verdict.health is not Health.UP:
            continue
        name, sample = status.name, status.last
        _add(available, [name], sample.memory.available)
        _add(total, [name], sample.memory.total)
        for index, gpu in enumerate(sample.gpus):
            _add(busy, [name, str(index)], gpu.utilization)
            _add(hot, [name, str(index)], gpu.temperature)
            _add(power, [name, str(index)], gpu.power)
        for one in sample.disks:
            _add(disk, [name, one.mount], one.available)
    yield from (available, total, busy, hot, power, disk)


def _add(family: GaugeMetricFamily, labels: list[str], value: float | None) -> None:
    if value is not None:
        family.add_metric(labels, value)

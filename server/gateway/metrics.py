"""What is counted of the gateway. Label children are cached: they are half the cost of a metric."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import Message, Send

_FIRST_BYTE = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


class Measure:
    """One call being measured."""

    def __init__(
        self,
        clock: Callable[[], float],
        observe: Callable[[float], None],
        retried: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._began = clock()
        self._observe = observe
        self._seen = False
        self.retried = retried

    def first_byte(self, send: Send) -> Send:
        """`send`, noting when the first byte of the body goes out."""

        async def measured(message: Message) -> None:
            if not self._seen and message["type"] == "http.response.body":
                self._seen = True
                self._observe(self._clock() - self._began)
            await send(message)

        return measured


class GatewayMetrics:
    """Registered once on the registry of the app. `clock` is monotonic seconds."""

    def __init__(
        self, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._inflight = Gauge(
            "spark_gateway_in_flight",
            "Requests being relayed to an engine",
            ["model"],
            registry=registry,
        )
        self._first_byte = Histogram(
            "spark_gateway_first_byte_seconds",
            "From admission to the first byte of the answer",
            ["model", "route"],
            buckets=_FIRST_BYTE,
            registry=registry,
        )
        self._retries = Counter(
            "spark_gateway_retries",
            "Requests sent again because a kept-alive connection had gone stale",
            ["model"],
            registry=registry,
        )
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[tuple[str, str], Histogram] = {}

    @contextmanager
    def call(self, model: str, route: str) -> Iterator[Measure]:
        """Count one call in flight for as long as the block lasts."""
        gauge = self._gauges.get(model)
        if gauge is None:
            gauge = self._gauges[model] = self._inflight.labels(model)
        histogram = self._histograms.get((model, route))
        if histogram is None:
            histogram = self._histograms[model, route] = self._first_byte.labels(model, route)
        gauge.inc()
        try:
            yield Measure(self._clock, histogram.observe, self._retries.labels(model).inc)
        finally:
            gauge.dec()

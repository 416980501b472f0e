"""What is counted of the gateway's requests, from their passages, for Prometheus.

Owns the names, the labels and their bounds: a model is an id of the catalog or a service's name,
a client is the name of a key, and whatever is neither is `other`, so that no caller can make the
number of rows grow. A passage costs one look-up and a few additions; families are made when they
are asked for. Refuses to keep single requests; that is `activity`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from server.gateway.model import ANYONE, Caller, Passage
from server.gateway.tally import Tally

OTHER = "other"
ROWS = 2000
"""Rows at most, whatever the catalog holds; what comes after goes to `other`."""

_WAITS = (0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0)
_CONNECTS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_ANSWERS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
_TOTALS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
_RATES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 3000.0)
_LAGS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_SIZES = (1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9)

# One row of histograms per model and route, in this order: name, what it is, bounds.
_HISTOGRAMS = (
    ("queue_seconds", "Wait for a turn or for the model, before it was let in", _WAITS),
    ("connect_seconds", "From admission to the head of the upstream's answer", _CONNECTS),
    ("first_byte_seconds", "From admission to the first byte of the answer", _ANSWERS),
    ("first_token_seconds", "From admission to the first token of the answer", _ANSWERS),
    ("request_seconds", "From arrival to the end of the answer, the wait included", _TOTALS),
    ("tokens_per_second", "Completion tokens by the time since the first one", _RATES),
    ("request_bytes", "Body of a request", _SIZES),
    ("response_bytes", "Body of an answer", _SIZES),
)


class _Row:
    """What is counted of one model and route."""

    __slots__ = (
        "audio",
        "bytes_in",
        "bytes_out",
        "cached",
        "completion",
        "connect",
        "first_byte",
        "first_token",
        "kept",
        "prompt",
        "rate",
        "total",
        "wait",
    )

    def __init__(self) -> None:
        self.wait, self.connect = Tally(_WAITS), Tally(_CONNECTS)
        self.first_byte, self.first_token = Tally(_ANSWERS), Tally(_ANSWERS)
        self.total, self.rate = Tally(_TOTALS), Tally(_RATES)
        self.bytes_in, self.bytes_out = Tally(_SIZES), Tally(_SIZES)
        self.prompt = self.completion = self.cached = self.kept = 0
        self.audio = 0.0

    def tallies(self) -> tuple[Tally, ...]:
        """In the order of `_HISTOGRAMS`."""
        return (
            self.wait,
            self.connect,
            self.first_byte,
            self.first_token,
            self.total,
            self.rate,
            self.bytes_in,
            self.bytes_out,
        )

    def add(self, passage: Passage) -> None:
        admitted, ended = passage.admitted, passage.ended
        if admitted is not None:
            self.wait.observe(admitted - passage.arrived)
            if passage.opened is not None:
                self.connect.observe(passage.opened - admitted)
            if passage.first_byte is not None:
                self.first_byte.observe(passage.first_byte - admitted)
            if passage.first_token is not None:
                self.first_token.observe(passage.first_token - admitted)
        if ended is not None:
            self.total.observe(ended - passage.arrived)
        self.bytes_in.observe(passage.bytes_in)
        self.bytes_out.observe(passage.bytes_out)
        self.kept += passage.cached
        used = passage.used
        self.prompt += used.prompt_tokens or 0
        self.completion += used.completion_tokens or 0
        self.cached += used.cached_tokens or 0
        self.audio += used.audio_seconds or 0.0
        rate = tokens_per_second(passage)
        if rate is not None:
            self.rate.observe(rate)


def tokens_per_second(passage: Passage) -> float | None:
    """How fast the tokens came once they came; None for fewer than two, or without times."""
    tokens, first, ended = passage.used.completion_tokens, passage.first_token, passage.ended
    if not tokens or tokens < 2 or first is None or ended is None or ended <= first:
        return None
    return (tokens - 1) / (ended - first)


class GatewayMetrics(Collector):
    """An `Observer`: call it with a passage at its end.

    `known` says whether a name is a model's or a service's. `under_way` gives the passages that
    have not ended (`Activity.under_way`), `breakers` the state of each upstream's circuit.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        known: Callable[[str], bool] = lambda _name: True,
        under_way: Callable[[], Iterable[Passage]] = tuple,
        breakers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._known = known
        self._under_way = under_way
        self._breakers = breakers
        self._rows: dict[tuple[str, str], _Row] = {}
        self._names: dict[tuple[str, str], tuple[str, str]] = {}
        self._requests: dict[tuple[str, str, str, int], int] = {}
        self._retries: dict[str, int] = {}
        self._clients: dict[str, int] = {}
        self._lag = Tally(_LAGS)
        registry.register(self)

    def __call__(self, passage: Passage) -> None:
        # A service answers to any name; what it is called here says more, and is one name.
        model = (
            passage.model if not passage.upstream or "@" in passage.upstream else passage.upstream
        )
        asked = model, passage.route
        name = self._names.get(asked)
        if name is None:
            name = self._name(asked)
        self._rows[name].add(passage)
        key = (*name, passage.upstream, passage.status // 100)
        if key not in self._requests and len(self._requests) >= 4 * ROWS:
            key = (*name, OTHER, passage.status // 100)
        self._requests[key] = self._requests.get(key, 0) + 1
        if passage.attempts > 1:
            model = name[0]
            self._retries[model] = self._retries.get(model, 0) + passage.attempts - 1
        client = client_of(passage.caller)
        if client in self._clients or len(self._clients) < ROWS:
            self._clients[client] = self._clients.get(client, 0) + 1

    def _name(self, asked: tuple[str, str]) -> tuple[str, str]:
        """The labels of a model and route. Only names that are known are remembered."""
        model, route = asked
        good = bool(model) and self._known(model) and len(self._rows) < ROWS
        name = (model if good else OTHER, route)
        if good:
            self._names[asked] = name
        if name not in self._rows:
            self._rows[name] = _Row()
        return name

    def lag(self, seconds: float) -> None:
        """How late the event loop was (`base.lag`): what every stream waited."""
        self._lag.observe(seconds)

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        rows = [(labels, row, row.tallies()) for labels, row in self._rows.items()]
        for index, (name, about, _) in enumerate(_HISTOGRAMS):
            family = HistogramMetricFamily(
                f"spark_gateway_{name}", about, labels=["model", "route"]
            )
            for labels, _row, tallies in rows:
                tally = tallies[index]
                family.add_metric(labels, tally.cumulated(), tally.total)
            yield family
        yield from self._counted()
        yield from self._now()
        lag = HistogramMetricFamily("spark_loop_lag_seconds", "How late the event loop ran")
        lag.add_metric([], self._lag.cumulated(), self._lag.total)
        yield lag

    def _counted(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "spark_gateway_requests",
            "Ended requests",
            labels=["model", "route", "upstream", "status"],
        )
        for (model, route, upstream, hundred), count in self._requests.items():
            requests.add_metric([model, route, upstream, f"{hundred}xx"], count)
        retries = CounterMetricFamily(
            "spark_gateway_retries", "Requests sent again before the first byte", labels=["model"]
        )
        for model, count in self._retries.items():
            retries.add_metric([model], count)
        clients = CounterMetricFamily(
            "spark_gateway_client_requests", "Ended requests by key", labels=["client"]
        )
        for client, count in self._clients.items():
            clients.add_metric([client], count)
        yield from (requests, retries, clients)
        yield from self._used()

    def _used(self) -> Iterator[Metric]:
        labels = ["model", "route"]
        tokens = CounterMetricFamily(
            "spark_gateway_tokens",
            "Tokens of prompts and answers; `cached` are those of prompts that were reused",
            labels=[*labels, "kind"],
        )
        audio = CounterMetricFamily("spark_gateway_audio_seconds", "Audio heard", labels=labels)
        hits = CounterMetricFamily(
            "spark_gateway_cache_hits", "Answers that were kept", labels=labels
        )
        for name, row in self._rows.items():
            for kind in ("prompt", "completion", "cached"):
                tokens.add_metric([*name, kind], getattr(row, kind))
            audio.add_metric(name, row.audio)
            hits.add_metric(name, row.kept)
        yield from (tokens, audio, hits)

    def _now(self) -> Iterator[Metric]:
        running: dict[tuple[str, str], int] = {}
        waiting: dict[str, int] = {}
        for passage in self._under_way():
            model = passage.model if passage.model and self._known(passage.model) else OTHER
            if passage.admitted is None:
                waiting[model] = waiting.get(model, 0) + 1
            else:
                running[model, passage.upstream] = running.get((model, passage.upstream), 0) + 1
        family = GaugeMetricFamily(
            "spark_gateway_in_flight", "Requests being relayed", labels=["model", "upstream"]
        )
        for labels, count in running.items():
            family.add_metric(labels, count)
        yield family
        family = GaugeMetricFamily(
            "spark_gateway_waiting", "Requests that are not let in yet", labels=["model"]
        )
        for model, count in waiting.items():
            family.add_metric([model], count)
        yield family
        family = GaugeMetricFamily(
            "spark_gateway_breaker",
            "1 for the state that the circuit of an upstream is in",
            labels=["upstream", "state"],
        )
        for upstream, state in self._breakers().items():
            family.add_metric([upstream, state], 1)
        yield family


def client_of(caller: Caller) -> str:
    """The label of a caller: the name of its key, `anyone` without one."""
    return caller.name if caller.key_id is not None else ANYONE.name

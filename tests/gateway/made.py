"""Values and the gateway that the tests of this room are made of."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, cast

import aiohttp
from prometheus_client import CollectorRegistry

from server.base.bus import EventBus
from server.base.clock import Clock, SystemClock
from server.base.health import Verdict
from server.base.lines import Lines
from server.catalog.model import Catalog, Model, Source
from server.config.gateway import Gateway as GatewaySettings
from server.config.model import Host, Service, Settings
from server.gateway.activity import Activity
from server.gateway.admission.service import Admission
from server.gateway.client.make import make_client
from server.gateway.demand.service import Demand, Swaps
from server.gateway.dispatch import Dispatcher
from server.gateway.front import Front
from server.gateway.inflight import InFlight
from server.gateway.intake.held import Held
from server.gateway.lane.service import make_lane
from server.gateway.listing import listing
from server.gateway.metrics import GatewayMetrics
from server.gateway.model import Gatekeeper, Observer, Passage, UpstreamClient
from server.gateway.operations import SEGMENTS
from server.gateway.relay import MakeTap, no_tap
from server.gateway.router import GatewayRouter
from server.gateway.service import Gateway
from server.gateway.way import Crew
from server.swap.events import Placement
from server.swap.model import Serving, SwapRecord
from server.web.guard import Guard, from_browser
from server.web.metrics import RequestMetrics
from server.web.observe import Observed
from tests.gateway.running import ScriptedEngine, serve
from tests.swap.made import T0, deployment


def model(model_id: str, **fields: Any) -> Model:
    return Model(model_id, model_id.title(), Source(hf=f"Acme/{model_id}"), **fields)


def catalog(*models: Model) -> Catalog:
    return Catalog(MappingProxyType({one.id: one for one in models}))


def serving(name: str = "tiny", base_url: str = "http://127.0.0.1:1", **fields: Any) -> Serving:
    names = fields.pop("names", (name,))
    return Serving(name, names, base_url, T0, deployment(name), **fields)


def service(name: str, kind: str, base_url: str, **fields: Any) -> Service:
    """A service that listens at `base_url`."""
    port = int(base_url.rsplit(":", 1)[1])
    return Service.model_validate(
        {"name": name, "kind": kind, "host": "spark-1", "port": port} | fields
    )


CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}]}


SETTINGS: dict[str, Any] = {"max_upload_mb": 1, "auto_swap": False}
"""Asking for a model that is not loaded is refused at once: nobody is here to load it."""


@dataclass
class Running:
    """A gateway that listens at `url`, and the state it looks at, which a test may change."""

    url: str = ""
    catalog: Catalog = field(
        default_factory=lambda: catalog(model("tiny", aliases=("small",)), model("large"))
    )
    serving: Serving | None = None
    swaps: Sequence[SwapRecord] = ()
    inflight: InFlight = field(default_factory=InFlight)
    held: Held = field(default_factory=Held)
    upstream: UpstreamClient = field(default_factory=lambda: make_client("pooled"))
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    settings: GatewaySettings = field(default_factory=lambda: GatewaySettings(**SETTINGS))
    services: tuple[Service, ...] = ()
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    activity: Activity = field(default_factory=lambda: Activity(time.monotonic))
    gatekeeper: Gatekeeper | None = None
    tap: MakeTap = no_tap
    ended: list[Observer] = field(default_factory=list)
    beginnings: "asyncio.Queue[Passage]" = field(default_factory=asyncio.Queue)
    passages: "asyncio.Queue[Passage]" = field(default_factory=asyncio.Queue)
    begun: int = 0
    fronts: dict[str, Front] = field(default_factory=dict)
    crew: Crew = field(init=False)
    session: aiohttp.ClientSession = field(init=False)

    def serve(self, base_url: str, **fields: Any) -> None:
        self.serving = serving(base_url=base_url, **fields)

    def drain(self) -> None:
        assert self.serving is not None
        self.serving = replace(self.serving, accepting=False)

    def layout(self) -> tuple[Serving, ...]:
        return (self.serving,) if self.serving else ()

    def current(self) -> SwapRecord | None:
        return self.swaps[0] if self.swaps else None

    def queue(self) -> tuple[SwapRecord, ...]:
        return tuple(self.swaps[1:])

    async def place(self, _model: str) -> Placement:
        raise AssertionError("nobody acts here")

    def whole_settings(self) -> Settings:
        hosts = tuple(
            Host(name=name, address="127.0.0.1", user="u")
            for name in dict.fromkeys(service.host for service in self.services)
        )
        return Settings.model_construct(gateway=self.settings, services=self.services, hosts=hosts)

    def router(self, clock: Clock) -> GatewayRouter:
        """Over what the test shows as served; nobody acts, so nothing is loaded."""
        admission = Admission(inflight=self.inflight, settings=lambda: self.settings, clock=clock)
        demand = Demand(
            swaps=cast("Swaps", self),
            admission=admission,
            catalog=lambda: self.catalog,
            settings=self.whole_settings,
            in_flight=self.inflight.counts,
            verdicts=lambda: self.verdicts,
            bus=EventBus(),
            clock=clock,
        )
        return GatewayRouter(demand=demand, admission=admission, settings=self.whole_settings)

    async def began(self, count: int) -> None:
        """Wait until so many requests have come and are let in or wait."""
        while self.begun < count:
            await self.beginnings.get()
            self.begun += 1

    def post(self, path: str = "/v1/chat/completions", body: Any = None, **options: Any) -> Any:
        return self.session.post(self.url + path, json=CHAT if body is None else body, **options)


async def _nothing(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@asynccontextmanager
async def gateway(**options: Any) -> AsyncIterator[Running]:
    """The gateway on a real socket, in the layers that it has in the product."""
    limits = {key: options.pop(key) for key in set(options) & GatewaySettings.model_fields.keys()}
    running = Running(**options)
    if limits:
        running.settings = GatewaySettings(**(SETTINGS | limits))
    clock = SystemClock()
    app = Gateway(
        router=running.router(clock),
        upstream=running.upstream,
        settings=lambda: running.settings,
        held=running.held,
        fronts=running.fronts,
        entries=lambda: listing(
            running.catalog,
            running.layout(),
            running.swaps,
            T0,
            services=running.services,
            verdicts=running.verdicts,
        ),
        began=[running.activity.began, running.beginnings.put_nowait],
        gatekeeper=running.gatekeeper,
        tap=running.tap,
        ended=[
            GatewayMetrics(running.registry),
            running.activity.ended,
            *running.ended,
            running.passages.put_nowait,
        ],
    )
    running.crew = app.crew
    edge = Observed(
        Guard(Dispatcher(_nothing, dict.fromkeys(SEGMENTS, app)), allowed_hosts=tuple),
        clock=clock,
        metrics=RequestMetrics(running.registry),
        log=Lines("web"),
    )
    lane = make_lane(app.crew, running.upstream, edge, from_browser)
    async with serve(edge, lane) as running.url, aiohttp.ClientSession() as running.session:
        try:
            yield running
        finally:
            await running.upstream.close()


@asynccontextmanager
async def served(engine: ScriptedEngine, **options: Any) -> AsyncIterator[Running]:
    """A gateway in front of `engine`, which serves the model `tiny`."""
    async with serve(engine) as base_url, gateway(**options) as running:
        running.serve(base_url)
        yield running

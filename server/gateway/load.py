"""The parts that answer questions of load, made and kept together: activity, metrics, GPU-busy
seconds, loop lag, sweeps and the cache.

Owns the order in which they hear of a passage and in which they start and end. Decides nothing.
"""

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from server.base.bus import EventBus
from server.base.clock import Clock
from server.base.ids import new_id
from server.base.lag import LoopLag
from server.config.model import Settings
from server.fleet.model import HostStatus, ServiceStatus
from server.gateway.activity import Activity
from server.gateway.admission.service import Admission
from server.gateway.busy_meter import BusyMeter, Spent
from server.gateway.cache.service import DiskCache
from server.gateway.inflight import InFlight
from server.gateway.metrics import GatewayMetrics
from server.gateway.model import Observer, Route, UpstreamClient
from server.gateway.sweep.ground import GatewayGround, finder
from server.gateway.sweep.ledger import SweepLedger
from server.gateway.sweep.service import Sweeps
from server.store.database import Database
from server.swap.model import Serving

SWEEP = "sweep"
"""The client under which the GPU time of a sweep is counted."""


@dataclass(frozen=True, slots=True)
class Load:
    """`began` and `ended` are what the gateway tells of passages."""

    activity: Activity
    metrics: GatewayMetrics
    busy: BusyMeter
    lag: LoopLag
    sweeps: Sweeps
    cache: DiskCache

    @property
    def began(self) -> tuple[Observer, ...]:
        return (self.activity.began,)

    @property
    def ended(self) -> tuple[Observer, ...]:
        return (self.metrics, self.busy.ended, self.activity.ended)

    async def start(self) -> None:
        await self.cache.start()
        await self.busy.start()
        await self.lag.start()

    async def close(self) -> None:
        """The sweep first: it saves how far it came, so the database must still be open."""
        await self.sweeps.close()
        await self.lag.close()
        await self.busy.close()


def make_load(
    *,
    registry: CollectorRegistry,
    bus: EventBus,
    clock: Clock,
    database: Database,
    settings: Callable[[], Settings],
    statuses: Callable[[], Sequence[HostStatus]],
    services: Callable[[], Sequence[ServiceStatus]],
    layout: Callable[[], Sequence[Serving]],
    known: Callable[[str], bool],
    inflight: InFlight,
    admission: Admission,
    client: UpstreamClient,
    folders: tuple[Path, Path],
    spent: Spent = lambda _key, _service, _seconds: None,
) -> Load:
    """`known` says whether a name is a model's or a service's. `folders`: the cache's, and where
    uploads lie on their way. `spent`: see `BusyMeter`."""
    activity = Activity(clock.monotonic)
    find = finder(settings, layout, lambda: {one.name: one.verdict for one in services()})
    metrics = GatewayMetrics(
        registry,
        known=known,
        under_way=activity.under_way,
        breakers=lambda: {one.name: one.state for one in admission.snapshot().upstreams},
    )
    busy = BusyMeter(
        registry,
        clock,
        statuses=statuses,
        under_way=activity.under_way,
        hosts=lambda passage: _hosts(passage.host, passage.model, layout()),
        spent=spent,
    )
    sweeps = Sweeps(
        find=find,
        ground=lambda name: GatewayGround(
            name,
            find=find,
            door=admission,
            activity=activity,
            inflight=inflight,
            monotonic=clock.monotonic,
            since=clock.monotonic(),
            present=lambda upstream: busy.guest(
                _hosts(upstream.host, upstream.name.rpartition("@")[0], layout()),
                upstream.name,
                SWEEP,
            ),
        ),
        client=client,
        ledger=SweepLedger(database),
        bus=bus,
        clock=clock,
        new_id=lambda now: new_id("sweep", now),
        seed=lambda: secrets.randbits(64),
    )
    cache = DiskCache(
        *folders,
        settings=lambda: settings().gateway,
        identity=lambda route: _identity(route, settings(), layout()),
        now=time.time,
    )
    return Load(activity, metrics, busy, LoopLag(metrics.lag, clock.monotonic), sweeps, cache)


def _hosts(host: str, model: str, layout: Sequence[Serving]) -> Sequence[str]:
    """A model over several nodes works on all of them."""
    if not host:
        return ()
    for serving in layout:
        if serving.model == model:
            nodes = (node.host for node in serving.deployment.spec.nodes)
            return tuple(dict.fromkeys((host, *nodes)))
    return (host,)


def _identity(route: Route, settings: Settings, layout: Sequence[Serving]) -> str:
    """Who may answer a route: services by address and model, engines by what they were started
    with. Another set of answerers is another answer."""
    services = [
        f"{one.name} {one.host}:{one.port}{one.path_prefix or ''} {one.model_sent or ''}"
        for one in settings.services
    ]
    engines = [
        f"{one.model} {one.base_url} {one.deployment.spec.fingerprint}"
        for one in layout
        if one.model == route.model
    ]
    return "\n".join([*sorted(services), *sorted(engines)])

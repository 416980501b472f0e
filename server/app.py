"""The composition root: every part is made here, once, from settings, and handed to who needs it.

`build` makes the parts without touching the network, `App.start` begins the work, `App.close` ends
it in the reverse order. There are no module-level instances anywhere.
"""

import asyncio
import random
import secrets
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from server.audio import merging
from server.audio.front.desk import Desk
from server.audio.front.dual import PATH as LABEL_MERGE
from server.audio.front.dual import DualFront
from server.audio.front.hearing import TASKS, Hearing
from server.audio.front.inner import Seen
from server.audio.front.voices import VOICES, Voices
from server.audio.scrub import service as scrubbing
from server.audio.sound.ear import Ear
from server.audio.stream.service import SOCKETS, Streams
from server.auth.ledger import SessionLedger
from server.auth.local import BYTES as LOCAL_BYTES
from server.auth.local import LocalToken
from server.auth.password import Password
from server.auth.service import Auth
from server.base.bus import EventBus
from server.base.clock import Clock, SystemClock
from server.base.errors import NotFound, SparkError, Unavailable
from server.base.finding import Finding
from server.base.ids import new_id
from server.base.lines import Lines
from server.catalog.discovery import discover
from server.catalog.model import Catalog, Model
from server.catalog.service import CatalogService
from server.config.model import Host, Settings
from server.config.paths import DataDir
from server.config.store import SettingsStore
from server.fleet import doctor
from server.fleet.acts import Acts
from server.fleet.examination import Examinations, Tell
from server.fleet.service import Fleet
from server.gateway.admission.probe import Probing
from server.gateway.admission.service import Admission
from server.gateway.client.here import OrHere
from server.gateway.client.make import make_client
from server.gateway.demand.service import Demand
from server.gateway.inflight import InFlight
from server.gateway.keys.gate import Gate
from server.gateway.keys.ledger import KeyLedger
from server.gateway.keys.service import Keys
from server.gateway.lane.service import make_lane
from server.gateway.limits.limiter import Limiter
from server.gateway.listing import listing
from server.gateway.load import make_load
from server.gateway.operations import SEGMENTS
from server.gateway.router import GatewayRouter
from server.gateway.service import Gateway
from server.gateway.usage.ledger import UsageLedger
from server.gateway.usage.model import day_of
from server.gateway.usage.service import Usage
from server.gateway.usage.tap import make_tap
from server.launch.plan import build_spec, groups
from server.launch.service import Engines
from server.running import App
from server.ssh.hostkeys import HostKeys
from server.ssh.identity import ensure_identity
from server.ssh.model import Target
from server.ssh.pool import SshPool
from server.store.database import Database
from server.swap.ledger import Ledger
from server.swap.live import LiveGround
from server.swap.look import Look
from server.swap.rehearsals import Rehearsals
from server.swap.service import SwapService
from server.upkeep.backup.service import BackupService
from server.web.app import create_api, create_edge
from server.web.container_logs import ContainerLogs
from server.web.discovery import DiscoveryCache
from server.web.guard import from_browser
from server.web.lock import KeyHolders
from server.web.metrics import FleetCollector, SwapMetrics
from server.web.observe import Observed
from server.web.pages.attempt import routes as attempt
from server.web.pages.notice import NoticeBoard
from server.web.pages.routes import make_site, routes
from server.web.pages.site import Site
from server.web.parts import Parts
from server.web.readiness import checks

ENGINE_HTTP_LIMITS = httpx.Limits(max_connections=64, max_keepalive_connections=8)


def bundled(name: str) -> Path:
    """A file or folder that ships with the program: beside the source, or inside the wheel."""
    here = Path(__file__).parent
    packed = here / "_bundled" / name
    return packed if packed.exists() else here.parent / name


def build(data: DataDir, environ: Mapping[str, str], clock: Clock | None = None) -> App:
    """Everything, wired and not yet started. Raises `ConfigError`, `Unavailable` and the like."""
    clock = clock or SystemClock()
    bus = EventBus()
    store = SettingsStore(data.path, environ)
    settings = lambda: store.current  # noqa: E731 - handed to a dozen parts
    public_key = ensure_identity(data.ssh_key)
    hostkeys = HostKeys(data.known_hosts)
    pool = SshPool(
        lambda host, user: _target(store.current, host, user),
        key_path=data.ssh_key,
        hostkeys=hostkeys,
        clock=clock,
        rng=random.Random(secrets.randbits(64)),  # noqa: S311 - jitter, not a secret
    )
    catalog = CatalogService(
        bundled("models.yaml"), data.overrides, lambda: store.current.engine.model_roots
    )
    fleet = Fleet(settings, pool, bus, clock)
    http = httpx.AsyncClient(
        follow_redirects=False, trust_env=False, timeout=10.0, limits=ENGINE_HTTP_LIMITS
    )
    inflight = InFlight()
    database = Database(data.database_url)
    engines = Engines(pool, clock)
    look = Look(
        engines=engines,
        shells=pool,
        fleet=fleet,
        catalog=catalog.snapshot,
        engine=lambda: store.current.engine,
        ports=lambda host: frozenset(s.port for s in store.current.services if s.host == host),
    )
    ground = LiveGround(
        engines=engines,
        look=look,
        fleet=fleet,
        settings=settings,
        drain=lambda seconds, models: _drain(inflight, seconds, models),
        http=http,
        clock=clock,
    )
    swaps = SwapService(
        ground=ground,
        ledger=Ledger(database),
        catalog=catalog.snapshot,
        settings=settings,
        build_spec=build_spec,
        bus=bus,
        clock=clock,
        new_id=lambda now: new_id("swap", now),
        weight_bytes=look.weight_bytes,
        groups=groups,
        pinned=lambda: _pinned(catalog.snapshot()),
        use=lambda: demand.use(),  # noqa: PLW0108 - it is made below
    )
    admission = Admission(inflight=inflight, settings=lambda: store.current.gateway, clock=clock)
    demand = Demand(
        swaps=swaps,
        admission=admission,
        catalog=lambda: catalog.latest,
        settings=settings,
        in_flight=inflight.counts,
        verdicts=lambda: {one.name: one.verdict for one in fleet.services()},
        bus=bus,
        clock=clock,
    )
    admission.on_change = demand.poke
    swaps.changed.append(demand.changed)
    keys = Keys(KeyLedger(database), clock)
    gate = Gate(
        keys,
        Limiter(),
        clock,
        require_key=lambda: store.current.gateway.require_key,
        canonical=lambda name: _canonical(catalog, name),
        anonymous=lambda: store.current.anonymous,
    )
    known = partial(_known, catalog, store)
    usage = Usage(UsageLedger(database), clock, known=known)
    auth = Auth(Password(data.password), SessionLedger(database), clock, secrets.token_bytes)
    backups = BackupService(
        data=data,
        database=database,
        settings=lambda: store.current.backup,
        environ=environ,
        bus=bus,
        clock=clock,
    )
    registry = CollectorRegistry()
    registry.register(FleetCollector(fleet, swaps, clock))
    discovery = DiscoveryCache(
        scan=lambda host: _scan(pool, store, host),
        hosts=lambda: [host.name for host in store.current.hosts],
        bus=bus,
        clock=clock,
    )
    logs = ContainerLogs(pool, clock)
    acts = Acts(pool, bus, clock)
    rehearsals = Rehearsals(swaps, bus, clock)
    started = clock.now()
    client = make_client(store.current.gateway.upstream_client)
    upstream = OrHere(client, {"scrub": scrubbing.answer, "label-merge": merging.answer})
    load = make_load(
        registry=registry,
        bus=bus,
        clock=clock,
        database=database,
        settings=settings,
        statuses=fleet.statuses,
        services=fleet.services,
        layout=swaps.layout,
        known=known,
        inflight=inflight,
        admission=admission,
        client=upstream,
        folders=(data.cache, data.tmp),
        spent=lambda key, service, seconds: usage.add_gpu_seconds(
            key, service.split("@", 1)[0], day_of(clock.now()), seconds
        ),
    )
    desk = Desk(
        tmp=data.tmp,
        settings=settings,
        ear=Ear(data.tmp),
        echo=Ear(data.tmp, processes=1),
        clock=clock,
        boundary=lambda: secrets.token_hex(16),
        entries=lambda: listing(
            catalog.snapshot(),
            swaps.layout(),
            demand.under_way(),
            started,
            services=store.current.services,
            verdicts={one.name: one.verdict for one in fleet.services()},
        ),
        # The parts of a recording are shown and take GPU time; the whole is what is counted.
        seen=Seen(load.began, (load.busy.ended, load.activity.ended)),
    )
    streams = Streams(
        settings=settings,
        learned=desk.learned,
        # A stream is asked for in hundreds of windows: they take GPU time, and fill no list.
        seen=Seen((load.activity.began,), (load.busy.ended, load.activity.passed)),
        monotonic=clock.monotonic,
        token=lambda: secrets.token_urlsafe(24),
        boundary=desk.boundary,
        name=lambda: new_id("stream", clock.now()),
        store=data.path / "streams.json",
    )
    gateway = Gateway(
        router=GatewayRouter(demand=demand, admission=admission, settings=settings),
        upstream=upstream,
        settings=lambda: store.current.gateway,
        entries=desk.entries,
        fronts=dict.fromkeys(TASKS, Hearing(desk))
        | dict.fromkeys(SOCKETS, streams)
        | {VOICES: Voices(), LABEL_MERGE: DualFront(desk)},
        gatekeeper=gate,
        tap=make_tap,
        cache=load.cache,
        began=load.began,
        ended=[*load.ended, gate.ended, usage],
        amid=[usage.amid],
    )

    async def examine(host: Host, tell: Tell = lambda _findings: None) -> list[Finding]:
        return await doctor.check(
            host, pool, settings=store.current, hostkeys=hostkeys, clock=clock, tell=tell
        )

    examinations = Examinations(examine, bus, clock)

    async def hosts_changed(name: str) -> None:
        await app.hosts_changed(name)

    parts = Parts(
        settings=store,
        catalog=catalog,
        fleet=fleet,
        swaps=swaps,
        hostkeys=hostkeys,
        discovery=discovery,
        logs=logs,
        keys=keys,
        usage=usage,
        backups=backups,
        auth=auth,
        bus=bus,
        clock=clock,
        hosts_changed=hosts_changed,
        registry=registry,
        checks=checks(data_directory=data.check, database=database.check, fleet=fleet, swaps=swaps),
        allowed_hosts=lambda: store.current.web.allowed_hosts,
        started=started,
        activity=load.activity,
        sweeps=load.sweeps,
        examinations=examinations,
        data=data,
        acts=acts,
        rehearsals=rehearsals,
        admission=admission.snapshot,
    )
    notices = NoticeBoard(bus, clock)
    site = make_site(
        bundled("templates"),
        bundled("static/dist"),
        notices=notices,
        public_key=public_key,
        refusal=lambda model: _refusal(model, store.current),
    )
    local = LocalToken(data.local_token, secrets.token_bytes(LOCAL_BYTES))
    edge = create_app(parts, gateway, site, gate, local)
    app = App(
        edge=edge,
        lane=make_lane(gateway.crew, client, edge, from_browser),
        parts=parts,
        site=site,
        public_key=public_key,
        settings=store,
        catalog=catalog,
        database=database,
        pool=pool,
        fleet=fleet,
        examinations=examinations,
        discovery=discovery,
        logs=logs,
        acts=acts,
        rehearsals=rehearsals,
        swaps=swaps,
        swap_metrics=SwapMetrics(registry, bus),
        notices=notices,
        inflight=inflight,
        desk=desk,
        streams=streams,
        admission=admission,
        probing=Probing(admission=admission, client=upstream, settings=settings, clock=clock),
        demand=demand,
        keys=keys,
        gate=gate,
        usage=usage,
        load=load,
        backups=backups,
        auth=auth,
        local=local,
        upstream=upstream,
        http=http,
        bus=bus,
        data=data,
        tasks=set(),
    )
    return app


def create_app(
    parts: Parts,
    gateway: ASGIApp,
    site: Site,
    keys: KeyHolders | None = None,
    local: LocalToken | None = None,
) -> Observed:
    """The ASGI application: the gateway in front, the JSON API and the pages behind. `keys` and
    `local` open the lock on these."""
    api = create_api(parts, pages=[attempt.routes(site, gateway), routes(site)])
    edges = dict.fromkeys(SEGMENTS, gateway)
    return create_edge(parts, api, edges, log=Lines("web"), keys=keys, local=local)


def _refusal(model: Model, settings: Settings) -> SparkError | None:
    """Why `model` could not be started with these settings; whether it fits is asked elsewhere."""
    try:
        build_spec(model, settings)
    except SparkError as error:
        return error
    return None


def _canonical(catalog: CatalogService, name: str) -> str:
    """The id of the model that `name` means, else the name itself (a service's)."""
    found = catalog.latest.find(name)
    return found.id if found else name


def _known(catalog: CatalogService, settings: SettingsStore, name: str) -> bool:
    """Whether `name` is a model's id or a service's, and no invention of a caller."""
    services = settings.current.services
    return name in catalog.latest.models or any(one.name == name for one in services)


def _target(settings: Settings, name: str, user: str | None) -> Target:
    host = settings.host(name)
    if host is None:
        raise NotFound(f"No host is named {name!r}.", param="host")
    return Target(host.name, host.address, host.port, user or host.user)


async def _drain(inflight: InFlight, seconds: float, models: Sequence[str]) -> int:
    """Wait for what is in flight on these; what is left then is ended with a clear error."""
    drained = await asyncio.gather(*(inflight.drained(seconds, model) for model in models))
    error = Unavailable("The model is being replaced by another one.", retry_after=5)
    left = [model for model, empty in zip(models, drained, strict=True) if not empty]
    return sum(inflight.end(error, model) for model in left)


async def _scan(pool: SshPool, store: SettingsStore, host: str) -> Sequence[Mapping[str, Any]]:
    engine = store.current.engine
    found = await discover(pool.shell(host), engine.model_roots, engine.hf_home)
    return [one.to_dict() for one in found]


def _pinned(catalog: Catalog) -> frozenset[str]:
    return frozenset(m.id for m in catalog.models.values() if m.pinned)

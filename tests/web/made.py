"""The JSON API of the tests: real settings, catalog, host keys and bus; fleet and swaps by hand."""

import shlex
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from server.base.bus import EventBus
from server.base.clock import SystemClock
from server.base.errors import Conflict, HostUnreachable, NotFound
from server.base.finding import Finding, Severity
from server.base.health import Verdict
from server.base.logs import get_logger
from server.catalog.service import CatalogService
from server.config.model import Host, Service
from server.config.paths import DataDir
from server.config.store import SettingsStore
from server.fleet.acts import Act, Verb
from server.fleet.examination import Examinations, Tell
from server.fleet.model import HostStatus, Sample, ServiceStatus
from server.fleet.trend import Curves, Trend
from server.gateway.keys.ledger import KeyLedger
from server.gateway.keys.service import Keys
from server.gateway.sweep.model import Sweep, Wish
from server.gateway.usage.ledger import UsageLedger
from server.gateway.usage.service import Usage
from server.launch.model import LaunchSpec, PlannedCommand
from server.ssh.hostkeys import HostKeys
from server.ssh.model import Target
from server.store.database import Database
from server.swap.log import SwapLog
from server.swap.model import OnConflict, Past, Serving, SwapRecord
from server.web.app import create_api, create_edge
from server.web.metrics import FleetCollector
from server.web.parts import Check, Parts
from tests.swap.made import T0, record

CONFIG = """\
hosts:
  - {name: spark-1, address: 192.0.2.11}
  - {name: spark-2, address: 192.0.2.12, labels: [audio]}
engine:
  model_roots: [/srv/models]
services:
  - {name: parakeet, kind: asr, host: spark-2, port: 8001, container: parakeet-asr, ssh_user: audio}
  - {name: kokoro, kind: tts, host: spark-2, port: 8880}
"""
OFFERED = {
    f"192.0.2.{number}": f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{number}{'9uZW' * 10}9"
    for number in (11, 12, 13)
}
"""The host keys that machines show, by address; the others do not answer."""
MODELS = """\
models:
  - id: tiny
    name: Tiny
    source: {hf: Acme/Tiny}
    aliases: [small]
  - id: large
    name: Large
    source: {path: /srv/models/large}
"""


@dataclass
class FakeFleet:
    hosts: dict[str, HostStatus] = field(default_factory=dict)
    probes: tuple[ServiceStatus, ...] = ()
    kept: list[Sample] = field(default_factory=list)

    def statuses(self) -> Sequence[HostStatus]:
        return tuple(self.hosts.values())

    def status(self, name: str) -> HostStatus:
        return self.hosts.get(name) or HostStatus(name, Verdict.unknown("not seen yet"))

    def samples(self, name: str, minutes: float) -> Sequence[Sample]:
        return [sample for sample in self.kept if sample.host == name]

    def trend(self, name: str) -> Curves:
        made = Trend()
        for sample in self.samples(name, 60):
            made.add(sample)
        return made.curves()

    def services(self) -> Sequence[ServiceStatus]:
        return self.probes


@dataclass
class FakeSwaps:
    """Remembers what was asked; every swap that was asked for stays queued."""

    records: list[SwapRecord] = field(default_factory=list)
    running: SwapRecord | None = None
    served: Serving | None = None
    older: tuple[Serving, ...] = ()
    lines: tuple[str, ...] = ()
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    async def request(
        self,
        model: str,
        *,
        on_conflict: OnConflict = "queue",
        force: bool = False,
        requested_by: str,
    ) -> SwapRecord:
        self.asked.append((model, on_conflict, force, requested_by))
        if on_conflict == "reject" and self.running:
            raise Conflict("A swap is under way.")
        return self._made(model, requested_by)

    async def unload(self, model: str | None = None, *, requested_by: str) -> SwapRecord:
        self.asked.append(("unload", model))
        return self._made(None, requested_by)

    async def cancel(self, swap_id: str, *, requested_by: str) -> SwapRecord:
        return (await self.get(swap_id)).with_(cancelled_by=requested_by)

    def current(self) -> SwapRecord | None:
        return self.running

    def queue(self) -> Sequence[SwapRecord]:
        return tuple(self.records)

    def layout(self) -> Sequence[Serving]:
        return (*self.older, *((self.served,) if self.served else ()))

    def serving(self) -> Serving | None:
        return self.served

    async def log(self, swap_id: str) -> SwapLog:
        log = SwapLog("then")
        for line in self.lines:
            log.hear(line, T0)
        return log

    async def get(self, swap_id: str) -> SwapRecord:
        found = next((one for one in self.records if one.id == swap_id), None)
        if found is None:
            raise NotFound(f"There is no swap {swap_id!r}.", param="id")
        return found

    async def history(self, limit: int = 50, wanted: Past | None = None) -> Sequence[SwapRecord]:
        wanted = wanted or Past()
        newer = [one.id for one in self.records].index(wanted.before) + 1 if wanted.before else 0
        return [
            one
            for one in self.records[newer:]
            if (not wanted.model or one.model == wanted.model)
            and (not wanted.states or one.state in wanted.states)
        ][:limit]

    async def preflight(self, model: str) -> Sequence[Finding]:
        return [Finding("memory", Severity.ERROR, "does not fit", "use a smaller one", "spark-1")]

    async def command(self, model: str) -> Sequence[PlannedCommand]:
        argv = ("docker", "run", "-e", "HF_TOKEN=hf_secret")
        return [PlannedCommand("run", "spark-1", argv, "docker run -e HF_TOKEN=[redacted]")]

    def preview(self, spec: LaunchSpec) -> Sequence[PlannedCommand]:
        shown = shlex.join(spec.argv)
        return [PlannedCommand("start", spec.head.host, spec.argv, shown)]

    def _made(self, model: str | None, requested_by: str) -> SwapRecord:
        made = record().with_(
            id=f"swap-{len(self.records) + 1}", model=model, requested_by=requested_by
        )
        self.records.append(made)
        return made


@dataclass
class FakeDiscovery:
    rescans: int = 0
    models: Sequence[Mapping[str, Any]] = (
        {"host": "spark-1", "source": {"hf": "Acme/Tiny"}, "bytes": 1},
        {"host": "spark-1", "source": {"path": "/srv/models/new"}, "bytes": 2},
    )

    def found(self) -> Sequence[Mapping[str, Any]]:
        return self.models

    def scans(self) -> Sequence[Mapping[str, Any]]:
        return [{"host": "spark-1", "scanned_at": "2026-11-21T08:00:00.000Z", "error": None}]

    def rescan(self) -> None:
        self.rescans += 1


@dataclass
class FakeLogs:
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    async def tail(
        self, host: str, container: str, lines: int, user: str | None = None
    ) -> Sequence[str]:
        self.asked.append((host, container, lines, user))
        return ["one", "two"]


@dataclass
class FakeActs:
    """Remembers what was asked; it never ends."""

    last: dict[str, Act] = field(default_factory=dict)

    def begin(self, service: Service, verb: Verb, *, requested_by: str) -> Act:
        if service.container is None:
            raise Conflict(f"The service {service.name} has no container.")
        begun = Act(service.name, verb, service.host, service.container, requested_by, T0)
        self.last[service.name] = begun
        return begun

    def now(self, service: str) -> Act | None:
        return self.last.get(service)

    def running(self) -> Sequence[Act]:
        return tuple(one for one in self.last.values() if one.ended_at is None)


@dataclass
class FakeSweeps:
    """Sweeps as they were put there; the first one is running."""

    known: list[Sweep] = field(default_factory=list)
    wishes: list[Wish] = field(default_factory=list)

    async def start(self, wish: Wish, *, requested_by: str) -> Sweep:
        self.wishes.append(wish)
        sweep = Sweep(
            f"sweep-{len(self.known)}", wish.target, "tts", wish.target, "one sentence",
            wish.most or 8, wish.seconds, wish.repeats, requested_by, T0,
        )  # fmt: skip
        self.known.insert(0, sweep)
        return sweep

    async def cancel(self, sweep_id: str) -> Sweep:
        sweep = await self.get(sweep_id)
        if sweep.over:
            raise Conflict(f"The sweep {sweep_id} is over: {sweep.state}.")
        return sweep.with_(state="cancelled")

    async def get(self, sweep_id: str) -> Sweep:
        found = next((one for one in self.known if one.id == sweep_id), None)
        if found is None:
            raise NotFound(f"There is no sweep {sweep_id!r}.")
        return found

    async def history(self, limit: int = 20) -> Sequence[Sweep]:
        return self.known[:limit]

    def current(self) -> Sweep | None:
        return next((one for one in self.known if not one.over), None)


@dataclass
class Web:
    """The API of one test: its parts, and clients that reach it without or with a socket."""

    parts: Parts
    edge: ASGIApp
    fleet: FakeFleet
    swaps: FakeSwaps
    discovery: FakeDiscovery
    logs: FakeLogs
    changed: list[str]
    allowed: list[str]
    client: httpx.AsyncClient
    database: Database
    """Not opened: a test that saves keys or asks for usage opens it; it is closed at the end."""


async def _gateway(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 418, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@asynccontextmanager
async def web(
    data: Path,
    *,
    checks: Sequence[Check] = (),
    heartbeat_seconds: float = 15.0,
    config: str = CONFIG,
    environ: Mapping[str, str] | None = None,
    furnish: Callable[[Parts], Parts] = lambda parts: parts,
    **options: Any,
) -> AsyncIterator[Web]:
    """`data` becomes a data directory with two hosts, two services and two models."""
    (data / "config.yaml").write_text(config)
    (data / "models.yaml").write_text(MODELS)
    fleet, swaps, discovery, logs = FakeFleet(), FakeSwaps(), FakeDiscovery(), FakeLogs()
    changed: list[str] = []
    allowed: list[str] = []
    settings = SettingsStore(data, environ or {})
    bus = EventBus()
    clock, registry = SystemClock(), CollectorRegistry()
    registry.register(FleetCollector(fleet, swaps, clock))

    async def hosts_changed(name: str) -> None:
        changed.append(name)

    async def offered(target: Target) -> str:
        if target.address not in OFFERED:
            raise HostUnreachable(f"{target.address} did not answer.", advice="Is it on?")
        return OFFERED[target.address]

    async def doctor(host: Host, tell: Tell = lambda _findings: None) -> Sequence[Finding]:
        return [Finding("ssh", Severity.OK, "It answers.", host=host.name)]

    database = Database(f"sqlite+aiosqlite:///{data}/spark-control.db")
    parts = Parts(
        settings=settings,
        catalog=CatalogService(
            data / "models.yaml",
            data / "models.override.yaml",
            lambda: settings.current.engine.model_roots,
        ),
        fleet=fleet,
        swaps=swaps,
        hostkeys=HostKeys(data / "known_hosts"),
        discovery=discovery,
        logs=logs,
        keys=Keys(KeyLedger(database), clock),
        usage=Usage(UsageLedger(database), clock),
        bus=bus,
        clock=clock,
        hosts_changed=hosts_changed,
        registry=registry,
        checks=checks,
        allowed_hosts=lambda: allowed,
        started=T0,
        heartbeat_seconds=heartbeat_seconds,
        sweeps=FakeSweeps(),
        acts=FakeActs(),
        offered_key=offered,
        examinations=Examinations(doctor, bus, clock),
        data=DataDir(data),
    )
    parts = furnish(parts)
    api = create_api(parts, **options)
    edge = create_edge(parts, api, {"v1": _gateway}, log=get_logger("web"))
    transport = httpx.ASGITransport(app=edge)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9999") as client:
        yield Web(parts, edge, fleet, swaps, discovery, logs, changed, allowed, client, database)
    await database.close()

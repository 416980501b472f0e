"""The running app: what has a life of its own, in the order in which it begins and ends.

Owns that order, and the two tasks that belong to no part: following the files that people edit by
hand, and saving sessions now and then. Refuses to make anything: `server.app` does.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.types import ASGIApp

from server.audio.front.desk import Desk
from server.audio.stream.service import Streams
from server.auth.local import LocalToken
from server.auth.service import Auth
from server.base.bus import EventBus
from server.base.errors import NotFound, SparkError
from server.base.logs import get_logger
from server.catalog.service import CatalogService
from server.config.paths import DataDir
from server.config.store import SettingsStore
from server.fleet.acts import Acts
from server.fleet.examination import Examinations
from server.fleet.service import Fleet
from server.gateway.admission.probe import Probing
from server.gateway.admission.service import Admission
from server.gateway.demand.service import Demand
from server.gateway.inflight import InFlight
from server.gateway.keys.gate import Gate
from server.gateway.keys.service import Keys
from server.gateway.lane.service import Lane
from server.gateway.load import Load
from server.gateway.model import UpstreamClient
from server.gateway.usage.service import Usage
from server.ssh.pool import SshPool
from server.store.database import Database
from server.swap.rehearsals import Rehearsals
from server.swap.service import SwapService
from server.upkeep.backup.service import BackupService
from server.web.container_logs import ContainerLogs
from server.web.discovery import DiscoveryCache
from server.web.metrics import SwapMetrics
from server.web.pages.notice import NoticeBoard
from server.web.pages.site import Site
from server.web.parts import Parts

SHUTDOWN_GRACE_SECONDS = 2.0
REFRESH_SECONDS = 1.0
KEEP_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class App:
    """The parts that have a life of their own; `edge` is what is served."""

    edge: ASGIApp
    lane: Lane | None
    parts: Parts
    site: Site
    public_key: str
    settings: SettingsStore
    catalog: CatalogService
    database: Database
    pool: SshPool
    fleet: Fleet
    examinations: Examinations
    discovery: DiscoveryCache
    logs: ContainerLogs
    acts: Acts
    rehearsals: Rehearsals
    swaps: SwapService
    swap_metrics: SwapMetrics
    notices: NoticeBoard
    inflight: InFlight
    desk: Desk
    streams: Streams
    admission: Admission
    probing: Probing
    demand: Demand
    keys: Keys
    gate: Gate
    usage: Usage
    load: Load
    backups: BackupService
    auth: Auth
    local: LocalToken
    upstream: UpstreamClient
    http: httpx.AsyncClient
    bus: EventBus
    data: DataDir
    tasks: set[asyncio.Task[None]]

    async def start(self) -> None:
        """Raises `SparkError` when the database cannot be used; hosts may all be down."""
        await self.database.open()
        await self.keys.start()
        await self.auth.load()
        self.local.write()
        self.streams.restore()
        await self.usage.start()
        self.gate.restore(await self.usage.today())
        await self.fleet.start()
        await self.swap_metrics.start()
        await self.notices.start()
        await self.swaps.start()
        await self.demand.start()
        await self.probing.start()
        await self.discovery.start()
        await self.load.start()
        await self.backups.start()
        self.tasks.add(asyncio.create_task(self._watch_files(), name="settings and catalog files"))
        self.tasks.add(asyncio.create_task(self._prepare(), name="compile templates"))
        self.tasks.add(asyncio.create_task(self._keep_sessions(), name="sessions"))

    async def begin_shutdown(self) -> None:
        """Tell every open stream, so that the server can end: event streams, then chat answers."""
        self.bus.close()
        # Their last words need the engines.
        await self.streams.drain(SHUTDOWN_GRACE_SECONDS)
        self.desk.close()
        self.admission.close()
        await self.inflight.close(SHUTDOWN_GRACE_SECONDS)

    async def close(self) -> None:
        """Engines go on; the saved swap is taken up at the next start."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.streams.close()
        await self.backups.close()
        await self.load.close()
        await self.probing.close()
        await self.demand.close()
        await self.swaps.close()
        await self.discovery.close()
        await self.notices.close()
        await self.swap_metrics.close()
        await self.logs.close()
        await self.acts.close()
        await self.rehearsals.close()
        await self.examinations.close()
        await self.fleet.close()
        await self.pool.close()
        await self.desk.ear.close()
        if self.desk.echo is not None:
            await self.desk.echo.close()
        await self.upstream.close()
        self.local.remove()
        await self._save_sessions()
        await self.keys.close()
        await self.usage.close()
        await self.http.aclose()
        await self.database.close()

    async def hosts_changed(self, name: str) -> None:
        self.pool.forget(name)
        self.fleet.reconcile()
        with suppress(NotFound):
            self.fleet.nudge(name)

    async def _prepare(self) -> None:
        """What the first page needs, beside the loop, when the start is over."""
        await asyncio.sleep(REFRESH_SECONDS)
        await asyncio.to_thread(self.site.pen.prepare)

    async def _keep_sessions(self) -> None:
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            await self._save_sessions()

    async def _save_sessions(self) -> None:
        try:
            await self.auth.keep()
        except SparkError as error:  # a full disk: they are kept in memory meanwhile
            get_logger("auth").warning("sessions not saved", error=error.message)

    async def _watch_files(self) -> None:
        """Edits by hand take effect without a restart; problems are told once."""
        seen = (self.catalog.snapshot().version, self.settings.problems, self.settings.current)
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            before = {host.name: host for host in self.settings.current.hosts}
            if self.settings.refresh():
                after = {host.name: host for host in self.settings.current.hosts}
                for name in before.keys() | after.keys():
                    if before.get(name) != after.get(name):
                        self.pool.forget(name)
            if self.settings.current is not seen[2]:
                self.fleet.reconcile()
            # A file of a hundred models takes a tenth of a second to read.
            catalog = await asyncio.to_thread(self.catalog.snapshot)
            now = (catalog.version, self.settings.problems, self.settings.current)
            # Which models can be started depends on the settings as well.
            if now[0] != seen[0] or now[2] is not seen[2]:
                problems = [problem.to_dict() for problem in catalog.problems]
                self.bus.publish(
                    "model", "catalog", {"version": catalog.version, "problems": problems}
                )
            if now[1] != seen[1]:
                told: Mapping[str, Any] = {"level": "error", "message": "; ".join(now[1])}
                cleared: Mapping[str, Any] = {
                    "level": "info",
                    "message": "config.yaml is good again.",
                }
                self.bus.publish("notice", "config", told if now[1] else cleared)
            seen = now

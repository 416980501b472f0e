"""What the routes need, as interfaces: the composition root fills it in, tests fill in fakes.

Owns no behaviour. A route that needs something new gets a field here, never an import of a service.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from prometheus_client import CollectorRegistry

from server.auth.service import Auth
from server.base.bus import EventBus
from server.base.clock import Clock
from server.base.errors import Unavailable
from server.base.finding import Finding
from server.base.health import Verdict
from server.catalog.model import Catalog, Model
from server.catalog.service import Checked
from server.config.marks import Origin
from server.config.model import Host, Link, Service, Settings
from server.config.paths import DataDir
from server.fleet.acts import Act, Verb
from server.fleet.examination import Examinations
from server.fleet.model import HostStatus, Sample, ServiceStatus
from server.fleet.trend import Curves
from server.gateway.activity import Activity
from server.gateway.admission.model import Snapshot
from server.gateway.keys.model import Draft, Key, Minted
from server.gateway.sweep.model import Sweep, Wish
from server.gateway.usage.model import Place, Sums
from server.launch.model import LaunchSpec, PlannedCommand
from server.ssh.model import Refusal, Target
from server.ssh.offer import offered
from server.swap.log import SwapLog
from server.swap.model import OnConflict, Past, Serving, SwapRecord
from server.swap.rehearsals import Rehearsal
from server.upkeep.backup.model import Backup, Report, Staged
from server.upkeep.backup.restore import Restored


class SettingsStore(Protocol):
    """`current` is an immutable snapshot; `problems` says why the file on disk was not taken."""

    @property
    def current(self) -> Settings: ...

    @property
    def problems(self) -> Sequence[str]: ...

    async def add_host(self, host: Host) -> object: ...

    async def replace_host(self, name: str, host: Host, mark: str | None = None) -> object: ...

    async def remove_host(self, name: str) -> object: ...

    async def add_service(self, service: Service) -> object: ...

    async def replace_service(
        self, name: str, service: Service, mark: str | None = None
    ) -> object: ...

    async def remove_service(self, name: str) -> object: ...

    async def save_section(
        self, section: str, changes: Mapping[str, Any], mark: str | None = None
    ) -> object: ...

    async def save_links(self, links: Sequence[Link], mark: str | None = None) -> object: ...

    def mark(self, section: str, item: str | None = None) -> str: ...

    def origins(self, section: str) -> Mapping[str, Origin]: ...

    def variable(self, section: str) -> str | None: ...


class CatalogStore(Protocol):
    def snapshot(self) -> Catalog: ...

    def knob_schema(self) -> list[dict[str, Any]]: ...

    async def add(self, body: dict[str, Any]) -> Model: ...

    async def replace(self, model_id: str, body: dict[str, Any]) -> Model: ...

    async def set_knobs(self, model_id: str, knobs: dict[str, Any]) -> Model: ...

    def check(self, body: object, replaces: str | None = None) -> Checked: ...

    async def remove(self, model_id: str) -> object: ...

    async def reset(self, model_id: str) -> Model: ...


class Fleet(Protocol):
    """Answers from memory. Raises `NotFound` for a host that is not watched."""

    def statuses(self) -> Sequence[HostStatus]: ...

    def status(self, name: str) -> HostStatus: ...

    def samples(self, name: str, minutes: float) -> Sequence[Sample]: ...

    def trend(self, name: str) -> Curves: ...

    def services(self) -> Sequence[ServiceStatus]: ...


class Swaps(Protocol):
    async def request(
        self,
        model: str,
        *,
        on_conflict: OnConflict = "queue",
        force: bool = False,
        requested_by: str,
    ) -> SwapRecord: ...

    async def unload(self, model: str | None = None, *, requested_by: str) -> SwapRecord: ...

    async def cancel(self, swap_id: str, *, requested_by: str) -> SwapRecord: ...

    def current(self) -> SwapRecord | None: ...

    def queue(self) -> Sequence[SwapRecord]: ...

    def layout(self) -> Sequence[Serving]: ...

    def serving(self) -> Serving | None: ...

    async def log(self, swap_id: str) -> SwapLog: ...

    async def get(self, swap_id: str) -> SwapRecord: ...

    async def history(
        self, limit: int = 50, wanted: Past | None = None
    ) -> Sequence[SwapRecord]: ...

    async def preflight(self, model: str) -> Sequence[Finding]: ...

    async def command(self, model: str) -> Sequence[PlannedCommand]: ...

    def preview(self, spec: LaunchSpec) -> Sequence[PlannedCommand]: ...


class Sweeps(Protocol):
    """Raises `NotFound`, `InvalidValue`, and `Conflict` while another one is running."""

    async def start(self, wish: Wish, *, requested_by: str) -> Sweep: ...

    async def cancel(self, sweep_id: str) -> Sweep: ...

    async def get(self, sweep_id: str) -> Sweep: ...

    async def history(self, limit: int = 20) -> Sequence[Sweep]: ...

    def current(self) -> Sweep | None: ...


class Acts(Protocol):
    """Raises `Conflict` where nothing can be done, or something is being done already."""

    def begin(self, service: Service, verb: Verb, *, requested_by: str) -> Act: ...

    def now(self, service: str) -> Act | None: ...

    def running(self) -> Sequence[Act]: ...


class Rehearsals(Protocol):
    """Raises `QueueFull`. What was found, and who would go, before anything is touched."""

    def begin(self, model: str, *, requested_by: str) -> Rehearsal: ...

    def now(self, model: str) -> Rehearsal | None: ...


class Backups(Protocol):
    """Raises `NotFound` for an id, `InvalidValue` for a passphrase that is too short or wrong and
    for an archive that cannot be used, `InsufficientStorage` and `Unavailable`. Without a
    passphrase the SSH key is neither saved nor restored. `stage`: the next start restores it."""

    def list(self) -> Sequence[Backup]: ...

    async def look(self) -> Sequence[Backup]: ...

    def get(self, backup_id: str) -> Backup: ...

    def file(self, backup_id: str) -> Path: ...

    def staged(self) -> Staged | None: ...

    def restored(self) -> Restored | None: ...

    def schedule(self) -> Mapping[str, Any]: ...

    async def create(self, passphrase: str | None = None) -> Backup: ...

    async def receive(self, chunks: AsyncIterator[bytes]) -> Backup: ...

    async def delete(self, backup_id: str) -> None: ...

    async def check(self, backup_id: str, passphrase: str | None = None) -> Report: ...

    async def stage(
        self, backup_id: str, passphrase: str | None = None
    ) -> tuple[Report, Staged]: ...

    async def unstage(self) -> None: ...


class HostKeys(Protocol):
    """`pin` trusts a key that a person has compared; `pinned` is its fingerprint."""

    def pinned(self, target: Target) -> str | None: ...

    def pin(self, target: Target, key: str) -> None: ...

    def refused(self, name: str) -> Refusal | None: ...

    def accept(self, target: Target, expected: str | None = None) -> str: ...


class Discovery(Protocol):
    """What the last scans found, from memory; `rescan` asks for new ones and does not wait."""

    def found(self) -> Sequence[Mapping[str, Any]]: ...

    def scans(self) -> Sequence[Mapping[str, Any]]: ...

    def rescan(self) -> None: ...


class Logs(Protocol):
    """The last lines of a container, asked of the host: bounded, and asked once for all askers."""

    async def tail(
        self, host: str, container: str, lines: int, user: str | None = None
    ) -> Sequence[str]: ...


class Keys(Protocol):
    """By id or name. Raises `NotFound`, and `Conflict` for a name that is taken and for a change of
    a key that was revoked."""

    def every(self) -> Sequence[Key]: ...

    def get(self, ref: str) -> Key: ...

    def name_of(self, key_id: str) -> str | None: ...

    async def create(self, draft: Draft) -> Minted: ...

    async def replace(self, ref: str, draft: Draft) -> Key: ...

    async def rotate(self, ref: str) -> Minted: ...

    async def revoke(self, ref: str) -> Key: ...


class Usage(Protocol):
    """Sums of the last days, with what is not saved yet."""

    async def rows(self, days: int) -> dict[Place, Sums]: ...


@dataclass(frozen=True, slots=True)
class Check:
    """One thing readiness depends on. Without `required` it is shown and decides nothing."""

    name: str
    probe: Callable[[], Awaitable[Verdict]]
    required: bool = True


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything the JSON API stands on.

    `hosts_changed` is told the name of a host that was added, changed, removed or whose key was
    accepted, after it was saved: it drops the old connection and reconciles the fleet.
    `allowed_hosts` are names under which people reach this app, beside IP addresses and local names
    (see `web.guard`). `registry` is the app's own. `offered_key` is the host key that a machine
    shows before it is trusted; `examinations` keep what the doctor found.
    """

    settings: SettingsStore
    catalog: CatalogStore
    fleet: Fleet
    swaps: Swaps
    hostkeys: HostKeys
    discovery: Discovery
    logs: Logs
    keys: Keys
    usage: Usage
    bus: EventBus
    clock: Clock
    hosts_changed: Callable[[str], Awaitable[None]]
    registry: CollectorRegistry
    checks: Sequence[Check] = ()
    allowed_hosts: Callable[[], Sequence[str]] = field(default=tuple)
    started: datetime | None = None
    heartbeat_seconds: float = 15.0
    activity: Activity = field(default_factory=lambda: Activity(time.monotonic))
    sweeps: Sweeps | None = None
    offered_key: Callable[[Target], Awaitable[str]] = offered
    examinations: Examinations | None = None
    data: DataDir | None = None
    acts: Acts | None = None
    rehearsals: Rehearsals | None = None
    admission: Callable[[], Snapshot] = lambda: Snapshot((), (), {})
    backups: Backups | None = None
    auth: Auth | None = None

    @property
    def locking(self) -> Auth:
        """Raises `Unavailable` where nobody can log in."""
        if self.auth is None:
            raise Unavailable("Nobody can log in here.")
        return self.auth

    @property
    def keeping(self) -> Backups:
        """Raises `Unavailable` where no backups are kept."""
        if self.backups is None:
            raise Unavailable("No backups are kept here.")
        return self.backups

    @property
    def rehearsing(self) -> Rehearsals:
        if self.rehearsals is None:
            raise Unavailable("Nothing can be looked at beforehand here.")
        return self.rehearsals

    @property
    def acting(self) -> Acts:
        """Raises `Unavailable` where no service can be told anything."""
        if self.acts is None:
            raise Unavailable("There is nothing here that could start or stop a service.")
        return self.acts

    @property
    def examining(self) -> Examinations:
        if self.examinations is None:
            raise Unavailable("Hosts cannot be examined here.")
        return self.examinations

    @property
    def sweeping(self) -> Sweeps:
        """Raises `Unavailable` where nothing can be measured (no gateway)."""
        if self.sweeps is None:
            raise Unavailable("There is no gateway here that a sweep could measure.")
        return self.sweeps

"""Backups of the running app: made by hand and on schedule, kept, checked, staged.

Owns the folder `backups`, what of it is in memory, and the task that keeps the schedule. Work on
files is done beside the loop, one at a time. Refuses to restore by itself: a restore is staged, and
carried out by the next start (`restore`).
"""

import asyncio
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from server import __version__
from server.base.bus import EventBus
from server.base.clock import Clock, iso
from server.base.errors import Conflict, InsufficientStorage, InvalidValue, NotFound, SparkError
from server.base.files import storage_errors
from server.base.ids import new_id
from server.base.logs import get_logger
from server.config.model import Backups as Settings
from server.config.paths import DataDir
from server.store.database import Database
from server.store.migrations import HEAD
from server.upkeep.backup import archive, restore, seal
from server.upkeep.backup.examine import examine
from server.upkeep.backup.gather import gather
from server.upkeep.backup.manifest import DATABASE, Damaged, Manifest
from server.upkeep.backup.model import KINDS, SUFFIX, Backup, Kind, Report, Staged
from server.upkeep.backup.retention import due, kept
from server.upkeep.backup.seal import Seal

LOOK_SECONDS = 60.0
AGAIN_SECONDS = 3600.0
"""After a scheduled backup that failed."""
UPLOADS_KEPT = 3
LARGEST = 4 << 30
"""Bytes of an archive that is handed in."""
SPARE_BYTES = 256 << 20
"""What an upload leaves free on the disk, for the database."""

_NAME = re.compile(rf"({'|'.join(KINDS)})-[0-9a-z]{{1,40}}")
_PART = ".part"


class BackupService:
    """`start()` it once; `close()` at the end. `environ`: what the app was started with."""

    def __init__(
        self,
        *,
        data: DataDir,
        database: Database,
        settings: Callable[[], Settings],
        environ: Mapping[str, str],
        bus: EventBus,
        clock: Clock,
    ) -> None:
        self._data = data
        self._database = database
        self._settings = settings
        self._environ = dict(environ)
        self._bus = bus
        self._clock = clock
        self._known: dict[str, Backup] = {}
        self._staged: Staged | None = None
        self._busy = asyncio.Lock()
        self._started = clock.now()
        self._again = 0.0
        self._problem = ""
        self._task: asyncio.Task[None] | None = None
        self._log = get_logger("backup")

    # ---- life

    async def start(self) -> None:
        self._started = self._clock.now()
        self._staged = await asyncio.to_thread(restore.staged, self._data)
        with suppress(SparkError):
            await asyncio.to_thread(self._tidy)
        await self.look()
        self._task = asyncio.create_task(self._forever(), name="scheduled backups")

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _forever(self) -> None:
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            try:
                await self.keep_schedule()
            except Exception:  # a bug of ours: the next look tries again
                self._log.exception("backup.bug")

    async def keep_schedule(self) -> Backup | None:
        """Make one if it is due. The task calls it; tests call it instead."""
        at = self.due_at()
        if at is None or self._clock.now() < at or self._clock.monotonic() < self._again:
            return None
        try:
            made = await self.create(self._kept_passphrase(), kind="scheduled")
            await self._clear_out()
        except SparkError as error:
            self._again = self._clock.monotonic() + AGAIN_SECONDS
            self._problem = error.message
            self._log.warning("backup.failed", problem=error.message)
            told = {"level": "error", "message": f"The scheduled backup failed: {error.message}"}
            self._bus.publish("notice", "backup", told | {"advice": error.advice or ""})
            return None
        self._problem = ""
        return made

    # ---- what is there; from memory

    def list(self) -> tuple[Backup, ...]:
        """Newest first."""
        return tuple(sorted(self._known.values(), key=lambda one: one.kept_at, reverse=True))

    def get(self, backup_id: str) -> Backup:
        if backup_id not in self._known:
            raise NotFound(
                f"There is no backup {backup_id[:60]!r}.",
                advice="GET /api/v1/backups lists them.",
                param="backup_id",
            )
        return self._known[backup_id]

    def file(self, backup_id: str) -> Path:
        return self._data.backups / self.get(backup_id).name

    def staged(self) -> Staged | None:
        """What the next start will put in place."""
        return self._staged

    def due_at(self) -> datetime | None:
        made = [one.kept_at for one in self._known.values() if one.kind == "scheduled"]
        return due(max(made, default=None), self._started, self._settings().every_hours)

    def schedule(self) -> dict[str, Any]:
        """As JSON. `sealed`: whether scheduled backups hold the SSH key, behind a passphrase."""
        settings, at = self._settings(), self.due_at()
        return {
            "every_hours": settings.every_hours,
            "keep_daily": settings.keep_daily,
            "keep_weekly": settings.keep_weekly,
            "next_at": None if at is None else iso(at),
            "sealed": self._data.passphrase.exists(),
            "problem": self._problem,
        }

    async def look(self) -> tuple[Backup, ...]:
        """Also at what was put into the folder, or taken out of it, by hand."""
        self._known = await asyncio.to_thread(self._scan, dict(self._known))
        return self.list()

    # ---- making and removing

    async def create(self, passphrase: str | None = None, *, kind: Kind = "manual") -> Backup:
        """Without a passphrase the SSH key is left out. Raises `InvalidValue` for a short one,
        `InsufficientStorage` and `Unavailable`."""
        if passphrase is not None:
            seal.checked(passphrase)
        async with self._busy:
            now = self._clock.now()
            backup_id = new_id(kind, now)
            with self._room(backup_id) as folder:
                database = folder / DATABASE
                os.close(os.open(database, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                copied = await self._database.copy(database)
                made = await asyncio.to_thread(
                    self._write, backup_id, passphrase, database if copied else None, now
                )
            self._known[backup_id] = made
        self._log.info(
            "backup.made", backup=backup_id, size=made.size, sealed=passphrase is not None
        )
        self._told()
        return made

    async def receive(self, chunks: AsyncIterator[bytes]) -> Backup:
        """Keep an archive that is handed in. Raises `Damaged` for what is none, `PayloadTooLarge`'s
        cousin `InvalidValue` for one that is too large, `InsufficientStorage`."""
        async with self._busy:
            backup_id = new_id("uploaded", self._clock.now())
            with self._room(backup_id) as folder:
                part = folder / "upload"
                await _save(chunks, part)
                await asyncio.to_thread(archive.manifest_of, part)
                await asyncio.to_thread(_publish, part, self._data.backups / (backup_id + SUFFIX))
            await self.look()
            await self._clear_out()
        self._told()
        return self.get(backup_id)

    async def delete(self, backup_id: str) -> None:
        path = self.file(backup_id)
        with storage_errors(path.name):
            await asyncio.to_thread(path.unlink, missing_ok=True)
        self._known.pop(backup_id, None)
        self._log.info("backup.deleted", backup=backup_id)
        self._told()

    # ---- restoring

    async def check(self, backup_id: str, passphrase: str | None = None) -> Report:
        """Unpack it, prove everything, and forget it again."""
        path = self.file(backup_id)
        async with self._busy:
            with self._room(backup_id) as folder:
                return await asyncio.to_thread(examine, path, passphrase, folder, self._environ)

    async def stage(self, backup_id: str, passphrase: str | None = None) -> tuple[Report, Staged]:
        """The next start restores it. Raises `InvalidValue` with the first thing that is wrong."""
        path = self.file(backup_id)
        async with self._busy:
            with self._room(backup_id) as folder:
                report = await asyncio.to_thread(examine, path, passphrase, folder, self._environ)
                if not report.ok or report.manifest is None:
                    raise refusal(report)
                self._staged = await asyncio.to_thread(
                    restore.stage, self._data, folder, report.manifest, self._clock.now()
                )
        self._log.info("backup.staged", backup=backup_id)
        self._told()
        return report, self._staged

    async def unstage(self) -> None:
        """Raises `Conflict` when nothing is staged."""
        if self._staged is None:
            raise Conflict("No backup waits to be restored.")
        async with self._busy:
            await asyncio.to_thread(restore.unstage, self._data)
            self._staged = None
        self._told()

    # ---- inside

    def _told(self) -> None:
        self._bus.publish("job", "backup", {"job": "backup", "backups": len(self._known)})

    def _kept_passphrase(self) -> str | None:
        """Of the file that the owner may have put there. The SSH key lies beside it in the clear:
        it guards the copies of a backup that are elsewhere."""
        path = self._data.passphrase
        try:
            with path.open("rb") as file:
                if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                    raise InvalidValue(
                        f"{path.name} can be read by other users, so it is not used.",
                        advice=f"Run `chmod 600` on {path.name}, with a new passphrase in it.",
                    )
                return file.read(8192).decode().strip() or None
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError):
            raise InvalidValue(f"{path.name} cannot be read.") from None

    @contextmanager
    def _room(self, name: str) -> Iterator[Path]:
        """A folder to work in, gone at the end."""
        with storage_errors(f"The backup {name}"):
            folder = Path(tempfile.mkdtemp(prefix="backup-", dir=self._data.tmp))
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def _write(
        self, backup_id: str, passphrase: str | None, database: Path | None, now: datetime
    ) -> Backup:
        """In a thread."""
        gathered = gather(self._data)
        sources = dict(gathered.sources)
        left_out = list(gathered.left_out)
        if database is None:
            left_out.append("The database is not in it: it is on a server, which has its own.")
        else:
            sources[DATABASE] = database
        sealing = passphrase is not None and bool(gathered.secrets)
        if not sealing and gathered.secrets:
            left_out.append("The SSH key is not in it: no passphrase was given to seal it.")
        manifest = Manifest(
            id=backup_id,
            made_at=now,
            version=__version__,
            schema=None if database is None else HEAD,
            entries=tuple(archive.entry_of(name, source) for name, source in sources.items()),
            seal=_new_seal() if sealing else None,
            left_out=tuple(left_out),
        )
        blob = None
        if passphrase is not None and manifest.seal is not None:
            raw = manifest.encode()
            blob = seal.sealed(gathered.secrets, passphrase, manifest.seal, raw)
        target = self._data.backups / (backup_id + SUFFIX)
        _folder(self._data.backups)
        part = target.with_name(f".{target.name}{_PART}")
        try:
            with _new_file(part) as file:
                archive.write(file, manifest, sources, blob)
            _publish(part, target)
        finally:
            part.unlink(missing_ok=True)
        kind = _kind(backup_id)
        return Backup(backup_id, kind, target.stat().st_size, now, manifest)

    async def _clear_out(self) -> None:
        """What the rules of retention no longer keep. What was made by hand is never touched."""
        settings = self._settings()
        scheduled = [(b.id, b.kept_at) for b in self._known.values() if b.kind == "scheduled"]
        stays = kept(scheduled, settings.keep_daily, settings.keep_weekly)
        uploads = [one.id for one in self.list() if one.kind == "uploaded"]
        for gone in [*({name for name, _ in scheduled} - stays), *uploads[UPLOADS_KEPT:]]:
            await self.delete(gone)

    def _scan(self, known: Mapping[str, Backup]) -> dict[str, Backup]:
        """In a thread. An archive that is known is not opened again."""
        found: dict[str, Backup] = {}
        with suppress(FileNotFoundError):
            for path in self._data.backups.iterdir():
                backup_id = path.name.removesuffix(SUFFIX)
                if path.name.endswith(SUFFIX) and _NAME.fullmatch(backup_id) and path.is_file():
                    with suppress(FileNotFoundError):
                        found[backup_id] = _backup(path, backup_id, known.get(backup_id))
        return found

    def _tidy(self) -> None:
        """What a crash left half-written."""
        with storage_errors("The folder backups"):
            for part in self._data.backups.glob(f".*{_PART}"):
                part.unlink(missing_ok=True)


def refusal(report: Report) -> SparkError:
    """Why a backup cannot be restored: the first thing that is wrong with it."""
    wrong = next(one for one in report.findings if one.severity == "error")
    return InvalidValue(wrong.message, param=wrong.code, advice=wrong.advice or None)


def _kind(backup_id: str) -> Kind:
    return next(kind for kind in KINDS if backup_id.startswith(f"{kind}-"))


def _backup(path: Path, backup_id: str, known: Backup | None) -> Backup:
    seen = path.stat()
    kept_at = datetime.fromtimestamp(seen.st_mtime, UTC)
    if known is not None and known.size == seen.st_size:
        return known
    manifest, problem = None, ""
    try:
        manifest = archive.manifest_of(path)
    except Damaged as error:
        problem = error.message
    except OSError as error:
        problem = f"It cannot be read: {error.strerror}."
    return Backup(backup_id, _kind(backup_id), seen.st_size, kept_at, manifest, problem)


def _new_seal() -> Seal:
    return Seal(
        seal.COST, secrets.token_bytes(seal.SALT_BYTES), secrets.token_bytes(seal.NONCE_BYTES)
    )


def _folder(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextmanager
def _new_file(path: Path) -> Iterator[Any]:
    """For us alone, and on the disk when the block ends."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _publish(part: Path, target: Path) -> None:
    """Give a whole archive its name."""
    _folder(target.parent)
    part.replace(target)
    descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # some file systems cannot; the file itself is on the disk
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


async def _save(chunks: AsyncIterator[bytes], to: Path) -> None:
    size = 0
    with _new_file(to) as file:
        async for chunk in chunks:
            size += len(chunk)
            if size > LARGEST:
                raise InvalidValue(f"A backup is at most {LARGEST >> 30} GiB large.")
            if shutil.disk_usage(to.parent).free < SPARE_BYTES + len(chunk):
                raise InsufficientStorage(
                    "The disk of the data directory is too full for this upload.",
                    advice="Free space in the data directory and try again.",
                )
            await asyncio.to_thread(file.write, chunk)

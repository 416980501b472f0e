"""Backups of the running app: made by hand and on schedule, kept, checked, staged.

Owns the folder `backups`, what of it is in memory, and the task that keeps the schedule. Work on
files is done beside the loop, one at a time. Refuses to restore by itself: a restore is staged, and
carried out by the next start (`restore`).
"""

import asyncio
import os
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from server.base.bus import EventBus
from server.base.clock import Clock, iso
from server.base.errors import Conflict, InvalidValue, NotFound, SparkError
from server.base.files import storage_errors
from server.base.ids import new_id
from server.base.logs import get_logger
from server.config.model import Backups as Settings
from server.config.paths import DataDir
from server.store.database import Database
from server.upkeep.backup import archive, restore, seal, shelf
from server.upkeep.backup.examine import examine
from server.upkeep.backup.manifest import DATABASE
from server.upkeep.backup.model import SUFFIX, Backup, Kind, Report, Staged
from server.upkeep.backup.retention import due, kept

LOOK_SECONDS = 60.0
PIECE_BYTES = 1 << 20
"""Of an upload is written at once, beside the loop."""
AGAIN_SECONDS = 3600.0
"""After a scheduled backup that failed."""
UPLOADS_KEPT = 3


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
        self._restored: restore.Restored | None = None
        self._busy = asyncio.Lock()
        self._receiving = asyncio.Lock()
        self._started = clock.now()
        self._again = 0.0
        self._problem = ""
        self._task: asyncio.Task[None] | None = None
        self._log = get_logger("backup")

    # ---- life

    async def start(self) -> None:
        self._started = self._clock.now()
        self._staged = await asyncio.to_thread(restore.staged, self._data)
        self._restored = await asyncio.to_thread(restore.last, self._data)
        with suppress(SparkError):
            await asyncio.to_thread(shelf.tidy, self._data.backups)
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
            except Exception:  # a bug of ours: without this task none would be made again
                self._again = self._clock.monotonic() + AGAIN_SECONDS
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

    def restored(self) -> restore.Restored | None:
        """The last restore that a start carried out, while what it replaced is kept."""
        return self._restored

    def due_at(self) -> datetime | None:
        # One from a time that is still to come (a clock that was wrong) puts nothing off.
        now = self._clock.now()
        times = [one.kept_at for one in self._known.values() if one.kind == "scheduled"]
        made = [at for at in times if at <= now]
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
        self._known = await asyncio.to_thread(shelf.scan, self._data.backups, dict(self._known))
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
            async with self._room(backup_id) as folder:
                database = folder / DATABASE
                shelf.create_empty(database)
                copied = database if await self._database.copy(database) else None
                made = await asyncio.to_thread(
                    shelf.write, self._data, backup_id, passphrase, copied, now
                )
            self._known[backup_id] = made
        self._log.info(
            "backup.made", backup=backup_id, size=made.size, sealed=passphrase is not None
        )
        self._told()
        return made

    async def receive(self, chunks: AsyncIterator[bytes]) -> Backup:
        """Keep an archive that is handed in, one at a time. Raises `Damaged` for what is none,
        `PayloadTooLarge`, `InsufficientStorage`, and `Conflict` while another one comes."""
        backup_id = new_id("uploaded", self._clock.now())
        if self._receiving.locked():
            raise Conflict("Another backup is being handed in at this moment.")
        # Not while `busy`: a caller that sends slowly would keep everything else waiting.
        async with self._receiving, self._room(backup_id) as folder:
            part = folder / "upload"
            await _save(chunks, part)
            await asyncio.to_thread(archive.manifest_of, part)
            await asyncio.to_thread(shelf.publish, part, self._data.backups / (backup_id + SUFFIX))
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
        async with self._busy, self._room(backup_id) as folder:
            return await asyncio.to_thread(examine, path, passphrase, folder, self._environ)

    async def stage(self, backup_id: str, passphrase: str | None = None) -> tuple[Report, Staged]:
        """The next start restores it. Raises `InvalidValue` with the first thing that is wrong."""
        path = self.file(backup_id)
        async with self._busy, self._room(backup_id) as folder:
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

    @asynccontextmanager
    async def _room(self, name: str) -> AsyncIterator[Path]:
        """A folder to work in, gone at the end."""
        with storage_errors(f"The backup {name}"):
            folder = Path(tempfile.mkdtemp(prefix="backup-", dir=self._data.tmp))
            try:
                yield folder
            finally:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def _clear_out(self) -> None:
        """What the rules of retention no longer keep. What was made by hand is never touched."""
        settings = self._settings()
        scheduled = [(b.id, b.kept_at) for b in self._known.values() if b.kind == "scheduled"]
        stays = kept(scheduled, settings.keep_daily, settings.keep_weekly)
        uploads = [one.id for one in self.list() if one.kind == "uploaded"]
        for gone in [*({name for name, _ in scheduled} - stays), *uploads[UPLOADS_KEPT:]]:
            await self.delete(gone)


def refusal(report: Report) -> SparkError:
    """Why a backup cannot be restored: the first thing that is wrong with it."""
    wrong = next(one for one in report.findings if one.severity == "error")
    return InvalidValue(wrong.message, param=wrong.code, advice=wrong.advice or None)


async def _save(chunks: AsyncIterator[bytes], to: Path) -> None:
    """What a caller sends, as it comes. No write holds the loop up."""
    upload = await asyncio.to_thread(shelf.Upload, to)
    try:
        pending = bytearray()
        async for chunk in chunks:
            pending += chunk
            if len(pending) >= PIECE_BYTES:
                await asyncio.to_thread(upload.put, bytes(pending))
                pending.clear()
        await asyncio.to_thread(upload.put, bytes(pending))
        await asyncio.to_thread(upload.finish)
    finally:
        upload.close()

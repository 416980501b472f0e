"""The folder of archives: what is in it, a new one written into it, one taken from a caller.

Owns the files and their names; blocks, so it is called beside the loop. An archive gets its name in
one step when it is whole and on the disk. Refuses names that are not of our making: what else lies
in the folder is left alone.
"""

import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from server import __version__
from server.base.errors import InsufficientStorage, PayloadTooLarge
from server.base.files import storage_errors
from server.config.paths import DataDir
from server.store.migrations import HEAD
from server.upkeep.backup import archive, seal
from server.upkeep.backup.examine import SPARE_BYTES
from server.upkeep.backup.gather import Gathered, gather
from server.upkeep.backup.manifest import DATABASE, Damaged, Manifest
from server.upkeep.backup.model import KINDS, SUFFIX, Backup
from server.upkeep.backup.seal import Seal

LARGEST = 4 << 30
"""Bytes of an archive that is handed in."""

_NAME = re.compile(rf"({'|'.join(KINDS)})-[0-9a-z]{{1,40}}")
_PART = ".part"


def scan(folder: Path, known: Mapping[str, Backup]) -> dict[str, Backup]:
    """All archives, by id. One that is in `known` and has not changed is not opened again."""
    found: dict[str, Backup] = {}
    with suppress(FileNotFoundError), storage_errors(folder.name):
        for path in _files(folder):
            backup_id = path.name.removesuffix(SUFFIX)
            if _NAME.fullmatch(backup_id) and path.is_file() and not path.is_symlink():
                with suppress(FileNotFoundError):
                    found[backup_id] = _backup(path, backup_id, known.get(backup_id))
    return found


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SUFFIX}"))


def _backup(path: Path, backup_id: str, known: Backup | None) -> Backup:
    seen = path.stat()
    kept_at = changed_at = datetime.fromtimestamp(seen.st_mtime, UTC)
    if known is not None and (known.size, known.changed_at) == (seen.st_size, changed_at):
        return known
    manifest, problem = None, ""
    try:
        manifest = archive.manifest_of(path)
    except Damaged as error:
        problem = error.message
    except OSError as error:
        problem = f"It cannot be read: {error.strerror}."
    kind = next(one for one in KINDS if backup_id.startswith(f"{one}-"))
    if manifest is not None and kind != "uploaded":
        kept_at = manifest.made_at
    return Backup(backup_id, kind, seen.st_size, kept_at, changed_at, manifest, problem)


def tidy(folder: Path) -> None:
    """Remove what a crash left half-written."""
    with storage_errors(folder.name):
        for part in folder.glob(f".*{_PART}"):
            part.unlink(missing_ok=True)


def write(
    data: DataDir, backup_id: str, passphrase: str | None, database: Path | None, now: datetime
) -> Backup:
    """Gather everything and write the archive. `database`: a copy of it, None when it is none of
    ours. Without a passphrase the secrets are left out."""
    gathered = gather(data)
    sources = dict(gathered.sources) | ({} if database is None else {DATABASE: database})
    sealing = passphrase is not None and bool(gathered.secrets)
    manifest = Manifest(
        id=backup_id,
        made_at=now,
        version=__version__,
        schema=None if database is None else HEAD,
        entries=tuple(archive.entry_of(name, source) for name, source in sources.items()),
        seal=_new_seal() if sealing else None,
        left_out=tuple(_left_out(gathered, sealing=sealing, database=database is not None)),
    )
    blob = None
    if passphrase is not None and manifest.seal is not None:
        blob = seal.sealed(gathered.secrets, passphrase, manifest.seal, manifest.encode())
    target = data.backups / (backup_id + SUFFIX)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}{_PART}")
    try:
        with _new_file(part) as file:
            archive.write(file, manifest, sources, blob)
        publish(part, target)
    finally:
        part.unlink(missing_ok=True)
    return _backup(target, backup_id, None)


def _left_out(gathered: Gathered, *, sealing: bool, database: bool) -> Iterator[str]:
    if not database:
        yield "The database is not in it: it is on a server, which has its own backups."
    if gathered.secrets and not sealing:
        yield "The SSH key is not in it: no passphrase was given to seal it."
    yield from gathered.left_out


def _new_seal() -> Seal:
    return Seal(
        seal.COST, secrets.token_bytes(seal.SALT_BYTES), secrets.token_bytes(seal.NONCE_BYTES)
    )


class Upload:
    """An archive while it comes, in a new file. Raises `PayloadTooLarge` and
    `InsufficientStorage`; `close` it in any case."""

    def __init__(self, path: Path) -> None:
        self._folder = path.parent
        self._file = _opened(path)
        self._size = 0

    def put(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > LARGEST:
            raise PayloadTooLarge(f"A backup is at most {LARGEST >> 30} GiB large.")
        if shutil.disk_usage(self._folder).free < SPARE_BYTES + len(data):
            raise InsufficientStorage(
                "The disk of the data directory is too full for this upload.",
                advice="Free space in the data directory and try again.",
            )
        self._file.write(data)

    def finish(self) -> None:
        """All of it is on the disk then."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def publish(part: Path, target: Path) -> None:
    """Give a whole archive its name."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part.replace(target)
    descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # some file systems cannot; the file itself is on the disk
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create_empty(path: Path) -> None:
    """For us alone, before anybody else writes into it."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """For us alone, and on the disk when the block ends."""
    with _opened(path) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _opened(path: Path) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    return os.fdopen(os.open(path, flags, 0o600), "wb")

"""Putting a proven backup in place, at a start, before anything is open.

Theory. A running app has its files open, so a restore is staged: everything is unpacked and proven
in a folder of its own, which then gets its final name in one step. The next start finds it and
carries it out, file by file: what is there gets a second name in the set-aside folder, then the new
file takes its place in one step. Each step is done once: when the power fails between two, the next
start goes on where this one was, because what was put in place is no longer in the staged folder.
At no moment is a file half there or missing. What was not there when the backup was made is moved
aside too, but never what was left out of it (secrets without a passphrase, a database elsewhere),
and never the pinned host keys. A password that is there stays: an old one may have been given up
for a reason.

Owns the two folders. Refuses to look into the files again: that was done when they were staged.
"""

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from server.base.clock import iso, parse_iso
from server.base.files import atomic_write, storage_errors
from server.config.paths import DataDir
from server.upkeep.backup.carry import carry_over
from server.upkeep.backup.gather import places
from server.upkeep.backup.manifest import (
    CONFIG,
    DATABASE,
    MODELS,
    PASSWORD,
    PATCHES,
    SECRETS,
    Manifest,
)
from server.upkeep.backup.model import Staged

NOTE, RESTORED = "staged.json", "restored.json"
SET_ASIDE = "set-aside"
KEPT_ASIDE = 3
_SIDES = ("-wal", "-shm", "-journal")
_PATCHES = PATCHES.rstrip("/")
_SINGLE = (CONFIG, MODELS)


@dataclass(frozen=True, slots=True)
class Restored:
    """`aside`: the name of the folder with what was there."""

    id: str
    made_at: datetime
    at: datetime
    aside: str

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "made_at": iso(self.made_at),
            "at": iso(self.at),
            "set_aside": f"{SET_ASIDE}/{self.aside}",
        }


# ---- staging


def stage(data: DataDir, folder: Path, manifest: Manifest, now: datetime) -> Staged:
    """`folder` holds the proven files; it becomes the staged one. A staged one is replaced."""
    files = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    singles = [name for name in files if not name.startswith(PATCHES)]
    patched = len(singles) < len(files)
    whole = [*singles, *([_PATCHES] if patched else [])]
    gone = [name for name in _SINGLE if name not in singles]
    gone += [] if patched else [_PATCHES]
    here = places(data) | {_PATCHES: data.patches}
    removed = [name for name in gone if here[name].exists()]
    staged = Staged(manifest.id, manifest.made_at, now, tuple(whole), tuple(removed))
    with storage_errors("The folder restore"):
        atomic_write(folder / NOTE, json.dumps(staged.to_dict()).encode())
        unstage(data)
        folder.rename(data.restore)
    return staged


def staged(data: DataDir) -> Staged | None:
    """What the next start will put in place."""
    try:
        body = json.loads((data.restore / NOTE).read_bytes())
        return Staged(
            body["id"],
            parse_iso(body["made_at"]),
            parse_iso(body["staged_at"]),
            tuple(body["files"]),
            tuple(body["removed"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def unstage(data: DataDir) -> None:
    with storage_errors("The folder restore"):
        # Without its note it is nothing, also when the rest is removed only in part.
        (data.restore / NOTE).unlink(missing_ok=True)
        if data.restore.exists():
            shutil.rmtree(data.restore)


# ---- at the start


def carry_out(data: DataDir, now: datetime) -> Restored | None:
    """Put what is staged in place; None when nothing is. For a process that holds the data
    directory and has nothing of it open. Raises `Unavailable` or `InsufficientStorage`; then the
    next start goes on."""
    found = staged(data)
    if found is None:
        if data.restore.exists():
            unstage(data)
        return None
    # A name that stays the same when this is begun again.
    aside = data.set_aside / f"{found.staged_at:%Y%m%d-%H%M%S}-before-{found.id}"
    with storage_errors("The set-aside folder"):
        data.set_aside.mkdir(mode=0o700, exist_ok=True)
        aside.mkdir(mode=0o700, exist_ok=True)
    here = places(data) | {_PATCHES: data.patches}
    for name in found.files:
        with storage_errors(name):
            if name == DATABASE:
                _database(data, aside)
            elif name == _PATCHES:
                _folder(data.restore / name, data.patches, aside / name)
            elif name == PASSWORD and here[name].exists():
                (data.restore / name).unlink(missing_ok=True)
            elif name in here:
                _file(data.restore / name, here[name], aside / name, private=name in SECRETS)
    for name in found.removed:
        with storage_errors(name):
            if name in here and here[name].exists():
                _move(here[name], aside / name)
    restored = Restored(found.id, found.made_at, now, aside.name)
    atomic_write(aside / RESTORED, json.dumps(restored.to_dict()).encode())
    unstage(data)
    _forget_old(data.set_aside)
    return restored


def last(data: DataDir) -> Restored | None:
    """The newest restore that was carried out here, as long as what it set aside is kept."""
    with contextlib.suppress(OSError):
        for folder in reversed(_newest_last(data.set_aside.iterdir())):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                body = json.loads((folder / RESTORED).read_bytes())
                made_at, at = parse_iso(body["made_at"]), parse_iso(body["at"])
                return Restored(body["id"], made_at, at, folder.name)
    return None


def _file(new: Path, target: Path, aside: Path, *, private: bool) -> None:
    if not new.exists():
        return  # a start before this one did it
    real = Path(os.path.realpath(target))
    if real.exists():
        if not aside.exists():
            _second_name(real, aside)
        if not private:
            # Who could read the old file can read the new one.
            new.chmod(real.stat().st_mode & 0o755 | 0o600)
    _replace(new, real)


def _folder(new: Path, target: Path, aside: Path) -> None:
    if not new.exists():
        return
    if target.exists() and not aside.exists():
        _move(target, aside)
    _move(new, target)


def _database(data: DataDir, aside: Path) -> None:
    """The log of the old database must be gone before the new one lies there: it would be played
    into it. Until then it lies beside the old one's second name."""
    new, here = data.restore / DATABASE, data.database
    if not new.exists():
        return
    kept = aside / DATABASE
    if here.exists() and not kept.exists():
        _second_name(here, kept)
    for side in _SIDES:
        log = here.with_name(here.name + side)
        if log.exists():
            _move(log, kept.with_name(kept.name + side))
    carry_over(new, _copy_of(kept, data.restore) if kept.exists() else None)
    _replace(new, here)


def _copy_of(kept: Path, folder: Path) -> Path:
    """To read from: opening it plays its log into it, and what was set aside stays as it was."""
    copy = folder / "before.db"
    for side in ("", *_SIDES):
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(kept.with_name(kept.name + side), copy.with_name(copy.name + side))
    return copy


def _second_name(path: Path, aside: Path) -> None:
    """The file under another name as well: no moment without it."""
    aside.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.link(path, aside)
    except OSError as error:
        # Some file systems have no second names, and the overrides may lie on another disk.
        if error.errno not in {errno.EPERM, errno.EXDEV, errno.ENOTSUP, errno.EMLINK}:
            raise
        atomic_copy(path, aside)


def _replace(new: Path, real: Path) -> None:
    real.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        new.replace(real)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        atomic_copy(new, real)
        new.unlink()


def atomic_copy(source: Path, to: Path) -> None:
    """Whole or not at all."""
    part = to.with_name(f".{to.name}.restore.part")
    shutil.copyfile(source, part)
    part.chmod(source.stat().st_mode & 0o777)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(to)


def _move(source: Path, to: Path) -> None:
    to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not to.exists():
        shutil.move(source, to)
    elif source.is_dir():
        shutil.rmtree(source)
    else:
        source.unlink()


def _forget_old(set_aside: Path) -> None:
    """All but the newest few: their names sort by time."""
    for old in _newest_last(set_aside.iterdir())[:-KEPT_ASIDE]:
        shutil.rmtree(old, ignore_errors=True)


def _newest_last(folders: Iterable[Path]) -> list[Path]:
    return sorted(path for path in folders if path.is_dir() and not path.is_symlink())

"""A restore without a running app: into a data directory that this process claims for itself.

Owns the order: claim, prove, stage, put in place. Refuses a directory that an app has open.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from server.base.errors import NotFound
from server.base.files import storage_errors
from server.config.paths import DataDir
from server.upkeep.backup import restore
from server.upkeep.backup.examine import examine
from server.upkeep.backup.model import Report


def restore_into(
    file: Path,
    path: Path,
    passphrase: str | None,
    environ: Mapping[str, str],
    *,
    only_check: bool = False,
) -> Report:
    """Raises `NotFound`, `Conflict` while an app runs there, and what the disk says. A report that
    is not `ok` has changed nothing."""
    if not file.is_file():
        raise NotFound(f"There is no file {file.name[:100]!r}.")
    data = DataDir(path, environ)
    data.prepare()
    with data.claim(), storage_errors("The restore"):
        folder = Path(tempfile.mkdtemp(prefix="backup-", dir=data.tmp))
        try:
            report = examine(file, passphrase, folder, environ)
            if report.ok and report.manifest is not None and not only_check:
                now = datetime.now(UTC)
                restore.stage(data, folder, report.manifest, now)
                restore.carry_out(data, now)
                _give_back(data.path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return report


def _give_back(path: Path) -> None:
    """What root wrote belongs to whom the directory belongs to: the app must be able to read it."""
    owner = path.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        for each in path.rglob("*"):
            os.chown(each, owner.st_uid, owner.st_gid, follow_symlinks=False)

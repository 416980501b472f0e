"""Whether what was unpacked can be used: each file as the app itself would read it at a start.

Owns the findings. Nothing is written outside the folder it is given, and the database is opened
without the right to write and without running anything that stands in it.
"""

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

from server import __version__
from server.base.errors import InsufficientStorage, SparkError
from server.base.finding import Finding, Severity
from server.catalog.files import parse
from server.config.load import ConfigError, settle
from server.config.paths import DATABASE_URL
from server.ssh.identity import load_identity
from server.store.migrations import REVISIONS
from server.upkeep.backup import archive
from server.upkeep.backup.archive import Unpacked
from server.upkeep.backup.manifest import CONFIG, DATABASE, KEY, MODELS, Damaged, Manifest
from server.upkeep.backup.model import Report
from server.upkeep.backup.seal import WrongPassphrase

OK, INFO, WARNING, ERROR = Severity.OK, Severity.INFO, Severity.WARNING, Severity.ERROR
_ADVICE = "Nothing was changed. Take another backup."
_TABLES = frozenset({"table", "index"})
SPARE_BYTES = 256 << 20
"""What is left free on the disk."""


def examine(path: Path, passphrase: str | None, folder: Path, environ: Mapping[str, str]) -> Report:
    """Unpack `path` into the empty `folder` and look at everything. `environ`: what the
    app is started with. Raises only what the disk says."""
    try:
        _room_for(archive.manifest_of(path), folder)
        unpacked = archive.unpack(path, folder)
    except Damaged as error:
        found = Finding("archive", ERROR, error.message, error.advice or "")
        return Report(_told(path), (found,))
    manifest = unpacked.manifest
    findings = [
        Finding("archive", OK, f"{len(manifest.entries)} files, all as they were put in."),
        *_version(manifest),
        *_secrets(unpacked, passphrase, folder),
        *_config(folder / CONFIG, environ),
        *_models(folder / MODELS),
        *_database(folder / DATABASE, manifest, environ),
        *(Finding("left_out", WARNING, sentence) for sentence in manifest.left_out),
    ]
    return Report(manifest, tuple(findings))


def _room_for(manifest: Manifest, folder: Path) -> None:
    """A few bytes may unpack to gigabytes, and the database needs some room to go on."""
    if shutil.disk_usage(folder).free < manifest.size + SPARE_BYTES:
        raise InsufficientStorage(
            f"There is no room to unpack this backup: {manifest.size:,} bytes.",
            advice="Free space in the data directory and try again.",
        )


def _told(path: Path) -> Manifest | None:
    with contextlib.suppress(Damaged):
        return archive.manifest_of(path)
    return None


def _version(manifest: Manifest) -> Iterator[Finding]:
    if manifest.version != __version__:
        yield Finding(
            "version",
            INFO,
            f"It was made by Spark Control {manifest.version}; this is {__version__}.",
        )


def _secrets(unpacked: Unpacked, passphrase: str | None, folder: Path) -> Iterator[Finding]:
    if unpacked.manifest.seal is None:
        message = "There is no SSH key in it: the one that is here stays, or a new one is made."
        yield Finding("secrets", WARNING, message, "Hosts must know the public key that is used.")
        return
    if not passphrase:
        yield Finding(
            "secrets",
            WARNING,
            "The SSH key in it is sealed: without the passphrase the one that is here stays.",
            "Give the passphrase to restore the key as well.",
        )
        return
    try:
        names = archive.unseal(unpacked, passphrase, folder)
        if KEY in names:
            load_identity(folder / KEY)
    except (WrongPassphrase, Damaged) as error:
        yield Finding("secrets", ERROR, error.message, error.advice or _ADVICE)
    except SparkError as error:
        yield Finding("secrets", ERROR, f"In the backup: {error.message}", _ADVICE)
    else:
        yield Finding("secrets", OK, "The passphrase opens it, and the SSH key is one.")


def _config(path: Path, environ: Mapping[str, str]) -> Iterator[Finding]:
    raw = path.read_bytes() if path.exists() else b""
    try:
        settings = settle(raw, environ)
    except ConfigError as error:
        for problem in error.problems[:10]:
            yield Finding("config", ERROR, problem, _ADVICE)
    else:
        hosts, services = len(settings.hosts), len(settings.services)
        yield Finding("config", OK, f"config.yaml is good: {hosts} hosts, {services} services.")
        if settings.auth.mode == "open":
            yield Finding(
                "login",
                INFO,
                "With its config.yaml the dashboard asks nobody for a password.",
                "If one is asked for now, ask for it again after the restore: Settings, Access.",
            )


def _models(path: Path) -> Iterator[Finding]:
    if not path.exists():
        yield Finding("models", INFO, "There are no models of your own in it.")
        return
    document = parse(path.read_bytes(), MODELS)
    if document.readable:
        yield Finding("models", OK, f"{MODELS} can be read.")
    for problem in document.problems[:10]:
        where = "" if problem.line is None else f" line {problem.line}:"
        severity = WARNING if document.readable else ERROR
        yield Finding("models", severity, f"{MODELS}:{where} {problem.message}", _ADVICE)


def _database(path: Path, manifest: Manifest, environ: Mapping[str, str]) -> Iterator[Finding]:
    if manifest.schema is None:
        message = "There is no database in it: history, keys and usage stay as they are here."
        yield Finding("database", WARNING, message)
        return
    if environ.get(DATABASE_URL):
        message = f"The database in it is not restored: {DATABASE_URL} names another one."
        yield Finding("database", WARNING, message, f"Start without {DATABASE_URL} to restore it.")
        path.unlink()
        return
    try:
        problem = _problem(path, manifest.schema)
    except sqlite3.Error:
        problem = "cannot be read"
    if problem:
        yield Finding("database", ERROR, f"The database in it {problem}.", _ADVICE)
    else:
        size = path.stat().st_size
        yield Finding("database", OK, f"The database is whole ({size:,} bytes, {manifest.schema}).")


def _problem(path: Path, schema: str) -> str:
    """What is wrong with it, empty when nothing is."""
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA cell_size_check=ON")
        if any(
            kind not in _TABLES or str(sql or "").upper().startswith("CREATE VIRTUAL")
            for kind, sql in connection.execute("SELECT type, sql FROM sqlite_master")
        ):
            return "holds more than tables: we never put anything there that runs by itself"
        if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            return "is damaged"
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if row is None or row[0] not in REVISIONS:
        return "is of a newer Spark Control: install that version first, then restore"
    return "" if row[0] == schema else "is not of the kind that its manifest says"

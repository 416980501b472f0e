"""What the database's own errors mean to a caller: full, read-only, locked, broken, out of reach.

Pure. Refuses to translate what is a mistake of the program (a wrong statement, a broken
constraint): those stay what they are and surface as a bug.
"""

from sqlalchemy.exc import DBAPIError

from server.base.errors import InsufficientStorage, SparkError, Unavailable

FULL_MARGIN = 64 * 1024
"""An I/O error with less free space than this is a full disk: WAL growth fails as SQLITE_IOERR."""

_LOCKED = (
    "is locked by another program",
    "Close other programs that have it open; run one Spark Control for each data directory.",
    1.0,
)
_NOT_OPENED = (
    "cannot be opened: the directory is missing or permission was denied",
    "Give the user that runs Spark Control read and write access to the data directory.",
    None,
)
_SQLITE: dict[str, tuple[str, str, float | None]] = {
    "READONLY": (
        "cannot be written: the data directory is read-only or belongs to another user",
        "Mount the data directory writable, for the user that runs Spark Control.",
        None,
    ),
    "BUSY": _LOCKED,
    "LOCKED": _LOCKED,
    "CANTOPEN": _NOT_OPENED,
    "PERM": _NOT_OPENED,
    "AUTH": _NOT_OPENED,
    "IOERR": (
        "could not be read or written: the disk reported an I/O error",
        "Check the disk that holds the data directory (system log, SMART).",
        None,
    ),
}

_PG_FULL = frozenset({"53100", "53200"})
_PG_GONE = ("08", "57P")


def fault(error: DBAPIError, *, name: str, free: int | None = None) -> SparkError | None:
    """The clear error for `error`, or None when it is none of the known ones.

    `name` is the file (or the server) in words a person knows; `free` the bytes free beside it.
    """
    cause = error.orig
    code = getattr(cause, "sqlite_errorname", None)
    if isinstance(code, str):
        return sqlite_fault(code, name=name, free=free)
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    if state in _PG_FULL:
        return full(name)
    if error.connection_invalidated or (isinstance(state, str) and state.startswith(_PG_GONE)):
        return unreachable(name)
    return None


def sqlite_fault(code: str, *, name: str, free: int | None = None) -> SparkError | None:
    """By the name of SQLite's extended result code, e.g. `SQLITE_IOERR_WRITE`."""
    kind = code.split("_")[1] if "_" in code else code
    if kind == "FULL" or (kind == "IOERR" and free is not None and free < FULL_MARGIN):
        return full(name)
    if kind in {"CORRUPT", "NOTADB"}:
        return corrupt(name)
    if kind not in _SQLITE:
        return None
    what, advice, retry_after = _SQLITE[kind]
    return Unavailable(f"{name} {what}.", advice=advice, retry_after=retry_after)


def full(name: str) -> InsufficientStorage:
    return InsufficientStorage(
        f"{name} could not be written: the disk is full. Nothing that was saved before is lost.",
        advice="Free space in the data directory (or raise its quota) and try again.",
    )


def corrupt(name: str) -> Unavailable:
    return Unavailable(
        f"{name} is damaged and cannot be used as a database.",
        advice=(
            f"Restore {name} from a backup; or stop Spark Control, move {name} (and its -wal and "
            "-shm) away and start again: the swap history and learned times start anew, hosts, "
            "models and settings are kept."
        ),
    )


def newer(name: str, version: str) -> Unavailable:
    return Unavailable(
        f"{name} was written by a newer Spark Control (schema {version}) and cannot be used.",
        advice="Install the newer version again, or restore the backup made before the upgrade.",
    )


def unreachable(name: str) -> Unavailable:
    return Unavailable(
        f"{name} cannot be reached.",
        advice="Check that the database server runs, and SPARK_CONTROL_DATABASE_URL.",
        retry_after=5,
    )

"""Small files that must last: whole or not at all, one writer at a time.

Owns the atomic write, the lock beside a file, and the words for a disk that will not take more.
Refuses large data: what is of user size is streamed elsewhere. Errors name the file by its name,
never by a path of the server.
"""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from server.base.errors import InsufficientStorage, SparkError, Unavailable

TEMP_SUFFIX = ".part"

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_READ_ONLY = frozenset({errno.EROFS})
_DENIED = frozenset({errno.EACCES, errno.EPERM})
_MOUNTED = frozenset({errno.EBUSY, errno.EXDEV})
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR})


def storage_error(name: str, error: OSError) -> SparkError:
    """What to tell a caller when `name` could not be written because of `error`."""
    number = error.errno
    if number in _FULL:
        return InsufficientStorage(
            f"{name} could not be saved: the disk of the data directory is full. "
            "Nothing that was saved before is lost.",
            advice="Free space in the data directory (or raise its quota) and try again.",
        )
    if number in _READ_ONLY:
        reason, advice = "the data directory is read-only", "Mount it writable and try again."
    elif number in _DENIED:
        reason = "permission was denied"
        advice = "Give the user that runs Spark Control write access to the data directory."
    elif number in _MOUNTED:
        reason = "it is a mount point of its own"
        advice = "Mount the directory that holds it, not the single file."
    elif number in _NOT_THERE:
        reason, advice = "its directory is missing", "Create the data directory again and restart."
    else:
        reason = os.strerror(number) if number else type(error).__name__
        advice = "Check the disk that holds the data directory."
    return Unavailable(
        f"{name} could not be saved: {reason}. Nothing that was saved before is lost.",
        advice=advice,
    )


@contextlib.contextmanager
def storage_errors(name: str) -> Iterator[None]:
    """Turn any OSError of the block into the clear error for `name`."""
    try:
        yield
    except OSError as error:
        raise storage_error(name, error) from error


def atomic_write(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace `path` by `data`: readers see the old file or the new one, also after a power cut.

    A symlink is followed, so that a linked file stays linked. The temporary file is removed on
    every path but a crash of the process (`remove_leftovers` does that at the next start).
    """
    with storage_errors(path.name):
        target = Path(os.path.realpath(path))
        descriptor, name = tempfile.mkstemp(
            dir=target.parent, prefix=f".{target.name}.", suffix=TEMP_SUFFIX
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            Path(name).replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
        _sync_directory(target.parent)


def _sync_directory(path: Path) -> None:
    """Make the rename itself durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and FUSE file systems cannot sync a directory; the file itself is synced.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def locked(path: Path, timeout: float = 10) -> Iterator[None]:
    """Hold `path.lock` against other threads and processes. Hold it from read to write.

    The kernel drops the lock when its holder dies, so a crash never leaves it behind.
    """
    target = Path(os.path.realpath(path))
    lock = FileLock(target.with_name(f"{target.name}.lock"), mode=0o600, thread_local=False)
    with storage_errors(path.name):
        try:
            lock.acquire(timeout=timeout)
        except Timeout:
            raise Unavailable(
                f"{path.name} is being changed by somebody else and was not free in {timeout:g} s.",
                advice="Try again in a moment.",
                retry_after=1,
            ) from None
    try:
        yield
    finally:
        lock.release()


def remove_leftovers(path: Path) -> int:
    """Remove the temporary files that crashed writers of `path` left beside it; how many."""
    target = Path(os.path.realpath(path))
    found = list(target.parent.glob(f".{_literal(target.name)}.*{TEMP_SUFFIX}"))
    if not found:
        return 0
    with locked(path):  # every writer holds it, so what is there now belongs to nobody
        for leftover in found:
            leftover.unlink(missing_ok=True)
    return len(found)


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)

"""A disk of our own for tests that fill it up or make it read-only.

With the right to mount it is a real tmpfs; without it the same faults come from the file size limit
of the process and from permission bits, so that no machine passes these tests by not running them.
"""

import contextlib
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

NOBODY = 65534


class Disk(Protocol):
    path: Path
    real: bool

    def full(self) -> contextlib.AbstractContextManager[None]: ...
    def read_only(self) -> contextlib.AbstractContextManager[None]: ...


class MountedDisk:
    """A tmpfs of `size` bytes."""

    real = True

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Not one page is left until the block ends."""
        filler = self.path / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        try:
            yield
        finally:
            filler.unlink()

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        _mount("-o", "remount,ro", str(self.path))
        try:
            yield
        finally:
            _mount("-o", "remount,rw", str(self.path))


class LimitedDisk:
    """An ordinary directory, with the limits of the process in place of those of a disk."""

    real = False

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        self.path.chmod(0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(NOBODY)
        try:
            yield
        finally:
            if root:
                os.seteuid(0)
            self.path.chmod(0o700)


@contextlib.contextmanager
def disk(size: int = 1 << 20) -> Iterator[Disk]:
    """An empty disk, gone at the end of the block."""
    path = Path(tempfile.mkdtemp(prefix="disk-"))
    path.chmod(0o755)
    mounted = os.geteuid() == 0 and _try_mount(
        "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)
    )
    try:
        yield MountedDisk(path) if mounted else LimitedDisk(path)
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(path)], check=True, capture_output=True)
        shutil.rmtree(path)


def _try_mount(*words: str) -> bool:
    try:
        _mount(*words)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)

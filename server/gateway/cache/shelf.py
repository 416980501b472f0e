"""Answers as files: one each, written beside and renamed, the one unused longest goes first.

Owns the folder and its bounds. Every file carries a digest of itself, so that one that was cut off
or changed is thrown away and never answered. Blocking: its callers run it in a thread. Nothing is
made durable on purpose: what a power cut takes is computed again.
"""

import contextlib
import os
import tempfile
import threading
from collections import OrderedDict
from hashlib import blake2b
from pathlib import Path

import orjson

from server.gateway.cache.model import Kept

SUFFIX = ".answer"
PART = ".part"
_MAGIC = b"spark-control answer 1\n"
_DIGEST = 32


class Shelf:
    """`limit` bytes at most; an entry is good for `lifetime` seconds. Times are wall seconds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._total = 0

    @property
    def total(self) -> int:
        return self._total

    def open(self) -> None:
        """Make the folder, remove what crashed writers left, know what is there, oldest use first.

        Raises `OSError` when it cannot be used.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found: list[tuple[float, str, int]] = []
        for entry in os.scandir(self._folder):
            if not entry.is_file(follow_symlinks=False):
                continue
            if entry.name.endswith(SUFFIX):
                about = entry.stat(follow_symlinks=False)
                found.append((about.st_mtime, entry.name.removesuffix(SUFFIX), about.st_size))
            elif entry.name.endswith(PART):
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()
        with self._lock:
            self._sizes = OrderedDict((name, size) for _, name, size in sorted(found))
            self._total = sum(self._sizes.values())

    def get(self, name: str, now: float, lifetime: float) -> Kept | None:
        """None when it is not there, too old, or not what was written."""
        with self._lock:
            if name not in self._sizes:
                return None
            self._sizes.move_to_end(name)
        path = self._path(name)
        try:
            raw = path.read_bytes()
        except OSError:
            self.drop(name)
            return None
        kept = _read(raw, now)
        if kept is None or kept.age > lifetime:
            self.drop(name)
            return None
        with contextlib.suppress(OSError):
            os.utime(path, (now, now))  # so that the order of use outlives a restart
        return kept

    def put(self, name: str, kept: Kept, now: float, limit: int) -> bool:
        """False when it does not fit at all. Raises `OSError` when the disk does not take it; then
        nothing is left behind."""
        raw = _written(kept, now)
        if len(raw) > limit:
            return False
        self.shrink(limit - len(raw))
        descriptor, temporary = tempfile.mkstemp(dir=self._folder, suffix=PART)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(raw)
            Path(temporary).replace(self._path(name))
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
        with self._lock:
            self._total += len(raw) - self._sizes.pop(name, 0)
            self._sizes[name] = len(raw)
        self.shrink(limit)  # two at once may both have made room for one
        return True

    def shrink(self, limit: int) -> None:
        """Let go of what was unused longest until no more than `limit` bytes are kept."""
        while True:
            with self._lock:
                if self._total <= max(0, limit) or not self._sizes:
                    return
                name = next(iter(self._sizes))
            self.drop(name)

    def drop(self, name: str) -> None:
        with contextlib.suppress(OSError):
            self._path(name).unlink(missing_ok=True)
        with self._lock:
            self._total -= self._sizes.pop(name, 0)

    def _path(self, name: str) -> Path:
        return self._folder / (name + SUFFIX)


def _written(kept: Kept, now: float) -> bytes:
    pairs = [[key.decode("latin-1"), value.decode("latin-1")] for key, value in kept.headers]
    head = {"at": now - kept.age, "status": kept.status, "headers": pairs}
    told = orjson.dumps(head) + b"\n" + kept.body
    return _MAGIC + blake2b(told, digest_size=_DIGEST).digest() + told


def _read(raw: bytes, now: float) -> Kept | None:
    begin = len(_MAGIC) + _DIGEST
    told = raw[begin:]
    digest = blake2b(told, digest_size=_DIGEST).digest()
    if not raw.startswith(_MAGIC) or raw[len(_MAGIC) : begin] != digest:
        return None
    line, _, body = told.partition(b"\n")
    head = orjson.loads(line)
    headers = tuple((k.encode("latin-1"), v.encode("latin-1")) for k, v in head["headers"])
    return Kept(head["status"], headers, body, max(0.0, now - head["at"]))

"""Reads the two catalog files, and notices when a hand has changed them.

Owns the last good text of each file: what cannot be read (no YAML, no permission, not UTF-8) keeps
the document that was read before, and is told as a problem with its line.
"""

from collections.abc import Callable
from pathlib import Path

from server.catalog.document import MAX_BYTES, Document, read
from server.catalog.model import Problem

_SETTLED = 2.0
Stamp = tuple[int, int, int, int]


class CatalogFile:
    """One file: `document` is the last one that could be read, `problems` those of the newest."""

    def __init__(self, path: Path, wall: Callable[[], float]) -> None:
        self.path = path
        self.label = path.name
        self.document = Document()
        self.problems: tuple[Problem, ...] = ()
        self._wall = wall
        self._stamp: Stamp | str | None = "never"
        self._fresh_until = 0.0
        self._bytes: bytes | None = None

    def refresh(self) -> bool:
        """Look again; True when something that matters changed.

        A file that was written within the clock's own coarseness is read again until it has
        settled, so that two quick edits of the same size are never taken for one.
        """
        stamp = self._look()
        if stamp == self._stamp and self._wall() >= self._fresh_until:
            return False
        self._stamp = stamp
        changed_at = stamp[0] / 1e9 if isinstance(stamp, tuple) else 0.0
        self._fresh_until = changed_at + _SETTLED if changed_at + _SETTLED > self._wall() else 0.0
        return self._read()

    def _look(self) -> Stamp | str | None:
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            return error.strerror or "cannot be read"
        return (stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_mode)

    def _read(self) -> bool:
        before = (self.document, self.problems)
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            self._bytes, self.document, self.problems = None, Document(), ()
        except OSError as error:
            self._bytes = None
            reason = error.strerror or "unknown reason"
            self.problems = (Problem(self.label, None, f"cannot be read: {reason}"),)
        else:
            if data == self._bytes:
                return False
            self._bytes = data
            self._take(data)
        return before != (self.document, self.problems)

    def _take(self, data: bytes) -> None:
        document = parse(data, self.label)
        if document.readable:
            self.document = document
            self.problems = ()
        else:
            self.problems = document.problems


def parse(data: bytes, label: str) -> Document:
    """The document in these bytes; `readable` False when they hold none."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Document((), (Problem(label, line, "is not UTF-8 text"),), readable=False)
    return read(text, label)


def read_now(path: Path) -> str:
    """The text on disk, empty when there is no file. For a writer that holds the lock."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return ""

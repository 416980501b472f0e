"""What a multipart form says, whatever its boundary: a digest of its fields, made as it streams.

Owns cutting a form into parts without keeping one of them: only short values are kept, to be
looked at. Refuses nothing: a form that it cannot read is broken, and then there is no digest.
Pure.
"""

from dataclasses import dataclass, field
from hashlib import blake2b

HEAD = 16 * 1024
"""Bytes of one part's headers at most."""
SHORT = 4096
"""Bytes of a value that is kept to be looked at."""
PARTS = 64


@dataclass(slots=True)
class _Part:
    """One field while it streams."""

    name: str
    suffix: str
    file: bool
    hashed: "blake2b" = field(default_factory=lambda: blake2b(digest_size=32))
    value: bytes = b""
    size: int = 0

    def add(self, data: bytes | memoryview) -> None:
        self.hashed.update(data)
        if not self.file and self.size < SHORT:
            self.value += bytes(data[: SHORT - self.size])
        self.size += len(data)

    def line(self) -> bytes:
        kind = "file" if self.file else "value"
        return f"{self.name}\0{kind}\0{self.suffix}\0{self.hashed.hexdigest()}".encode()


class FormDigest:
    """Feed it the body as it comes; `digest()` after the end."""

    def __init__(self, boundary: bytes) -> None:
        # The first delimiter has no line break before it: as if there had been one.
        self._held = b"\r\n"
        self._delimiter = b"\r\n--" + boundary
        self._part: _Part | None = None
        self._parts: list[_Part] = []
        self._step = self._preamble
        self.broken = not boundary or len(boundary) > 200
        self._ended = False

    def feed(self, chunk: bytes) -> None:
        if self.broken or self._ended:
            return
        self._held = self._held + chunk if self._held else chunk
        while self._step():
            pass

    def _preamble(self) -> bool:
        return self._content(None)

    def _body(self) -> bool:
        return self._content(self._part)

    def _content(self, part: _Part | None) -> bool:
        """Everything up to the next delimiter belongs to `part`; True when that was found."""
        at = self._held.find(self._delimiter)
        if at >= 0:
            if part is not None:
                part.add(memoryview(self._held)[:at])
            self._held = self._held[at + len(self._delimiter) :]
            self._step = self._after
            return True
        safe = len(self._held) - len(self._delimiter) + 1
        if safe > 0:
            if part is not None:
                part.add(memoryview(self._held)[:safe])
            self._held = self._held[safe:]
        return False

    def _after(self) -> bool:
        """What follows a delimiter: `--` ends the form, a line break begins a part."""
        if len(self._held) < 2:
            return False
        if self._held.startswith(b"--"):
            self._ended = True
            return False
        if not self._held.startswith(b"\r\n"):
            self.broken = True
            return False
        self._step = self._headers
        return True

    def _headers(self) -> bool:
        end = self._held.find(b"\r\n\r\n")
        if end < 0:
            self.broken = len(self._held) > HEAD
            return False
        part = _part(self._held[:end])
        if part is None or len(self._parts) >= PARTS or end > HEAD:
            self.broken = True
            return False
        self._held = self._held[end + 4 :]
        self._parts.append(part)
        self._part = part
        self._step = self._body
        return True

    def digest(self) -> str | None:
        """Of the fields in the order of their names; None for a form that did not end or read."""
        if self.broken or not self._ended or not any(part.file for part in self._parts):
            return None
        whole = blake2b(digest_size=32)
        for line in sorted(part.line() for part in self._parts):
            whole.update(len(line).to_bytes(4, "big") + line)
        return whole.hexdigest()

    def value(self, name: str) -> bytes | None:
        """A short field, the last of its name."""
        found = [part.value for part in self._parts if part.name == name and not part.file]
        return found[-1].strip() if found else None


def _part(head: bytes) -> _Part | None:
    """From the headers of a part. Of a file's name only the ending counts: it tells the format."""
    for line in head.lstrip(b"\r\n").split(b"\r\n"):
        key, _, value = line.partition(b":")
        if key.strip().lower() == b"content-disposition":
            given = _parameters(value)
            name = given.get("name")
            if name is None:
                return None
            filename = given.get("filename", given.get("filename*"))
            suffix = "" if filename is None else filename.rpartition(".")[2].lower()[:16]
            return _Part(name, suffix, filename is not None)
    return None


def _parameters(value: bytes) -> dict[str, str]:
    """`form-data; name="file"; filename="a;b.wav"`; quotes may hold a semicolon."""
    found: dict[str, str] = {}
    text = value.decode("utf-8", "replace")
    _, _, rest = text.partition(";")
    while rest:
        key, _, rest = rest.partition("=")
        rest = rest.lstrip()
        if rest.startswith('"'):
            end = rest.find('"', 1)
            while end > 0 and rest[end - 1] == "\\":
                end = rest.find('"', end + 1)
            end = len(rest) if end < 0 else end
            word, rest = rest[1:end], rest[end + 1 :].partition(";")[2]
        else:
            word, _, rest = rest.partition(";")
        found[key.strip().lower()] = word.strip()
    return found

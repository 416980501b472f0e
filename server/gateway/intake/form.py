"""The leading parts of a multipart form, read while they come. Pure.

    at a delimiter ─ headers ─┬─ a field ── its value, up to the next delimiter ── at a delimiter
                              ├─ a file: done, the rest is passed on unread
                              └─ the closing delimiter, or more than `HEAD_LIMIT` bytes: done
Owns finding the fields that routing needs. Refuses what two readers could understand differently:
a field named twice, folded headers, encoded names, bytes before the first delimiter.
"""

import re

from server.base.errors import InvalidRequest
from server.gateway.intake.head import parameters

HEAD_LIMIT = 64 * 1024
FIELDS = frozenset({"model", "stream", "response_format"})
_ESCAPE = re.compile(rb"\\(.)")


class LeadingParts:
    """Feed it the body from its start until it is `done`; `head` is all that it was fed."""

    def __init__(self, boundary: bytes) -> None:
        self.head = bytearray()
        self.done = False
        self.fields: dict[str, str] = {}
        self._spans: dict[str, tuple[int, int]] = {}
        self._delimiter = b"--" + boundary
        self._at = 0

    def feed(self, chunk: bytes) -> None:
        """Raises `InvalidRequest` for what is no form."""
        self.head += chunk
        while not self.done and self._part():
            pass
        if len(self.head) > HEAD_LIMIT:
            self.done = True

    def end(self) -> None:
        """The body is complete: a form that was cut off is refused here."""
        if not self.done:
            raise _malformed("it ends before its closing boundary")

    def renamed(self, model: str) -> bytes:
        """The head with another value of `model`; unchanged when the head has none."""
        span = self._spans.get("model")
        if span is None:
            return bytes(self.head)
        return bytes(self.head[: span[0]]) + model.encode() + bytes(self.head[span[1] :])

    def _part(self) -> bool:
        """One part from `_at` on; False when more bytes are needed."""
        head, start = self.head, self._at + len(self._delimiter)
        if len(head) < start + 2:
            if not (self._delimiter + b"--").startswith(head[self._at : start]):
                raise _malformed("it does not begin with its boundary")
            return False
        if not head.startswith(self._delimiter, self._at):
            raise _malformed("it does not begin with its boundary")
        after = head[start : start + 2]
        if after == b"--":
            self.done = True
            return True
        if after != b"\r\n":
            raise _malformed("its boundary is followed by something else than the end of the line")
        ends = head.find(b"\r\n\r\n", start)
        if ends < 0:
            return False
        name, is_file = disposition(bytes(head[start + 2 : ends]))
        if is_file:
            self.done = True
            return True
        return self._field(name, ends + 4)

    def _field(self, name: str, begins: int) -> bool:
        # Two bytes back: an empty value is followed by the delimiter at once.
        ends = self.head.find(b"\r\n" + self._delimiter, begins)
        if ends < 0:
            return False
        if name in FIELDS:
            if name in self.fields:
                raise InvalidRequest(f"The form has the field `{name}` twice.", param=name)
            self.fields[name] = bytes(self.head[begins:ends]).decode("utf-8", "replace")
            self._spans[name] = (begins, ends)
        self._at = ends + 2
        return True


def disposition(block: bytes) -> tuple[str, bool]:
    """The name of a part, and whether it is a file, by the headers of the part."""
    lines = block.split(b"\r\n") if block else []
    found = [line for line in lines if line[:20].lower().startswith(b"content-disposition:")]
    if len(found) != 1 or any(line[:1] in b" \t" or _bare(line) for line in lines):
        raise _malformed("a part has no clear Content-Disposition")
    value = found[0][20:].strip()
    given = parameters(value)
    names = [_text(quoted, plain) for key, quoted, plain in given if key.lower() == b"name"]
    keys = [key.lower() for key, _, _ in given]
    if value[:9].lower() != b"form-data" or len(names) != 1 or b"name*" in keys:
        raise _malformed("a part has no clear name")
    return names[0], b"filename" in keys or b"filename*" in keys


def _text(quoted: bytes, plain: bytes) -> str:
    return (_ESCAPE.sub(rb"\1", quoted) or plain).decode("utf-8", "replace")


def _bare(line: bytes) -> bool:
    return b"\r" in line or b"\n" in line or b"\0" in line


def _malformed(why: str) -> InvalidRequest:
    return InvalidRequest(
        f"The form cannot be read: {why}.",
        advice="Let your HTTP client write the form and its Content-Type.",
    )

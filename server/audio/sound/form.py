"""A multipart form read while it streams: its short fields, and where its files lie.

Owns the bounds of a form, and that whoever reads the same bytes later understands the same: the
headers of a part are understood as the gateway understands them, and what two readers could take
for different things is refused. The bytes are cut by python-multipart. Refuses to keep or write a
file: it tells the place of it in the body.
"""

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from server.base.errors import InvalidRequest
from server.gateway.intake.form import disposition
from server.gateway.intake.head import parameters

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_HEADERS = 8
_HEADER_BYTES = 4096
_HINT = 255
_AS_IT_IS = frozenset({b"", b"7bit", b"8bit", b"binary"})


@dataclass(frozen=True, slots=True)
class FormRules:
    """What a form may have. `fields_bytes` is all values and headers together."""

    files: int = 2
    fields: int = 64
    field_bytes: int = 64 << 10
    fields_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """A file's bytes within the body. What its sender says of it (`filename`, `media_type`) is a
    hint at most."""

    name: str
    offset: int
    length: int
    filename: str
    media_type: str


@dataclass(slots=True)
class _Part:
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    name: str = ""
    file: bool = False
    value: bytearray = field(default_factory=bytearray)
    offset: int | None = None
    length: int = 0


class FormReader:
    """Feed it the body in order, then `end` it. `fields` and `places` are what was found."""

    def __init__(self, boundary: bytes, rules: FormRules) -> None:
        self.fields: list[tuple[str, str]] = []
        self.places: list[Place] = []
        self._rules = rules
        self._delimiter = b"--" + boundary
        self._chunk = b""
        self._base = 0
        self._delimiters = 0
        self._kept = 0
        self._ended = False
        self._start = bytearray()
        self._part = _Part()
        self._key = bytearray()
        self._text = bytearray()
        self._parser = self._made(boundary)

    def _made(self, boundary: bytes) -> MultipartParser:
        calls: MultipartCallbacks = {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }
        parser = MultipartParser(
            boundary, calls, max_header_count=_HEADERS, max_header_size=_HEADER_BYTES
        )
        # Every malformed form would be a warning in our log: its sender is told, that is enough.
        parser.logger = _Silent(parser.logger.name)
        return parser

    def feed(self, chunk: bytes) -> None:
        """Raises `InvalidRequest` for what is no form, or a larger one than `rules` allow."""
        if not chunk:
            return
        self._begins(chunk)
        # A body full of almost-delimiters would be read byte by byte.
        self._delimiters += chunk.count(self._delimiter)
        if self._delimiters > 4 * (self._rules.files + self._rules.fields):
            raise malformed("its boundary occurs within its parts")
        self._chunk = chunk
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise malformed("a part does not begin as the parts of a form do") from None
        self._base += len(chunk)

    def end(self) -> None:
        """The body is complete."""
        if not self._ended:
            raise malformed("it ends before its closing boundary")

    def _begins(self, chunk: bytes) -> None:
        """Nothing may stand before the first delimiter: not every reader would skip it."""
        missing = len(self._delimiter) - len(self._start)
        if missing > 0:
            self._start += chunk[:missing]
            if not self._delimiter.startswith(self._start):
                raise malformed("it does not begin with its boundary")

    # -- told by the parser

    def _begin(self) -> None:
        self._part = _Part()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._key += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._text += data[start:end]

    def _header_end(self) -> None:
        self._keep(len(self._key) + len(self._text))
        self._part.headers.append((bytes(self._key), bytes(self._text)))
        self._key.clear()
        self._text.clear()

    def _headers_end(self) -> None:
        part, rules = self._part, self._rules
        part.name, part.file = disposition(b"\r\n".join(b": ".join(one) for one in part.headers))
        if self._hint(b"content-transfer-encoding").strip().lower() not in _AS_IT_IS:
            raise malformed("a part is encoded; send its bytes as they are")
        if part.file and len(self.places) >= rules.files:
            raise InvalidRequest(f"The form has more than {rules.files} files.")
        if not part.file and len(self.fields) >= rules.fields:
            raise InvalidRequest(f"The form has more than {rules.fields} fields.")

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if part.file:
            if part.offset is None:
                # What is not of this chunk is the beginning of a boundary that turned out to be
                # none: it lies directly before the chunk.
                part.offset = self._base + (start if data is self._chunk else start - end)
            part.length += end - start
            return
        part.value += data[start:end]
        if len(part.value) > self._rules.field_bytes:
            raise InvalidRequest(
                f"A field of the form is larger than {self._rules.field_bytes} bytes.",
                advice="Send the recording as a file, with a filename.",
            )

    def _end(self) -> None:
        part = self._part
        if part.file:
            media_type = _words(self._hint(b"content-type"))
            place = part.offset or 0, part.length
            self.places.append(Place(part.name, *place, self._filename(), media_type))
            return
        self._keep(len(part.value))
        self.fields.append((part.name, part.value.decode("utf-8", "replace")))

    def _finish(self) -> None:
        self._ended = True

    def _keep(self, size: int) -> None:
        self._kept += size
        if self._kept > self._rules.fields_bytes:
            raise InvalidRequest(
                f"The fields of the form are larger than {self._rules.fields_bytes} bytes together."
            )

    def _hint(self, name: bytes) -> bytes:
        return next((value for key, value in self._part.headers if key.lower() == name), b"")

    def _filename(self) -> str:
        found = parameters(self._hint(b"content-disposition"))
        names = [quoted or plain for key, quoted, plain in found if key.lower() == b"filename"]
        return _words(names[0]) if names else ""


class _Silent(logging.Logger):
    def isEnabledFor(self, level: int) -> bool:  # noqa: N802
        return False


def _words(value: bytes) -> str:
    """A hint, short and printable."""
    text = value.decode("utf-8", "replace").strip()[:_HINT]
    return "".join(letter for letter in text if letter.isprintable())


def malformed(why: str) -> InvalidRequest:
    return InvalidRequest(
        f"The form cannot be read: {why}.",
        advice="Let your HTTP client write the form and its Content-Type.",
    )

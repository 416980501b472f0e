"""The file of a form that is sent by a browser, handed on while it comes.

Owns finding the one part that is a file. Refuses to keep more than what was read last and the few
lines in front of a part, and a form without such a part.
"""

from collections.abc import AsyncIterator

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from server.base.errors import InvalidRequest, InvalidValue

HEADERS, HEADER_BYTES = 8, 4096
"""In front of a part, of which a browser sends two of a few hundred bytes."""


class _Part:
    """What the parser tells of the form, until the next piece of the file is taken."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._header = b""
        self._value = b""
        self._wanted = False
        self.found = False
        self.whole = False
        self.pieces: list[bytes] = []

    def begin(self) -> None:
        self._wanted = False

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            named = options.get(b"name") == self._name.encode()
            self._wanted = named and bool(options.get(b"filename"))
            if self._wanted and self.found:
                raise InvalidValue("Choose one file, not several.", param=self._name)
            self.found = self.found or self._wanted
        self._header = self._value = b""

    def data(self, data: bytes, start: int, end: int) -> None:
        if self._wanted:
            self.pieces.append(data[start:end])

    def end(self) -> None:
        self.whole = True


async def file_of(request: Request, name: str) -> AsyncIterator[bytes]:
    """The bytes of the file in the field `name`. Raises `InvalidRequest` for what is no form."""
    _, options = parse_options_header(request.headers.get("content-type", ""))
    part = _Part(name)
    try:
        parser = MultipartParser(
            options.get(b"boundary", b""),
            {
                "on_part_begin": part.begin,
                "on_header_field": part.header_field,
                "on_header_value": part.header_value,
                "on_header_end": part.header_end,
                "on_part_data": part.data,
                "on_end": part.end,
            },
            max_header_count=HEADERS,
            max_header_size=HEADER_BYTES,
        )
        async for chunk in request.stream():
            parser.write(chunk)
            for piece in part.pieces:
                yield piece
            part.pieces.clear()
        parser.finalize()
    except FormParserError:
        raise InvalidRequest("The form cannot be read.") from None
    if not part.whole:
        raise InvalidRequest("The form ends too early. Send it again.")
    if not part.found:
        raise InvalidValue("Choose a file.", param=name)

"""The one file of a form, as it comes: for the pages that take a backup from a browser.

Owns the reading of `multipart/form-data` whose small fields stand before the file. Refuses to hold
more than those fields: the file is passed on piece by piece, and who takes it bounds it.
"""

from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from server.base.errors import InvalidRequest
from server.gateway.intake.head import boundary_of, parameters

FIELD_BYTES = 16 * 1024
"""Of all fields before the file together."""


class FormFile:
    """`fields` is complete when `open` has returned; then `pieces` gives the file."""

    def __init__(self, request: Request) -> None:
        self.fields: dict[str, str] = {}
        self._stream = request.stream()
        self._name, self._is_file = "", False
        self._header: list[bytes] = [b"", b""]
        self._text = bytearray()
        self._size = 0
        self._file: list[bytes] = []
        self._begun = self._ended = False
        self._parser = MultipartParser(boundary_of(request.scope["headers"]), self._callbacks())

    async def open(self) -> None:
        """Read up to the file. Raises `InvalidRequest`, also when there is no file in it."""
        async for data in self._stream:
            self._feed(data)
            if self._begun:
                return
        raise InvalidRequest("There is no file in this form.", advice="Choose a file first.")

    async def pieces(self) -> AsyncIterator[bytes]:
        while True:
            for piece in self._taken():
                yield piece
            if self._ended:
                return
            data = await anext(self._stream, None)
            if not data:
                break
            self._feed(data)
        raise InvalidRequest("The form ended before its file did.")

    def _taken(self) -> list[bytes]:
        taken, self._file = self._file, []
        return taken

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.write(data)
        except FormParserError:
            raise InvalidRequest("The form is broken.") from None

    def _callbacks(self) -> Any:
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": lambda data, start, end: self._add(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._add(1, data[start:end]),
            "on_header_end": self._header_end,
            "on_part_data": lambda data, start, end: self._part(data[start:end]),
            "on_part_end": self._part_end,
        }

    def _part_begin(self) -> None:
        self._name, self._is_file = "", False
        self._text.clear()
        self._header = [b"", b""]

    def _add(self, which: int, data: bytes) -> None:
        self._count(len(data))
        self._header[which] += data

    def _header_end(self) -> None:
        (name, value), self._header = self._header, [b"", b""]
        if name.lower() == b"content-disposition":
            for key, quoted, plain in parameters(value):
                text = (quoted or plain).decode("utf-8", "replace")
                if key.lower() == b"name":
                    self._name = text
                elif key.lower() == b"filename":
                    self._is_file = True

    def _part(self, data: bytes) -> None:
        if self._is_file:
            if not self._ended:
                self._begun = True
                self._file.append(data)
            return
        self._count(len(data))
        self._text += data

    def _part_end(self) -> None:
        if self._is_file:
            self._ended = self._begun
        elif not self._begun:
            self.fields[self._name] = self._text.decode("utf-8", "replace")

    def _count(self, size: int) -> None:
        self._size += 0 if self._begun else size
        if self._size > FIELD_BYTES:
            raise InvalidRequest("The fields of this form are too large.")

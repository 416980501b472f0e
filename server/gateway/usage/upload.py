"""The sound in an upload, heard while it is passed on. Pure.

    a form: headers of a part ──> its value, heard when it is a file ──> the next delimiter
    anything else that is declared as sound: all of it

Owns which uploads are listened to, and that only what was passed on counts. Several files are
summed. Refuses to hold more than the headers of a part and a piece as long as the boundary.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Protocol

from server.base.errors import SparkError
from server.gateway.intake.head import boundary_of
from server.gateway.model import Operation, Used
from server.gateway.usage.sound import Heard, Sound
from server.gateway.wire import Header, header

_HEARING = frozenset({"asr", "diarize"})
_SPOKEN = ("/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/diarize")
"""What begins like these takes recordings; `label-merge` takes the labels of some."""
_HEAD_BYTES = 16 * 1024


class Listener(Protocol):
    def feed(self, chunk: bytes) -> None: ...

    def heard(self) -> Heard: ...


def listener(operation: Operation, kind: str, headers: list[Header]) -> Listener | None:
    """For an upload to an upstream of `kind`; None where nothing in it is sound."""
    if not operation.path.startswith(_SPOKEN) and not (operation.named and kind in _HEARING):
        return None
    media = (header(headers, b"content-type") or b"").lstrip().lower()
    if media.startswith(b"multipart/form-data"):
        try:
            return FormSound(boundary_of(headers))
        except SparkError:
            return None
    return Sound() if media.startswith((b"audio/", b"video/")) else None


def with_sound(used: Used, heard: Heard) -> Used:
    """What the service told goes before what was measured."""
    if used.audio_seconds is not None:
        return used
    return replace(used, audio_seconds=heard.seconds, audio_source=heard.source)


async def listened(chunks: AsyncIterator[bytes], to: Listener) -> AsyncIterator[bytes]:
    """`chunks` as they are; each is heard when it was taken."""
    async for chunk in chunks:
        to.feed(chunk)
        yield chunk


class FormSound:
    """The files of a form."""

    __slots__ = ("_delimiter", "_file", "_heading", "_rest", "_seconds", "_sure")

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._rest = b"\r\n"
        self._heading = False  # within the headers of a part
        self._file: Sound | None = None
        self._seconds = 0.0
        self._sure = True

    def feed(self, chunk: bytes) -> None:
        data = self._rest + chunk
        while True:
            if self._heading:
                ends = data.find(b"\r\n\r\n")
                if ends < 0:
                    # No part has such headers: what is no form is not listened to.
                    self._rest = data if len(data) <= _HEAD_BYTES else b""
                    return
                self._heading = False
                self._file = Sound() if b"filename" in data[:ends].lower() else None
                data = data[ends + 4 :]
            at = data.find(self._delimiter)
            if at < 0:
                keep = len(data) - len(self._delimiter) + 1
                if keep > 0:
                    self._hear(data[:keep])
                self._rest = data[max(0, keep) :]
                return
            self._hear(data[:at])
            self._ended()
            self._heading = True
            data = data[at + len(self._delimiter) :]

    def heard(self) -> Heard:
        seconds, sure = self._seconds, self._sure
        if self._file is not None:
            last = self._file.heard()
            seconds, sure = seconds + last.seconds, sure and last.source == "measured"
        return Heard(seconds, "measured" if sure else "estimated")

    def _hear(self, piece: bytes) -> None:
        if self._file is not None and piece:
            self._file.feed(piece)

    def _ended(self) -> None:
        found = self.heard()
        self._seconds, self._sure, self._file = found.seconds, found.source == "measured", None

"""A recording opened as a stream of packets: by what its bytes are, never by what it is called.

Owns what is opened at all. The library is handed a file object and may open nothing by itself, so
no playlist, reference or address in a recording leads anywhere; containers and codecs are those of
the tables. Refuses all others with words that help.
"""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import av
import av.container
import av.error
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream

from server.audio.sound.child import refusal
from server.audio.sound.child.gather import MOST_PLANES
from server.audio.sound.child.kinds import (
    CONTAINERS,
    DECODERS,
    HEAD,
    PACKED,
    begins,
    other,
    promised,
)

_OPTIONS = {
    "format_whitelist": ",".join(CONTAINERS),
    "codec_whitelist": ",".join(sorted(DECODERS)),
    "protocol_whitelist": "none",
    "max_streams": "32",
    "probesize": str(2 << 20),
    "formatprobesize": str(1 << 20),
}
_BUFFER = 1 << 17
_RATES = range(1_000, 768_001)
_CHANNELS = 64


@dataclass(frozen=True, slots=True)
class Opened:
    """`declared` is how long the file says that it is, where its kind says so in its header."""

    container: av.container.InputContainer
    stream: AudioStream
    kind: str
    declared: float | None


class Section(io.RawIOBase):
    """A part of a file as a file. The library reads no byte outside of it."""

    name = "recording"

    def __init__(self, descriptor: int, offset: int, length: int) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self._length = length
        self._at = 0

    def first(self, size: int) -> bytes:
        """Its first bytes, wherever it is read at present."""
        return os.pread(self._descriptor, min(size, self._length), self._offset)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._length - self._at)
        wanted = left if size < 0 else min(size, left)
        found = os.pread(self._descriptor, wanted, self._offset + self._at) if wanted else b""
        self._at += len(found)
        return found

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at


@contextmanager
def opened(path: Path, offset: int, length: int) -> Iterator[Opened]:
    """Raises `Refused`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        section = Section(descriptor, offset, length)
        head = _look(section)
        with _container(section, head) as container:
            yield _chosen(container, section)
    finally:
        os.close(descriptor)


def _look(section: Section) -> bytes:
    """What is plainly something else is named: that helps more than `no recording`."""
    head = section.first(64)
    if not head:
        raise refusal.empty()
    what = other(head)
    if what is not None:
        raise refusal.other(what)
    return head


def _container(section: Section, head: bytes) -> av.container.InputContainer:
    try:
        return av.open(
            section,
            mode="r",
            options=_OPTIONS,
            buffer_size=_BUFFER,
            metadata_errors="replace",
            io_open=_nothing,
        )
    except (av.error.FFmpegError, ValueError, UnicodeError):
        if begins(head):
            raise refusal.damaged() from None
        raise refusal.unknown() from None


def _nothing(*_: Any) -> NoReturn:
    """A recording that leads to another file or address is read without it."""
    raise PermissionError("A recording may not open anything.")


def _chosen(container: av.container.InputContainer, section: Section) -> Opened:
    kind = CONTAINERS.get(container.format.name)
    if kind is None:
        raise refusal.unknown()
    streams = container.streams.audio
    if not streams:
        raise refusal.soundless()
    stream = next((one for one in streams if readable(one)), None)
    if stream is None:
        raise refusal.uncommon()
    for one in container.streams:
        if one is not stream:
            one.discard = av.stream.Discard.all
    return Opened(container, stream, kind, _declared(kind, container, stream, section))


def readable(stream: AudioStream) -> bool:
    """Whether it has a decoder of ours and figures that sound can have."""
    context: AudioCodecContext | None = stream.codec_context  # none: the library has no decoder
    return (
        context is not None
        and context.codec.name in DECODERS
        and (context.sample_rate or 0) in _RATES
        and 0 < context.channels <= (_CHANNELS if context.codec.name in PACKED else MOST_PLANES)
    )


_DECLARE = frozenset({"w64", "mp4", "webm", "flac", "aiff", "caf"})


def _declared(
    kind: str,
    container: av.container.InputContainer,
    stream: AudioStream,
    section: Section,
) -> float | None:
    """Of the others the library guesses by the size, which is no promise of the file."""
    if kind == "wav":
        return promised(section.first(HEAD))
    if kind not in _DECLARE:
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if kind == "webm" and container.duration is not None:
        return container.duration / av.time_base
    return None

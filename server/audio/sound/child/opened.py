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

CONTAINERS = {
    "wav": "wav",
    "w64": "w64",
    "mp3": "mp3",
    "aac": "aac",
    "mov,mp4,m4a,3gp,3g2,mj2": "mp4",
    "matroska,webm": "webm",
    "ogg": "ogg",
    "flac": "flac",
    "aiff": "aiff",
    "au": "au",
    "caf": "caf",
    "amr": "amr",
}
"""What is opened, by the library's name of it, and our word for it."""

_ALLOWED = ",".join(CONTAINERS)
_COMPRESSED = (
    *("mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "aac", "opus", "libopus", "vorbis"),
    *("flac", "alac", "ac3", "eac3", "speex", "gsm", "gsm_ms", "amrnb", "amrwb"),
    *("libopencore_amrnb", "libopencore_amrwb", "adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt"),
)
_PLAIN = (
    *("alaw", "mulaw", "s8", "s8_planar", "u8", "s16be", "s16be_planar", "s16le", "s16le_planar"),
    *("u16be", "u16le", "s24be", "s24le", "s24le_planar", "u24be", "u24le", "s32be", "s32le"),
    *("s32le_planar", "u32be", "u32le", "s64be", "s64le", "f16le", "f24le", "f32be", "f32le"),
    *("f64be", "f64le"),
)
_DECODERS = frozenset((*_COMPRESSED, *(f"pcm_{name}" for name in _PLAIN)))
_OPTIONS = {
    "format_whitelist": _ALLOWED,
    "codec_whitelist": ",".join(sorted(_DECODERS)),
    "protocol_whitelist": "none",
    "max_streams": "32",
    "probesize": str(2 << 20),
    "formatprobesize": str(1 << 20),
}
_BUFFER = 1 << 17
_RATES = range(1_000, 768_001)
_CHANNELS = range(1, 65)

_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"#EXTM3U", "a playlist"),
    (b"[playlist]", "a playlist"),
    (b"ffconcat", "a playlist"),
    (b"<?xml", "an XML document"),
    (b"<!DOCTYPE", "a web page"),
    (b"<html", "a web page"),
    (b"{", "a text"),
    (b"MThd", "a list of notes (MIDI)"),
)


_BEGINNINGS: tuple[tuple[int, bytes], ...] = (
    (0, b"RIFF"),
    (0, b"RF64"),
    (0, b"riff"),
    (0, b"FORM"),
    (0, b"ID3"),
    (0, b"fLaC"),
    (0, b"OggS"),
    (0, b"caff"),
    (0, b".snd"),
    (0, b"#!AMR"),
    (0, b"\x1aE\xdf\xa3"),
    (4, b"ftyp"),
    (4, b"moov"),
    (4, b"mdat"),
)


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
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for magic, what in _OTHERS:
        if text.startswith(magic):
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
        if any(head.startswith(magic, at) for at, magic in _BEGINNINGS):
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
        and context.codec.name in _DECODERS
        and (context.sample_rate or 0) in _RATES
        and context.channels in _CHANNELS
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
        return promised(section.first(_HEAD))
    if kind not in _DECLARE:
        return None
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / av.time_base


_HEAD = 4096
_UNTOLD = 0x7FFF0000
"""Whoever writes into a pipe does not know the length and writes about the largest number."""


def promised(head: bytes) -> float | None:
    """How many seconds the header of a WAV file tells of; None when it does not know."""
    at, a_second = 12, 0
    while at + 24 <= len(head):
        name, size = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        if name == b"fmt ":
            a_second = int.from_bytes(head[at + 16 : at + 20], "little")
        if name == b"data":
            known = a_second and 0 < size < _UNTOLD
            return size / a_second if known else None
        at += 8 + size + size % 2
    return None

"""A recording as the models want it: one channel of float samples, 16 kHz, within bounds.

Owns opening files of strangers: only containers that are known by their first bytes are opened,
each by its own demuxer, so that no file can make the decoder fetch another one. Refuses what is
longer than the cap while it decodes, whatever the header says (413), what is no sound (415) and
what has none (400).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from server.base.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

RATE = 16_000
CHUNK = RATE
"""Samples between two looks at whether the one who asked is still there."""


_MAGIC = (
    (8, b"WAVE", "wav"),
    (0, b"OggS", "ogg"),
    (0, b"fLaC", "flac"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (4, b"ftyp", "mov"),
    (0, b"ID3", "mp3"),
)


def container(head: bytes) -> str | None:
    """Which demuxer reads a file that begins like this; None: no kind of sound we take."""
    for at, magic, kind in _MAGIC:
        if head[at : at + len(magic)] == magic:
            return kind
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "aac" if head[1] & 0xF6 == 0xF0 else "mp3"  # the sync word of a bare frame
    return None


def decode(file: BinaryIO, *, cap_seconds: float, gone: "Gone") -> "Samples":
    """The whole recording, mixed to one channel. `gone` ends it early with GoneAway."""
    import av  # noqa: PLC0415 - loads all of ffmpeg: only the process that decodes wants it

    kind = container(file.read(16))
    if kind is None:
        empty = not file.seek(0, 2)
        raise UnsupportedMediaType(
            "The file is empty." if empty else "The file is no sound that can be read here.",
            param="file",
            advice="Send wav, mp3, m4a, flac, ogg, webm or aac.",
        )
    file.seek(0)
    try:
        with av.open(file, "r", format=kind, metadata_errors="ignore") as opened:
            return _mixed(_decoded(opened), cap_seconds, gone)
    except (av.FFmpegError, ValueError) as error:
        raise InvalidRequest(
            f"The sound could not be decoded: the {kind} file is damaged or cut off.",
            param="file",
        ) from error


def _decoded(opened: Any) -> Iterator["Samples"]:
    import av  # noqa: PLC0415

    if not opened.streams.audio:
        raise InvalidRequest("The file has no sound in it.", param="file")
    resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
    for frame in opened.decode(audio=0):
        frame.pts = None  # gaps and jumps of a stranger's clock would stretch the sound
        for made in resampler.resample(frame):
            yield made.to_ndarray()[0]
    for made in resampler.resample(None):
        yield made.to_ndarray()[0]


def _mixed(pieces: Iterator["Samples"], cap_seconds: float, gone: "Gone") -> "Samples":
    kept: list[Samples] = []
    count, looked = 0, 0
    for piece in pieces:
        kept.append(piece)
        count += len(piece)
        if count > cap_seconds * RATE:
            raise PayloadTooLarge(
                f"The recording is longer than {cap_seconds:g} s, the most this engine takes.",
                param="file",
                advice="Send it in parts, or raise --max-seconds.",
            )
        if count - looked >= CHUNK:
            looked = count
            gone.check()
    if not count:
        raise InvalidRequest("The file has no sound in it.", param="file")
    whole = np.concatenate(kept).astype(np.float32, copy=False)
    return np.nan_to_num(np.clip(whole, -1.0, 1.0), copy=False, nan=0.0, posinf=0.0, neginf=0.0)


def seconds(samples: "Samples") -> float:
    return len(samples) / RATE


class GoneAway(Exception):
    """Nobody waits for the answer any more."""


class Gone:
    """Told by the loop, asked by the worker between two steps."""

    def __init__(self) -> None:
        self._left = False

    def leave(self) -> None:
        self._left = True

    def check(self) -> None:
        if self._left:
            raise GoneAway

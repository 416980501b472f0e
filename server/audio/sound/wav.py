"""A part of plain sound as the WAV file that is sent to a service, made while it is sent.

Owns the header. Refuses to hold more than a piece of it: the length is known beforehand, and the
bytes come from the disk as they are asked for, also a second time.
"""

import struct
from collections.abc import AsyncIterator, Callable

from server.audio.sound.model import BYTES_PER_SECOND, RATE, SAMPLE_BYTES, Piece
from server.audio.sound.spool import read

MEDIA_TYPE = "audio/wav"
HEADER_BYTES = 44
_PCM = 1
_MOST = 0xFFFFFFFF - HEADER_BYTES


def header(size: int) -> bytes:
    """Of `size` bytes of plain sound. RIFF counts in 32 bits: more is written as the most."""
    size = min(size, _MOST)
    rates = struct.pack("<HHIIHH", _PCM, 1, RATE, BYTES_PER_SECOND, SAMPLE_BYTES, 8 * SAMPLE_BYTES)
    return (
        struct.pack("<4sI4s4sI", b"RIFF", size + HEADER_BYTES - 8, b"WAVE", b"fmt ", 16)
        + rates
        + struct.pack("<4sI", b"data", size)
    )


def wav_length(piece: Piece) -> int:
    """Bytes of the whole file, its header included."""
    return HEADER_BYTES + _place(piece)[1]


def wav_bytes(piece: Piece) -> Callable[[], AsyncIterator[bytes]]:
    """Each call gives the file anew. Raises `Unavailable` when the disk cannot give it back."""

    async def made() -> AsyncIterator[bytes]:
        offset, length = _place(piece)
        yield header(length)
        async for some in read(piece.path, offset, length):
            yield some

    return made


def _place(piece: Piece) -> tuple[int, int]:
    """Offset and length in bytes, of whole samples."""
    start, end = round(max(0.0, piece.start) * RATE), round(piece.end * RATE)
    return start * SAMPLE_BYTES, max(0, end - start) * SAMPLE_BYTES

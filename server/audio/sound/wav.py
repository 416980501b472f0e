"""A part of plain sound as the WAV file that is sent to a service, made while it is sent.

Owns the header. Refuses to hold more than a piece of it: the length is known beforehand, and the
bytes come from the disk as they are asked for, also a second time.
"""

from collections.abc import AsyncIterator, Callable

from server.audio.sound.model import Piece

MEDIA_TYPE = "audio/wav"


def wav_length(piece: Piece) -> int:
    """Bytes of the whole file, its header included."""
    raise NotImplementedError


def wav_bytes(piece: Piece) -> Callable[[], AsyncIterator[bytes]]:
    """Each call gives the file anew. Raises `Unavailable` when the disk cannot give it back."""
    raise NotImplementedError

"""Known speakers: the short recordings that came with the request, as voices to be found again.

Owns what such a recording may be (a data URL, a few seconds) and what becomes of it: it is decoded,
the diarizer is asked for the voice in it, and the longest one is meant. Refuses to fail for a
diarizer that tells no voices: then its speakers stay without names.
"""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from server.audio.front.options import Options
from server.audio.sound.ear import Ear
from server.audio.sound.model import Decoded, Piece
from server.audio.speakers.link import Known
from server.audio.transcript import Diarized
from server.base.errors import InvalidRequest, PayloadTooLarge, UnsupportedMediaType
from server.base.files import storage_errors

SECONDS = 30.0
"""Longest recording of one speaker; 2 to 10 are usual."""
_DATA = re.compile(r"data:[a-z0-9.+-]+/[a-z0-9.+-]+(?:;[^,;]{0,100})*;base64,", re.IGNORECASE)
_PARAM = "known_speaker_references"


async def known_voices(
    options: Options, folder: Path, ear: Ear, tell: Callable[[Piece], Awaitable[Diarized]]
) -> list[Known]:
    """Raises `InvalidRequest` for what is no recording."""
    found: list[Known] = []
    for number, (name, given) in enumerate(zip(options.names, options.references, strict=False)):
        path = folder / f"known-{number}"
        raw = _bytes(given)
        with storage_errors("A recording of a known speaker"):
            path.write_bytes(raw)
        place = folder / f"known-{number}.sound"
        place.mkdir(mode=0o700)
        decoded = await _decoded(ear, path, len(raw), place, number)
        told = await tell(Piece(number, 0.0, decoded.seconds, decoded.channels[0]))
        voice = told.voices.get(_longest(told) or "")
        if voice is not None:
            found.append(Known(name, voice))
    return found


async def _decoded(ear: Ear, path: Path, size: int, folder: Path, number: int) -> Decoded:
    try:
        return await ear.decode(
            path, 0, size, folder=folder, channels="mixed", most_seconds=SECONDS
        )
    except (InvalidRequest, PayloadTooLarge, UnsupportedMediaType) as error:
        raise InvalidRequest(
            f"Recording {number + 1} of {_PARAM} cannot be used: {error.message}", param=_PARAM
        ) from None


def _bytes(given: str) -> bytes:
    head = _DATA.match(given)
    if head is None:
        raise InvalidRequest(f"{_PARAM} are data URLs (data:audio/wav;base64,…).", param=_PARAM)
    try:
        raw = base64.b64decode(given[head.end() :], validate=True)
    except binascii.Error:
        raise InvalidRequest(f"{_PARAM} holds no valid base64.", param=_PARAM) from None
    if not raw:
        raise InvalidRequest(f"{_PARAM} holds an empty recording.", param=_PARAM)
    return raw


def _longest(told: Diarized) -> str | None:
    seconds: dict[str, float] = {}
    for turn in told.turns:
        seconds[turn.speaker] = seconds.get(turn.speaker, 0.0) + turn.end - turn.start
    return max(seconds, key=seconds.__getitem__, default=None)

"""Recordings in which nothing sounds: recognisers make up words for them, so nobody is asked.

Owns where silence begins, and the words of the refusal.
"""

from pathlib import Path

from server.audio.sound.ear import Ear
from server.audio.sound.model import Decoded
from server.base.errors import InvalidValue

DECIBELS = -70.0
"""Below full scale: as quiet as no microphone is that is open."""
SECONDS = 60.0
"""Decoding ten minutes takes a second; what takes this long is heard by the engine instead."""


def check_level(decoded: Decoded) -> None:
    if all(level.quieter_than(DECIBELS) for level in decoded.levels):
        raise _silent(decoded.seconds)


async def check_loud(ear: Ear, path: Path, offset: int, length: int, seconds: float) -> None:
    """Of a recording that was not decoded: it is read up to the first sound."""
    told = await ear.run(
        "loud",
        seconds=SECONDS,
        heavy=False,
        path=str(path),
        offset=offset,
        length=length,
        level=10 ** (DECIBELS / 20),
    )
    if told.get("loud") is False:
        raise _silent(seconds)


def _silent(seconds: float) -> InvalidValue:
    return InvalidValue(
        f"The recording is silent: nothing sounds in its {seconds:.1f} s.",
        param="file",
        advice="Look which microphone or channel was recorded.",
    )

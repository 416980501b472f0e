"""A recording of which every word is known, and a recogniser that hears what it is asked about."""

import asyncio
import random
from array import array
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from server.audio.model import Word
from server.audio.sound.model import FRAMES_PER_SECOND, Decoded, Level, Piece
from server.audio.transcript import Transcript

SPEECH, SILENCE = 3000, 0
VOCABULARY = (  # short, and often twice in a row: the hardest to tell apart at a seam
    *("the", "a", "and", "of", "to", "you", "we", "it", "is"),
    *("was", "not", "yes", "no", "then", "when", "here", "there", "now"),
)


def words(seconds: float, seed: int = 1, vocabulary: Sequence[str] = VOCABULARY) -> list[Word]:
    """Talk with pauses. The same word often follows itself."""
    chance = random.Random(seed)
    found: list[Word] = []
    at = chance.uniform(0.0, 0.5)
    while True:
        end = at + chance.uniform(0.12, 0.45)
        if end > seconds:
            return found
        found.append(Word(chance.choice(vocabulary), at, end, 0.9))
        at = end + (chance.uniform(1.5, 5.0) if chance.random() < 0.06 else chance.uniform(0, 0.2))


def envelope(said: Sequence[Word], seconds: float) -> "array[int]":
    levels = array("H", [SILENCE]) * round(seconds * FRAMES_PER_SECOND)
    for word in said:
        for frame in range(int(word.start * 100), min(len(levels), int(word.end * 100) + 1)):
            levels[frame] = SPEECH
    return levels


def decoded(folder: Path, said: Sequence[Word], seconds: float) -> Decoded:
    """Nobody here reads the sound itself."""
    path = folder / "0.envelope"
    path.write_bytes(envelope(said, seconds).tobytes())
    return Decoded((folder / "0.pcm",), (path,), (Level(-3.0, -20.0),), seconds)


def piece(number: int, start: float, end: float) -> Piece:
    return Piece(number, start, end, Path("0.pcm"))


def heard(said: Sequence[Word], part: Piece, jitter: random.Random | None = None) -> Transcript:
    """What lies in the part as a whole, in times of the part; with `jitter` up to 0.15 s off."""
    off = jitter.uniform(-0.15, 0.15) if jitter else 0.0
    inside = [one for one in said if one.start >= part.start and one.end <= part.end]
    moved = []
    for one in inside:
        by = off - part.start + (jitter.uniform(-0.04, 0.04) if jitter else 0.0)
        moved.append(one._replace(start=one.start + by, end=one.end + by))
    return Transcript(tuple(moved), language="en")


class Clock:
    """Time passes when somebody sleeps, and at once."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.time)

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        until = self.time + seconds
        await asyncio.sleep(0)
        self.time = max(self.time, until)

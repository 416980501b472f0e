"""Lines that were spoken become one sound, with the truth about it: who speaks when, each word.

A turn is where the line is heard, from its first to its last loud moment: what a synthesiser puts
around it is silence. When a word is said within its line is not known; it is put at its share of
the letters, which is enough for its place among the words of others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from server.audio.model import Turn, Word
from tests.speech.room import RATE, Sound
from tests.speech.scripts import Line

QUIET_DB = -40.0
PAUSES = (0.5, 0.3, 0.7, 0.4, 0.9)
"""Seconds between lines, in turn."""
LEVEL = 0.08


@dataclass(frozen=True, slots=True)
class Scene:
    sound: Sound
    turns: tuple[Turn, ...]
    said: tuple[tuple[Word, str], ...]
    """Each word with its speaker, in order of its begin."""

    @property
    def text(self) -> str:
        return " ".join(word.text for word, _ in self.said)

    @property
    def named(self) -> list[tuple[str, str | None]]:
        return [(word.text, speaker) for word, speaker in self.said]

    @property
    def seconds(self) -> float:
        return self.sound.size / RATE

    def of(self, start: float, end: float) -> str:
        """What is said by whoever begins a word from `start` to `end`."""
        return " ".join(word.text for word, _ in self.said if start <= word.start < end)


def played(
    lines: Sequence[Line],
    spoken: Callable[[Line], Sound],
    *,
    overlap: float = 0.0,
    lead: float = 0.3,
) -> Scene:
    """One line after the other; with `overlap` every second one begins that many seconds before
    the line before it ends."""
    at, placed = lead, list[tuple[Line, float, Sound]]()
    for number, line in enumerate(lines):
        sound = level(trimmed(spoken(line)))
        placed.append((line, at, sound))
        early = overlap > 0 and number % 2 == 0
        at += sound.size / RATE + (-overlap if early else PAUSES[number % len(PAUSES)])
    return mixed(placed, tail=0.5)


def mixed(placed: Sequence[tuple[Line, float, Sound]], tail: float) -> Scene:
    """Each line from its second on."""
    last = max(at + sound.size / RATE for _, at, sound in placed)
    whole = np.zeros(round((last + tail) * RATE), np.float32)
    turns, said = list[Turn](), list[tuple[Word, str]]()
    for line, at, sound in placed:
        first = round(at * RATE)
        whole[first : first + sound.size] += sound
        turn = Turn(line.voice, at, at + sound.size / RATE)
        turns.append(turn)
        said += [(word, line.voice) for word in words(line.text, turn)]
    said.sort(key=lambda one: one[0].start)
    return Scene(whole, tuple(turns), tuple(said))


def words(text: str, turn: Turn) -> list[Word]:
    """Its words, at their share of the letters."""
    found, letters, whole = list[Word](), 0, max(1, len(text))
    for word in text.split():
        start = turn.start + (turn.end - turn.start) * letters / whole
        letters += len(word) + 1
        end = turn.start + (turn.end - turn.start) * min(letters, whole) / whole
        found.append(Word(word, start, end))
    return found


def trimmed(sound: Sound) -> Sound:
    """Without the silence around it."""
    loud = np.flatnonzero(np.abs(sound) > np.abs(sound).max() * 10 ** (QUIET_DB / 20))
    return sound[loud[0] : loud[-1] + 1]


def level(sound: Sound) -> Sound:
    """Everybody about equally loud."""
    return np.asarray(sound * (LEVEL / np.sqrt(np.mean(sound**2))), np.float32)


def pcm(sound: Sound) -> bytes:
    """16 bit, little endian."""
    return np.asarray(np.clip(sound, -1, 1) * 32767, "<i2").tobytes()

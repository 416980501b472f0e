"""What echo costs and what is done about it: how much of it goes, and whose words are whose then.

Two voices made of numbers talk in a room (`tests.audio.echo.rooms`): far alone, near alone, both.
In the recogniser's place stands one that hears the louder voice and mishears every seventh word of
an echo, so that nothing here depends on an engine. Time is CPU time of one core.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.table import Row
from server.audio.channels import Heard, merge
from server.audio.echo.decide import choose
from server.audio.echo.leak import measure as measured
from server.audio.echo.levels import Levels
from server.audio.echo.model import Line
from server.audio.echo.service import UNALIGNED, Listened, heard
from server.audio.echo.suppress import suppress
from server.audio.model import Said, Word
from tests.audio.echo.rooms import RATE, Speech, Wave, echo, voice, write

LEVELS = (-6.0, -12.0, -20.0)
LATE = 0.02
MISHEARD = 7


@dataclass(frozen=True)
class Talk:
    """Far alone for the first 40 %, near alone until 65 %, then both."""

    seconds: float
    far: Speech
    near: Speech

    @property
    def turns(self) -> tuple[float, float]:
        return 0.4 * self.seconds, 0.65 * self.seconds

    def microphone(self, level: float) -> Wave:
        noise = np.random.default_rng(5).normal(0, 10 ** (-65 / 20), len(self.far.wave))
        return self.near.wave + echo(self.far.wave, level, delay=LATE) + noise

    def far_words(self) -> list[Said]:
        begin, over = self.turns
        return [
            _said(f"far{number}", start, end)
            for number, (start, end) in enumerate(self.far.words)
            if end < begin or start > over
        ]

    def near_words(self) -> list[Said]:
        begin, _ = self.turns
        return [
            _said(f"near{number}", start, end)
            for number, (start, end) in enumerate(self.near.words)
            if start > begin
        ]

    def echoed(self) -> list[Said]:
        """What a recogniser hears of the far side in the microphone: where it is alone."""
        begin, _ = self.turns
        alone = [one for one in self.far_words() if one.word.end < begin]
        return [
            _said(
                "mumble" if number % MISHEARD == 0 else one.word.text,
                one.word.start + LATE,
                one.word.end + LATE,
            )
            for number, one in enumerate(alone)
        ]


def measure(place: Path, *, quick: bool) -> list[Row]:
    talk = talking(24.0 if quick else 120.0)
    system = write(place / "system", talk.far.wave)
    rows: list[Row] = []
    spent: list[float] = []
    for level in LEVELS[:1] if quick else LEVELS:
        mic = write(place / "mic", talk.microphone(level))
        found, seconds = _listened(mic, system, place / "levels")
        spent.append(seconds / talk.seconds)
        rows += _rows(talk, level, found)
    rows.append(Row("CPU for a second of sound, both walks", 1000 * max(spent), "ms"))
    return rows


def talking(seconds: float) -> Talk:
    talk = Talk(seconds, voice(seconds, 120, 1), voice(seconds, 210, 2))
    begin, over = (round(at * RATE) for at in talk.turns)
    talk.far.wave[begin:over] = 0
    talk.near.wave[:begin] = 0
    return talk


def _listened(mic: Path, system: Path, out: Path) -> tuple[Listened, float]:
    began = time.process_time()
    leak = measured(mic, system)
    line: Line = leak.line or UNALIGNED
    gain = suppress(mic, system, out, line)
    return Listened(choose("auto", leak), leak, out, gain), time.process_time() - began


def _rows(talk: Talk, level: float, found: Listened) -> list[Row]:
    said = [*talk.echoed(), *talk.near_words()]
    name = f"echo at {level:g} dB"
    whole = len(said) + len(talk.far_words())
    kept = (whole - len(talk.echoed())) / whole
    return [
        Row(f"{name}: taken away while the far side is alone", _erle(talk, found), "dB"),
        Row("  words under the right name, nothing done", 100 * kept, "%"),
        Row("  by text alone", 100 * _right(talk, [Heard(one) for one in said]), "%"),
        Row("  with cancellation", 100 * _right(talk, heard(said, found)), "%", 97, least=True),
    ]


def _erle(talk: Talk, found: Listened) -> float:
    if found.levels is None:
        return 0.0
    with Levels(found.levels) as levels:
        words = [levels.over(one.word.start, one.word.end) for one in talk.echoed()]
    return float(np.median([one.mic - one.cancelled for one in words]))


def _right(talk: Talk, near: list[Heard]) -> float:
    """The share of all words, said or left over, that stand once and under who said them."""
    made = merge(near, talk.far_words())
    kept = [one for line in made.segments for one in line.words if one.channel == "mic"]
    right = sum(one.word.text.startswith("near") for one in kept) + len(talk.far_words())
    wrong = sum(not one.word.text.startswith("near") for one in kept)
    return right / (len(talk.near_words()) + len(talk.far_words()) + wrong)


def _said(text: str, start: float, end: float) -> Said:
    return Said(Word(text, start, end), text.rstrip("0123456789"), 1.0, False, "channel")

"""Two channels of plain sound become one conversation.

    mic ────┬─ heard as it was recorded ─┬─ attributed ─┐
            ├─ measured against system ──┴── echo ──────┼─ merged ── referee ── scrub ── written
    system ─┴─ heard ── speakers told apart ────────────┘
Owns the order, and that everything is asked for at once. Refuses to open a recording, and to decide
which word is an echo: that is `server.audio.channels`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from server.audio.attribute import attribute
from server.audio.channels import FAR, NEAR, Conversation, Heard, merge
from server.audio.echo.decide import lag
from server.audio.echo.model import Line, Wanted
from server.audio.echo.service import Listened, heard, listened
from server.audio.front.asking import Apart, Hearing
from server.audio.front.composing import Referee, finished, first_of, once
from server.audio.front.dual_form import Dual, Side
from server.audio.front.dual_told import told
from server.audio.front.silence import DECIBELS
from server.audio.front.written import Composed, lettered
from server.audio.long.model import LongDiarized, LongTranscript, Progress, Rules
from server.audio.long.service import diarized, transcribed
from server.audio.model import Gap, Said
from server.audio.scrub.segments import Gone
from server.audio.sound.ear import Ear
from server.audio.sound.model import Decoded
from server.audio.speakers.link import Known
from server.base.clock import Clock

Tell = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel: where its sound is, who hears it, and who tells its speakers apart (None: they
    are one, `speaker`). `tells` is who is told of the progress of both."""

    decoded: Decoded
    number: int
    hearing: Hearing
    speaker: str
    telling_apart: Apart | None
    tells: tuple[Tell, Tell]
    known: Sequence[Known] = ()

    @property
    def path(self) -> Path:
        return self.decoded.channels[self.number]

    @property
    def silent(self) -> bool:
        return self.decoded.levels[self.number].quieter_than(DECIBELS)


@dataclass(frozen=True, slots=True)
class Work:
    """`ear` looks for echo in `folder`, the request's own. `one_file`: both have one clock."""

    asked: Dual
    channels: Mapping[Side, Channel]
    one_file: bool
    echo: Wanted
    folder: Path
    ear: Ear
    referee: Referee | None
    rules: Rules
    clock: Clock

    @property
    def seconds(self) -> float:
        return max(one.decoded.seconds for one in self.channels.values())


@dataclass(frozen=True, slots=True)
class _Side:
    """What came of one channel."""

    found: LongTranscript
    turns: LongDiarized | None

    @property
    def gaps(self) -> tuple[Gap, ...]:
        return self.found.gaps + (() if self.turns is None else self.turns.gaps)


async def conversed(work: Work) -> Composed:
    """Raises the first error of any of the works, and ends the others."""
    sounding = {side: one for side, one in work.channels.items() if not one.silent}
    try:
        async with asyncio.TaskGroup() as group:
            sides = {side: group.create_task(_side(work, one)) for side, one in sounding.items()}
            echo = group.create_task(_echo(work, sounding))
    except BaseExceptionGroup as errors:
        raise first_of(errors) from None
    results = {side: task.result() for side, task in sides.items()}
    listening = echo.result()
    moved = _moved(work, listening)
    made = await asyncio.to_thread(_merged, work, results, listening, moved)
    said = _named(work.asked, [one for line in made.segments for one in line.words])
    gone = Gone(NEAR, tuple(one.word for one in made.removed))
    said, beside = await finished(said, work.asked.options, work.referee, gone)
    return Composed(
        said,
        seconds=work.seconds + (abs(moved.delay) if moved else 0.0),
        language=_language(work, results),
        speakers=True,
        gaps=once([gap for one in results.values() for gap in one.gaps]),
        beside=told(
            made,
            listening,
            silent=[side for side, one in work.channels.items() if one.silent],
            one_file=work.one_file,
            text=work.asked.options.scrub is None,
        )
        | beside,
    )


async def _side(work: Work, one: Channel) -> _Side:
    async with asyncio.TaskGroup() as group:
        words = group.create_task(
            transcribed(
                one.decoded, one.hearing, one.tells[0], work.rules, work.clock, channel=one.number
            )
        )
        turns = group.create_task(_turns(work, one))
    return _Side(words.result(), turns.result())


async def _turns(work: Work, one: Channel) -> LongDiarized | None:
    if one.telling_apart is None:
        return None
    return await diarized(
        one.decoded,
        one.telling_apart,
        one.tells[1],
        work.rules,
        work.clock,
        channel=one.number,
        known=one.known,
    )


async def _echo(work: Work, sounding: Mapping[Side, Channel]) -> Listened | None:
    if len(sounding) < 2:
        return None
    mic, system = sounding["mic"], sounding["system"]
    return await listened(
        work.ear,
        mic.path,
        system.path,
        seconds=mic.decoded.seconds,
        folder=work.folder,
        wanted=work.echo,
    )


# ---- put together


def _moved(work: Work, found: Listened | None) -> Line | None:
    if found is None or found.leak is None:
        return None
    return lag(found.leak, work.seconds, one_file=work.one_file)


def _merged(
    work: Work, results: Mapping[Side, _Side], found: Listened | None, moved: Line | None
) -> Conversation:
    near = _attributed(work, results, "mic", NEAR)
    far = _attributed(work, results, "system", FAR)
    measured = [Heard(one) for one in near] if found is None else heard(near, found)
    if moved is not None:
        far = [_later(one, moved.at(one.word.start)) for one in far]
        ahead = max(0.0, -moved.delay)  # nothing begins before the recording does
        far = [_later(one, ahead) for one in far]
        measured = [one._replace(said=_later(one.said, ahead)) for one in measured]
    return merge(measured, far)


def _attributed(work: Work, results: Mapping[Side, _Side], side: Side, name: str) -> list[Said]:
    """Two channels may have a speaker of the same label: the microphone's are told from it."""
    found = results.get(side)
    if found is None:
        return []
    words = found.found.words
    if found.turns is None:
        speaker = work.channels[side].speaker
        return [Said(word, speaker, 1.0, False, "channel", name) for word in words]
    said = attribute(words, found.turns.turns, channel=name)
    kept = frozenset(work.asked.options.names)
    return [
        one
        if one.speaker is None or one.speaker in kept
        else one._replace(speaker=f"{name} {one.speaker}")
        for one in said
    ]


def _later(one: Said, seconds: float) -> Said:
    if not seconds:
        return one
    start, end = max(0.0, one.word.start + seconds), max(0.0, one.word.end + seconds)
    return one._replace(word=one.word._replace(start=start, end=end))


def _named(asked: Dual, said: Sequence[Said]) -> tuple[Said, ...]:
    """Letters for those who were told apart, then the caller's names."""
    known = (*asked.options.names, asked.mic_speaker, asked.system_speaker)
    found = lettered(said, known)
    names = asked.names
    if not names:
        return found
    return tuple(
        one if one.speaker is None else one._replace(speaker=names.get(one.speaker, one.speaker))
        for one in found
    )


def _language(work: Work, results: Mapping[Side, _Side]) -> str | None:
    told = (one.found.language for one in results.values())
    return next((one for one in told if one), work.asked.options.language)

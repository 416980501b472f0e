"""Drives one long recording: parts asked at the same time, woven as they come, told as it goes.

Owns the tasks of one recording: when it returns, raises or is cancelled, none of them is left.
Holds words and turns, never sound: what is asked about is a stretch of a file. Refuses to decide
what becomes of a part: that is `server.audio.long.parts`.
"""

import asyncio
import math
import sys
from array import array
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from server.audio.long import pace, parts
from server.audio.long.gaps import gaps
from server.audio.long.linking import Linking
from server.audio.long.model import LongDiarized, LongTranscript, Progress, Rules
from server.audio.long.quiet import silences
from server.audio.long.woven import Woven
from server.audio.model import Turn
from server.audio.sound.cut import CutRules, cuts
from server.audio.sound.model import FRAMES_PER_SECOND, Decoded, Piece
from server.audio.speakers import link
from server.audio.transcript import Diarized, Transcript
from server.base.clock import Clock
from server.base.errors import SparkError

Answer = TypeVar("Answer")
Tell = Callable[[Progress], None]
Hear = Callable[[Piece], Awaitable[Transcript]]
Diarize = Callable[[Piece], Awaitable[Diarized]]


async def transcribed(
    decoded: Decoded,
    hear: Hear,
    tell: Tell,
    rules: Rules,
    clock: Clock,
    *,
    channel: int = 0,
) -> LongTranscript:
    """`hear` answers with times from the beginning of its piece. It brings the caller's language,
    prompt and vocabulary to every part. Raises what `hear` raised when no part could be heard."""
    envelope = await asyncio.to_thread(_envelope, decoded, channel)
    pieces = await asyncio.to_thread(_pieces, envelope, decoded, channel, rules)
    woven = Woven(await asyncio.to_thread(silences, envelope))
    del envelope
    failures = await _Driven(pieces, hear, woven.add, tell, rules=rules, clock=clock).run()
    return LongTranscript(
        words=woven.words,
        segments=await asyncio.to_thread(woven.segments),
        language=woven.language,
        gaps=tuple(sorted([*gaps(pieces, failures, "words"), *woven.gaps])),
        seconds=decoded.seconds,
        dropped=tuple(woven.dropped),
    )


async def diarized(
    decoded: Decoded,
    diarize: Diarize,
    tell: Tell,
    rules: Rules,
    clock: Clock,
    *,
    channel: int = 0,
    known: Sequence[link.Known] = (),
) -> LongDiarized:
    """`diarize` answers with times from the beginning of its piece and its own names of speakers.
    Voices of `known` get their names. Raises what `diarize` raised when no part could be told."""
    envelope = await asyncio.to_thread(_envelope, decoded, channel)
    pieces = await asyncio.to_thread(_pieces, envelope, decoded, channel, rules)
    del envelope
    linking = Linking(known, link.Rules(distance=rules.speaker_distance))
    answers: list[tuple[Piece, Diarized]] = []

    def take(piece: Piece, found: Diarized) -> None:
        answers.append((piece, found))

    failures = await _Driven(pieces, diarize, take, tell, rules=rules, clock=clock).run()
    turns, voices = await asyncio.to_thread(_linked, linking, answers)
    return LongDiarized(turns, gaps(pieces, failures, "speakers"), decoded.seconds, voices)


def _linked(
    linking: Linking, answers: Sequence[tuple[Piece, Diarized]]
) -> tuple[tuple[Turn, ...], Mapping[str, tuple[float, ...]]]:
    """Compares vectors, and the first time it loads what does that: beside the loop."""
    for piece, found in answers:
        linking.add(piece, found)
    return linking.done()


def _envelope(decoded: Decoded, channel: int) -> "array[int]":
    """No more of it than there is sound: whoever wrote it opened a stranger's file."""
    most = math.ceil(decoded.seconds * FRAMES_PER_SECOND)
    found = array("H")
    with decoded.envelopes[channel].open("rb") as file:
        raw = file.read(most * found.itemsize)
    found.frombytes(raw[: len(raw) // found.itemsize * found.itemsize])
    if sys.byteorder == "big":
        found.byteswap()
    return found


def _pieces(
    envelope: Sequence[int], decoded: Decoded, channel: int, rules: Rules
) -> tuple[Piece, ...]:
    found = cuts(
        envelope,
        decoded.seconds,
        CutRules(part_seconds=rules.part_seconds, overlap_seconds=rules.overlap_seconds),
    )
    path = decoded.channels[channel]
    return tuple(Piece(number, start, end, path) for number, (start, end) in enumerate(found))


class _Driven(Generic[Answer]):
    """`take` gets the answers from left to right, each as soon as all before it have ended."""

    def __init__(
        self,
        pieces: Sequence[Piece],
        ask: Callable[[Piece], Awaitable[Answer]],
        take: Callable[[Piece, Answer], None],
        tell: Tell,
        *,
        rules: Rules,
        clock: Clock,
    ) -> None:
        self._pieces, self._ask, self._take = pieces, ask, take
        self._tell, self._rules, self._clock = tell, rules, clock
        self._record = parts.begun(len(pieces))
        self._pace = pace.started([piece.seconds for piece in pieces], rules.at_once)
        self._asked: dict[asyncio.Task[Answer], int] = {}
        self._wake: asyncio.Task[None] | None = None
        self._woken: list[asyncio.Task[None]] = []
        self._answers: dict[int, Answer] = {}
        self._errors: dict[int, SparkError] = {}
        self._taken = 0
        self._told = -1  # how many parts had ended; the first thing that is told is none

    async def run(self) -> dict[int, parts.Failure]:
        """The parts that nobody heard. Raises the error of one of them when nobody heard any."""
        try:
            over = self._advance(parts.Due())
            while over is None:
                over = await self._next()
        finally:
            await self._leave()
        if over.failed is not None:
            raise self._errors[over.failed]
        return {
            number: part.failure
            for number, part in enumerate(self._record.parts)
            if part.failure is not None
        }

    async def _next(self) -> parts.Over | None:
        waited: set[asyncio.Task[Any]] = {*self._asked}
        if self._wake is not None:
            waited.add(self._wake)
        done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        over = None
        if self._wake in done:
            self._wake = None
            over = self._advance(parts.Due())
        for task in sorted(done & self._asked.keys(), key=self._asked.__getitem__):
            over = self._advance(self._event(task)) or over
        return over

    def _event(self, task: asyncio.Task[Answer]) -> parts.Event:
        number, now = self._asked.pop(task), self._clock.monotonic()
        try:
            self._answers[number] = task.result()
        except SparkError as error:
            self._errors[number] = error
            self._pace = pace.missed(self._pace, number)
            return parts.Missed(number, _failure(error))
        self._pace = pace.heard(self._pace, number, now)
        return parts.Heard(number)

    def _advance(self, event: parts.Event) -> parts.Over | None:
        now = self._clock.monotonic()
        self._record, effects = parts.advance(self._record, event, now, self._rules)
        over = None
        for effect in effects:
            match effect:
                case parts.Ask(number):
                    task: asyncio.Task[Answer] = asyncio.ensure_future(
                        self._ask(self._pieces[number])
                    )
                    self._asked[task] = number
                    self._pace = pace.asked(self._pace, number, now)
                case parts.Wake(at):
                    self._sleep(at - now)
                case parts.Over():
                    over = effect
        self._follow()
        return over

    def _follow(self) -> None:
        """What has ended is told, and taken when all on its left has ended too."""
        for number in self._record.numbers(parts.State.GAP):
            self._pace = pace.ended(self._pace, number)
        while self._taken in self._pace.ended:
            if self._taken in self._answers:
                self._take(self._pieces[self._taken], self._answers.pop(self._taken))
            self._taken += 1
        if len(self._pace.ended) != self._told:
            self._told = len(self._pace.ended)
            self._tell(pace.progress(self._pace, self._clock.monotonic()))

    def _sleep(self, seconds: float) -> None:
        """Until the next `Due`, which takes the place of an earlier one."""
        if self._wake is not None:
            self._wake.cancel()
            self._woken.append(self._wake)
        self._wake = asyncio.ensure_future(self._clock.sleep(max(0.0, seconds)))

    async def _leave(self) -> None:
        tasks: list[asyncio.Task[Any]] = [*self._asked, *self._woken]
        if self._wake is not None:
            tasks.append(self._wake)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _failure(error: SparkError) -> parts.Failure:
    return parts.Failure(error.status, error.code, error.message, error.retry_after)

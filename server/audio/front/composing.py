"""A recording that no engine answers alone: heard in parts, speakers found, put together.

    decode ─┬─ hear parts ── weave ──┬─ attribute ── referee ── scrub ── written
            └─ diarize parts ─ link ─┘
Owns the order. Refuses to open the recording (the ear), to decide about parts (`long`), and to
write the answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from server.audio.attribute import attribute
from server.audio.formats import dropped_shape
from server.audio.front.asking import Apart, Hearing
from server.audio.front.options import Options
from server.audio.front.written import Composed, lettered
from server.audio.long.model import LongDiarized, LongTranscript, Progress, Rules
from server.audio.long.service import diarized, transcribed
from server.audio.model import Gap, Said, Word
from server.audio.referee.model import Refereed
from server.audio.scrub.segments import NOTHING, Gone
from server.audio.scrub.transcripts import scrubbed_words
from server.audio.sound.model import Decoded
from server.audio.speakers.link import Known
from server.base.clock import Clock
from server.base.errors import SparkError

Tell = Callable[[Progress], None]
Referee = Callable[[Sequence[Said]], Awaitable[Refereed]]


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done with plain sound. `telling_apart` is None where nobody asked who spoke,
    `referee` where nobody is asked."""

    options: Options
    decoded: Decoded
    hearing: Hearing
    telling_apart: Apart | None
    known: Sequence[Known]
    referee: Referee | None
    rules: Rules
    clock: Clock


async def composed(work: Work, tell: Tell, tell_apart: Tell) -> Composed:
    """Raises the first error of any of the works, and ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            heard = group.create_task(_heard(work, tell))
            apart_ = group.create_task(_told_apart(work, tell_apart))
    except BaseExceptionGroup as errors:
        raise first_of(errors) from None
    found, turns = heard.result(), apart_.result()
    said = lettered(await asyncio.to_thread(_attributed, found.words, turns), work.options.names)
    gaps = found.gaps + (() if turns is None else turns.gaps)
    referee = None if turns is None else work.referee
    said, beside = await finished(said, work.options, referee)
    if found.dropped:
        text = work.options.scrub is None
        beside["dropped"] = [dropped_shape(word, text=text) for word in found.dropped]
    return Composed(
        said,
        seconds=work.decoded.seconds,
        language=found.language or work.options.language,
        speakers=turns is not None,
        gaps=once(gaps),
        beside=beside,
    )


async def finished(
    said: tuple[Said, ...], options: Options, referee: Referee | None, gone: Gone = NOTHING
) -> tuple[tuple[Said, ...], dict[str, Any]]:
    """What the referee and the scrubbing make of it, and the fields that tell of it. `gone` are
    words that were taken out of it: part of a number, it may be, that is there without them."""
    beside: dict[str, Any] = {}
    if referee is not None:
        ruled = await referee(said)
        said = ruled.said
        beside |= ruled.to_dict(text=options.scrub is None)
    if options.scrub is not None:
        wish = options.scrub
        said, beside["scrub"] = await scrubbed_words(
            said, wish.wanted, reversible=wish.reversible, gone=gone
        )
    return said, beside


async def _heard(work: Work, tell: Tell) -> LongTranscript:
    return await transcribed(work.decoded, work.hearing, tell, work.rules, work.clock)


async def _told_apart(work: Work, tell: Tell) -> LongDiarized | None:
    if work.telling_apart is None:
        return None
    return await diarized(
        work.decoded, work.telling_apart, tell, work.rules, work.clock, known=work.known
    )


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """What is no error of ours goes before one that is: it is a fault of the program."""
    leaves = list(_leaves(errors))
    return next((one for one in leaves if not isinstance(one, SparkError)), leaves[0])


def _leaves(errors: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for one in errors.exceptions:
        if isinstance(one, BaseExceptionGroup):
            yield from _leaves(one)
        else:
            yield one


def _attributed(words: Sequence[Word], turns: LongDiarized | None) -> tuple[Said, ...]:
    if turns is None:
        return tuple(Said(word, None, 0.0, False, "none") for word in words)
    return tuple(attribute(words, turns.turns))


def once(gaps: Sequence[Gap]) -> tuple[Gap, ...]:
    """Both works may have missed the same part."""
    return tuple(dict.fromkeys(sorted(gaps, key=lambda gap: (gap.start, gap.end))))

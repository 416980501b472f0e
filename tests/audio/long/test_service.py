"""A long recording is heard in parts, and nobody can tell."""

import asyncio
import random
from pathlib import Path

import pytest

from server.audio.long.model import Progress, Rules
from server.audio.long.service import diarized, transcribed
from server.audio.model import Turn
from server.audio.sound.model import Piece
from server.audio.transcript import Diarized, Spoken, Transcript
from server.base.errors import (
    InvalidRequest,
    ModelLoading,
    ModelNotFound,
    RateLimited,
    SparkError,
    UpstreamError,
)
from tests.audio.long import made

RULES = Rules(part_seconds=40.0, at_once=3)


def nobody(progress: Progress) -> None:
    del progress


def texts(words: object) -> list[str]:
    return [word.text for word in words]  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", range(12))
async def test_every_word_is_there_once_in_whatever_order_the_parts_come(
    tmp_path: Path, seed: int
) -> None:
    """Order of completion never matters."""
    said = made.words(400, seed)
    chance = random.Random(seed)

    async def hear(piece: Piece) -> Transcript:
        for _ in range(chance.randrange(20)):
            await asyncio.sleep(0)
        return made.heard(said, piece, random.Random(piece.number))

    found = await transcribed(made.decoded(tmp_path, said, 400), hear, nobody, RULES, made.Clock())
    assert texts(found.words) == texts(said)
    assert found.gaps == ()
    starts = [word.start for word in found.words]
    assert starts == sorted(starts)
    assert " ".join(one.text for one in found.segments) == " ".join(texts(said))


async def test_no_more_parts_are_asked_at_once_than_the_rules_say(tmp_path: Path) -> None:
    """The gateway's line holds one more than the services take."""
    said, running, most = made.words(400), 0, 0

    async def hear(piece: Piece) -> Transcript:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return made.heard(said, piece)

    await transcribed(made.decoded(tmp_path, said, 400), hear, nobody, RULES, made.Clock())
    assert most == 3


async def test_a_part_that_fails_is_asked_again_and_then_a_gap(tmp_path: Path) -> None:
    """Never silently dropped; its neighbours are whole."""
    said, asked = made.words(400), []

    async def hear(piece: Piece) -> Transcript:
        asked.append(piece.number)
        if piece.number == 3:
            raise UpstreamError("The service answered 500.")
        return made.heard(said, piece)

    clock = made.Clock()
    found = await transcribed(made.decoded(tmp_path, said, 400), hear, nobody, RULES, clock)
    assert asked.count(3) == 1 + len(RULES.rests)
    (gap,) = found.gaps
    assert (gap.code, gap.reason) == ("upstream_error", "The service answered 500.")
    kept = [word for word in said if word.end < gap.start or word.start > gap.end]
    assert texts(found.words) == texts(kept)


async def test_a_service_that_is_busy_is_waited_for_as_long_as_it_says(tmp_path: Path) -> None:
    """429 with Retry-After, more often than there are tries; nothing is lost."""
    said, asked = made.words(100), []
    clock = made.Clock()

    async def hear(piece: Piece) -> Transcript:
        asked.append((piece.number, clock.monotonic()))
        if len(asked) < 9:
            raise RateLimited("busy", retry_after=7.0)
        return made.heard(said, piece)

    found = await transcribed(made.decoded(tmp_path, said, 100), hear, nobody, RULES, clock)
    assert texts(found.words) == texts(said)
    assert {at % 7 for _, at in asked} == {0.0}


@pytest.mark.parametrize(
    ("error", "calls"), [(InvalidRequest("bad"), 3), (ModelNotFound("no model"), 3)]
)
async def test_when_no_part_can_be_heard_the_error_is_raised(
    tmp_path: Path, error: SparkError, calls: int
) -> None:
    """And not every part is asked to find that out."""
    asked = []

    async def hear(piece: Piece) -> Transcript:
        asked.append(piece.number)
        raise error

    with pytest.raises(type(error)) as raised:
        await transcribed(
            made.decoded(tmp_path, made.words(900), 900), hear, nobody, RULES, made.Clock()
        )
    assert raised.value is error
    assert len(asked) <= calls


async def test_a_model_that_never_loads_is_not_waited_for_without_end(tmp_path: Path) -> None:
    """Patience ends; the error says why."""
    clock = made.Clock()

    async def hear(piece: Piece) -> Transcript:
        raise ModelLoading("loading", retry_after=30.0)

    with pytest.raises(ModelLoading):
        await transcribed(made.decoded(tmp_path, made.words(300), 300), hear, nobody, RULES, clock)
    assert RULES.patience <= clock.time <= RULES.patience + 60


async def test_cancelling_leaves_nothing_running(tmp_path: Path) -> None:
    """The upstreams are closed with the tasks that ask them."""
    open_ones: set[int] = set()
    began = asyncio.Event()

    async def hear(piece: Piece) -> Transcript:
        open_ones.add(piece.number)
        began.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            open_ones.discard(piece.number)
        raise AssertionError

    before = asyncio.all_tasks()
    work = asyncio.ensure_future(
        transcribed(made.decoded(tmp_path, made.words(300), 300), hear, nobody, RULES, made.Clock())
    )
    await began.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert not open_ones
    assert asyncio.all_tasks() == before


async def test_an_error_of_our_own_is_not_taken_for_a_gap(tmp_path: Path) -> None:
    """It ends the recording and the other parts with it."""

    async def hear(piece: Piece) -> Transcript:
        if piece.number == 1:
            raise ZeroDivisionError
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    before = asyncio.all_tasks()
    with pytest.raises(ZeroDivisionError):
        await transcribed(
            made.decoded(tmp_path, made.words(300), 300), hear, nobody, RULES, made.Clock()
        )
    assert asyncio.all_tasks() == before


async def test_progress_goes_from_nothing_to_everything(tmp_path: Path) -> None:
    """One report for each part that ended, the time left told from those that were measured."""
    said, told = made.words(400), []
    clock = made.Clock()

    async def hear(piece: Piece) -> Transcript:
        await clock.sleep(piece.seconds / 10)
        return made.heard(said, piece)

    rules = Rules(part_seconds=40.0, at_once=1)
    await transcribed(made.decoded(tmp_path, said, 400), hear, told.append, rules, clock)
    assert told[0] == Progress(0, told[0].total, 0.0, None)
    assert [one.done for one in told] == list(range(told[0].total + 1))
    assert told[-1].eta_seconds == 0.0
    ended = clock.time
    halfway = told[len(told) // 2]
    assert halfway.eta_seconds == pytest.approx(ended / 2, rel=0.25)


async def test_the_language_is_that_of_most_words(tmp_path: Path) -> None:
    """What a recogniser believes of a silent part does not count."""
    said = [word for word in made.words(400) if word.start < 100]

    async def hear(piece: Piece) -> Transcript:
        found = made.heard(said, piece)
        return Transcript(found.words, language="de" if found.words else "cy")

    found = await transcribed(made.decoded(tmp_path, said, 400), hear, nobody, RULES, made.Clock())
    assert found.language == "de"


async def test_a_phrase_repeated_over_silence_is_dropped_and_told(tmp_path: Path) -> None:
    """What was said three times aloud stays."""
    said = [
        *(made.Word("no", 2.0 + n * 0.4, 2.3 + n * 0.4) for n in range(4)),
        made.Word("bye", 28, 28.4),
    ]
    dreamt = [made.Word(text, 8 + n, 8.5 + n) for n, text in enumerate(["thank", "you"] * 6)]

    async def hear(piece: Piece) -> Transcript:
        both = sorted([*said, *dreamt], key=lambda word: word.start)
        return made.heard(both, piece)

    found = await transcribed(made.decoded(tmp_path, said, 30), hear, nobody, RULES, made.Clock())
    assert texts(found.words) == texts(said)
    assert texts(found.dropped) == texts(dreamt)


async def test_sentences_keep_their_punctuation_across_the_parts(tmp_path: Path) -> None:
    """A recogniser that tells words without and sentences with it."""
    said = made.words(200, vocabulary=["one", "two", "three", "four", "five", "six"])

    async def hear(piece: Piece) -> Transcript:
        found = made.heard(said, piece)
        lines = [
            Spoken(
                " ".join(w.text for w in found.words[at : at + 5]).capitalize() + ".",
                found.words[at].start,
                found.words[min(at + 4, len(found.words) - 1)].end,
            )
            for at in range(0, len(found.words), 5)
        ]
        return Transcript(found.words, tuple(lines))

    found = await transcribed(made.decoded(tmp_path, said, 200), hear, nobody, RULES, made.Clock())
    plain = " ".join(one.text for one in found.segments).replace(".", "").lower().split()
    assert plain == texts(said)
    assert sum(one.text.endswith(".") for one in found.segments) > len(said) / 5 - 12


async def test_the_same_person_has_the_same_name_in_every_part(tmp_path: Path) -> None:
    """Though each part calls its speakers as it likes."""
    voices = {"ann": (1.0, 0.0, 0.1), "bob": (0.0, 1.0, 0.1), "cat": (0.1, 0.1, 1.0)}
    truth = [Turn(("ann", "bob", "ann", "cat")[n % 4], n * 4.0, n * 4.0 + 3.5) for n in range(100)]

    async def diarize(piece: Piece) -> Diarized:
        names = list(voices)
        random.Random(piece.number).shuffle(names)
        turns = [
            Turn(
                f"S{names.index(one.speaker)}",
                max(0.0, one.start - piece.start),
                min(one.end, piece.end) - piece.start,
            )
            for one in truth
            if one.end > piece.start and one.start < piece.end
        ]
        random.Random(piece.number).shuffle(turns)
        return Diarized(tuple(turns), {f"S{n}": voices[name] for n, name in enumerate(names)})

    sound = made.decoded(tmp_path, made.words(400), 400)
    found = await diarized(sound, diarize, nobody, RULES, made.Clock())
    names = {"ann": "SPEAKER_00", "bob": "SPEAKER_01", "cat": "SPEAKER_02"}
    assert [one.speaker for one in found.turns] == [names[one.speaker] for one in truth]
    assert [one[1:] for one in found.turns] == [pytest.approx(one[1:]) for one in truth]
    assert set(found.voices) == set(names.values())


@pytest.mark.parametrize("size", [0, 1, 999, 10_000_001])
async def test_an_envelope_of_another_length_is_no_matter(tmp_path: Path, size: int) -> None:
    """It was written by the process that opens strangers' files: no more is read than there is
    sound, and what is missing is silence."""
    said = made.words(100)
    sound = made.decoded(tmp_path, said, 100)
    sound.envelopes[0].write_bytes(bytes(size))

    async def hear(piece: Piece) -> Transcript:
        return made.heard(said, piece)

    found = await transcribed(sound, hear, nobody, RULES, made.Clock())
    assert texts(found.words) == texts(said)

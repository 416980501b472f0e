"""Parts that a recogniser heard are the recording, wherever it was cut."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio.long.woven import Woven
from server.audio.model import Word
from server.audio.sound.model import Piece
from server.audio.transcript import Spoken, Transcript
from tests.audio.long import made

DISTINCT = [f"word{n}" for n in range(400)]


def pieces(cuts: list[float], overlap: float, seconds: float) -> list[Piece]:
    """Cut at each of them, with the overlap around it."""
    middles: list[float] = []
    for cut in sorted(cuts):
        if cut - (middles[-1] if middles else 0.0) > 2 * overlap and cut < seconds - 2 * overlap:
            middles.append(cut)
    starts = [0.0, *(middle - overlap / 2 for middle in middles)]
    ends = [*(middle + overlap / 2 for middle in middles), seconds]
    return [made.piece(n, *span) for n, span in enumerate(zip(starts, ends, strict=True))]


def woven(parts: list[Piece], said: list[Word], jitter: random.Random | None = None) -> Woven:
    found = Woven()
    for part in parts:
        found.add(part, made.heard(said, part, jitter))
    return found


def texts(words: object) -> list[str]:
    return [word.text for word in words]  # type: ignore[attr-defined]


cuts_anywhere = st.lists(st.floats(0, 120), max_size=8)


@given(st.integers(0, 1000), cuts_anywhere, st.floats(2, 6))
@settings(max_examples=100)
def test_cut_in_the_middle_of_talk_every_word_is_there_once(
    seed: int, cuts: list[float], overlap: float
) -> None:
    """A perfect recogniser, few words that often follow themselves, cuts within words."""
    said = made.words(120, seed)
    assert texts(woven(pieces(cuts, overlap, 120), said).words) == texts(said)


@given(st.integers(0, 1000), cuts_anywhere, st.floats(2, 6))
@settings(max_examples=100)
def test_the_same_with_times_that_are_a_little_off(
    seed: int, cuts: list[float], overlap: float
) -> None:
    """Each part by up to 0.15 s, each word by up to 0.04 s. Times never go back."""
    said = made.words(120, seed, DISTINCT)
    found = woven(pieces(cuts, overlap, 120), said, random.Random(seed)).words
    assert texts(found) == texts(said)
    starts = [word.start for word in found]
    assert starts == sorted(starts)


@given(st.integers(0, 1000), cuts_anywhere, st.floats(2, 6), st.floats(0, 0.3))
@settings(max_examples=60)
def test_a_poor_recogniser_costs_its_own_words_only(
    seed: int, cuts: list[float], overlap: float, poor: float
) -> None:
    """Words that no part misheard and that lie beyond the overlaps are there once."""
    said, chance = made.words(120, seed, DISTINCT), random.Random(seed)
    parts = pieces(cuts, overlap, 120)
    found = Woven()
    for part in parts:
        told = made.heard(said, part, chance)
        words = [
            word._replace(text="misheard") if chance.random() < poor else word
            for word in told.words
            if chance.random() > poor / 4
        ]
        found.add(part, Transcript(tuple(words)))
    counts = Counter(texts(found.words))
    heard_twice = Counter(texts(said))
    assert all(counts[text] <= heard_twice[text] for text in counts if text != "misheard")


@given(st.integers(0, 1000), cuts_anywhere, st.integers(1, 9))
@settings(max_examples=60)
def test_sentences_hold_every_word_once_and_in_order(
    seed: int, cuts: list[float], length: int
) -> None:
    """Whole ones keep the text that was told, however the parts were cut."""
    said = made.words(120, seed, DISTINCT)
    found = Woven()
    for part in pieces(cuts, 2.0, 120):
        words = made.heard(said, part).words
        runs = [words[at : at + length] for at in range(0, len(words), length)]
        lines = [
            Spoken(" ".join(texts(run)).capitalize() + ".", run[0].start, run[-1].end)
            for run in runs
        ]
        found.add(part, Transcript(words, tuple(lines)))
    segments = found.segments()
    plain = " ".join(one.text for one in segments).replace(".", "").lower().split()
    assert plain == texts(said)
    starts = [one.start for one in segments]
    assert starts == sorted(starts)
    assert all(one.end >= one.start for one in segments)


def test_an_empty_part_is_no_seam() -> None:
    """Silence: what its neighbours heard stays."""
    said = [Word("before", 50, 50.5), Word("after", 130, 130.5)]
    found = woven(pieces([60, 120], 2.0, 180), said)
    assert texts(found.words) == ["before", "after"]
    assert texts(found.segments()) == ["before", "after"]


@given(st.integers(0, 1000), cuts_anywhere, st.floats(2, 4))
@settings(max_examples=60)
def test_a_recogniser_that_tells_no_times_is_woven_by_its_words(
    seed: int, cuts: list[float], overlap: float
) -> None:
    """Nothing but a text comes of each part."""
    said = made.words(120, seed, DISTINCT)
    found = Woven()
    for part in pieces(cuts, overlap, 120):
        found.add(part, Transcript(said=" ".join(texts(made.heard(said, part).words))))
    assert texts(found.words) == texts(said)
    starts = [word.start for word in found.words]
    assert starts == sorted(starts)


def test_where_a_text_without_times_has_nothing_in_common_all_of_it_stays() -> None:
    """Better doubled than lost."""
    found = Woven()
    found.add(made.piece(0, 0, 60), Transcript(said="we met on Mon"))
    found.add(made.piece(1, 58, 120), Transcript(said="day and left"))
    assert texts(found.words) == ["we", "met", "on", "Mon", "day", "and", "left"]


def test_a_text_without_times_was_said_while_something_sounded() -> None:
    """Half a minute of silence holds no words."""
    found = Woven([(10.0, 40.0)])
    found.add(made.piece(0, 0, 50), Transcript(said=" ".join(["word"] * 40)))
    assert sum(word.start < 10 for word in found.words) == 20
    assert all(word.end <= 10 or word.start >= 40 for word in found.words)
    assert found.words[-1].end == 50


@pytest.mark.parametrize(
    ("length", "words_until", "quiet", "gap"),
    [
        (30.0, 29.0, [], (30.0, 58.0)),  # it took half a minute of a minute
        (30.0, 59.0, [], None),  # the length is something else: there are words behind it
        (30.0, 29.0, [(32.0, 60.0)], None),  # nothing sounds there
        (58.0, 29.0, [], None),
        (None, 29.0, [], None),
        (0.0, 0.0, [], None),
    ],
)
def test_a_recogniser_that_hears_only_the_beginning_of_a_part_leaves_a_gap(
    length: float | None,
    words_until: float,
    quiet: list[tuple[float, float]],
    gap: tuple[float, float] | None,
) -> None:
    """It said nothing of it but how long it heard. The next part takes over where it begins."""
    found = Woven(quiet)
    words = made.heard(made.words(words_until), made.piece(0, 0, 60)).words
    found.add(made.piece(0, 0, 60), Transcript(words, duration=length))
    found.add(made.piece(1, 58, 120), Transcript((Word("on", 1, 2),), duration=62))
    assert [one[:2] for one in found.gaps] == ([gap] if gap else [])
    assert texts(found.words)[-1] == "on"

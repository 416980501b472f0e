"""Transcripts of overlapping parts become one."""

from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio.model import Word
from server.audio.weave import Part, Weaving, join, spoken, weave

VOICE = list(
    dict.fromkeys(
        [
            "the",
            "quick",
            "brown",
            "fox",
            "jumps",
            "over",
            "a",
            "lazy",
            "dog",
            "and",
            "then",
            "it",
            "does",
        ]
    )
)


def said(texts: list[str], start: float = 0.0, each: float = 0.5) -> list[Word]:
    return [Word(text, start + i * each, start + (i + 0.8) * each) for i, text in enumerate(texts)]


def between(words: list[Word], start: float, end: float) -> list[Word]:
    return [word for word in words if word.start < end and word.end > start]


def texts(words: list[Word]) -> list[str]:
    return [word.text for word in words]


@given(
    st.lists(st.sampled_from(VOICE), min_size=1, max_size=80),
    st.floats(3, 12),
    st.floats(2, 2.9),
    st.floats(-0.2, 0.2),
)
@settings(max_examples=150)
def test_parts_of_a_recording_become_the_recording(
    heard: list[str], length: float, overlap: float, drift: float
) -> None:
    """Both parts heard the overlap alike, at times a little apart: no word lost, none doubled."""
    words = said(heard)
    end = words[-1].end
    parts, start = [], 0.0
    while start < end:
        inside = [word for word in words if start <= word.start and word.end <= start + length]
        shift = drift if len(parts) % 2 else 0.0
        moved = [word._replace(start=word.start + shift, end=word.end + shift) for word in inside]
        parts.append(Part(start, start + length, moved))
        start += length - overlap
    assert texts(weave(parts)) == heard


@given(st.lists(st.tuples(st.floats(0, 50), st.sampled_from(VOICE)), max_size=60), st.randoms())
@settings(max_examples=150)
def test_times_never_go_back(spans: list[tuple[float, str]], chance: object) -> None:
    """Whatever the parts say about one another."""
    words = [Word(text, start, start + 0.4) for start, text in spans]
    parts = [
        Part(start, start + 12, between(words, start, start + 12)) for start in (40, 0, 10, 20, 30)
    ]
    woven = weave(parts)
    starts = [word.start for word in woven]
    assert starts == sorted(starts)
    assert all(word.end >= word.start for word in woven)


@given(st.lists(st.sampled_from(VOICE), max_size=12), st.lists(st.sampled_from(VOICE), max_size=12))
@settings(max_examples=150)
def test_words_outside_the_overlap_are_all_kept(left: list[str], right: list[str]) -> None:
    """Only words within the overlap may be taken for one another."""
    first, second = said(left), said(right, start=4.1)
    woven = join(first, second, 4.1, 6.0)
    before = [word for word in first if (word.start + word.end) / 2 < 4.1]
    after = [word for word in second if (word.start + word.end) / 2 > 6.0]
    assert woven[: len(before)] == before
    assert woven[len(woven) - len(after) :] == after


def test_a_word_cut_at_the_edge_is_taken_from_the_part_that_heard_it_whole() -> None:
    """The left part misheard its last word, the right one its first: neither is in the result."""
    left = Part(0, 4, said(["we", "met", "on", "a", "sunny", "day", "in", "Mar"]))
    right = Part(2, 8, said(["ay", "day", "in", "March", "last", "year"], start=2.0))
    right = right._replace(words=said(["ay", "day", "in", "March", "last", "year"], start=2.05))
    assert texts(weave([left, right])) == [
        "we",
        "met",
        "on",
        "a",
        "sunny",
        "day",
        "in",
        "March",
        "last",
        "year",
    ]


def test_where_the_parts_agree_on_nothing_the_middle_is_the_border() -> None:
    """Better a seam than a sentence said twice."""
    left = Part(0, 4, said(["a", "b", "c", "d", "e", "f", "g", "h"]))
    right = Part(2, 6, said(["s", "t", "u", "v", "w", "x", "y", "z"], start=2.0))
    assert texts(weave([left, right])) == [
        "a",
        "b",
        "c",
        "d",
        "e",
        "f",
        "u",
        "v",
        "w",
        "x",
        "y",
        "z",
    ]


def test_the_same_word_said_again_later_is_not_the_same_word() -> None:
    """They begin more than a second apart."""
    left = Part(0, 4, [Word("yes", 2.2, 2.6)])
    right = Part(2, 6, [Word("yes", 3.6, 3.9), Word("sure", 5, 5.3)])
    assert texts(weave([left, right])) == ["yes", "yes", "sure"]


def test_parts_that_do_not_meet_are_put_behind_one_another() -> None:
    """Nothing is compared across a gap."""
    left, right = Part(0, 2, said(["one", "two"])), Part(2, 4, said(["two", "three"], start=2.0))
    assert texts(weave([right, left])) == ["one", "two", "two", "three"]


def test_words_are_compared_as_they_sound() -> None:
    """Case, punctuation and the form of a letter make no difference."""
    assert spoken(" Café,") == spoken("cafe\u0301") == "café"
    assert spoken("—") == ""


def test_a_word_said_three_times_at_a_seam_is_there_three_times() -> None:
    """The longest run is not the right one when its words are half a second apart."""
    noes = said(["no", "no", "no", "no"], start=1.9)
    left = Part(0, 4, [*said(["well"]), *noes])
    right = Part(2, 6, [*noes[1:], *said(["fine"], start=4.2)])
    assert texts(weave([left, right])) == ["well", "no", "no", "no", "no", "fine"]


def test_a_long_recording_is_woven_part_by_part_to_the_same() -> None:
    """What was woven before the last overlap is not looked at again."""
    words = said([VOICE[n * n % len(VOICE)] for n in range(2000)])
    weaving = Weaving()
    for start in range(0, 1000, 8):
        part = Part(start, start + 10, between(words, start, start + 10))
        kept, _ = weaving.add(part)
        assert len(weaving.words) - kept <= len(part.words)
    assert texts(weaving.words) == texts(words)

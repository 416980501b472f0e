"""A transcript's words without what tells who somebody is."""

from collections.abc import Iterable

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio import apart
from server.audio.formats import segments
from server.audio.model import Said, Segment, Word
from server.audio.scrub import Wanted
from server.audio.scrub.people import installed
from server.audio.scrub.segments import Gone, Report, scrubbed
from server.audio.scrub.transcripts import scrubbed_words
from server.base.errors import InvalidValue

WANTED = Wanted(names=("Ada Lovelace",))


def talk(*lines: tuple[str, str]) -> list[Said]:
    """Words of half a second each."""
    said: list[Said] = []
    for speaker, text in lines:
        for word in text.split():
            start = len(said) * 0.5
            confidence = 0.5 if word == "zero" else 0.9
            said.append(
                Said(Word(word, start, start + 0.4, confidence), speaker, 0.8, False, "overlap")
            )
    return said


def clean(said: Iterable[Said], wanted: Wanted = WANTED) -> tuple[list[str], Report]:
    done, report = scrubbed(segments(said), wanted)
    return [f"{one.speaker}: {one.text}" for one in done], report


def test_what_goes_over_several_words_becomes_one_with_their_time() -> None:
    """It is no surer than the least sure of them."""
    done, report = scrubbed(
        segments(talk(("A", "call four one five, five five five, zero one three two. Thanks"))),
        WANTED,
    )
    (segment,) = done
    assert segment.text == "call [PHONE_1]. Thanks"
    number = segment.words[1].word
    assert (number.start, number.end, number.confidence) == (0.5, 5.4, 0.5)
    assert report.to_dict(reversible=False) == {
        "detectors": ["patterns", "checksums", "telephones", "spoken", "listed"],
        "languages": ["en", "de"],
        "found": [
            {"kind": "phone", "placeholder": "[PHONE_1]", "words": 10, "times": [[0.5, 5.4]]}
        ],
        "mute": [[0.5, 5.4]],
    }


def test_the_same_thing_has_the_same_placeholder_in_every_segment() -> None:
    """However it was said; what each stands for is told when it was asked for."""
    lines, report = clean(
        talk(
            ("A", "Mail ada@example.com, or ada at example dot com."),
            ("B", "Ada@Example.com? Call 212-555-2368."),
            ("A", "Yes, (two one two) five five five two three six eight"),
        )
    )
    assert lines == [
        "A: Mail [EMAIL_1], or [EMAIL_1].",
        "B: [EMAIL_1]? Call [PHONE_1].",
        "A: Yes, ([PHONE_1]",
    ]
    assert "values" not in report.to_dict(reversible=False)
    assert report.to_dict(reversible=True)["values"] == {
        "[EMAIL_1]": "ada@example.com", "[PHONE_1]": "212-555-2368",
    }  # fmt: skip


def test_a_number_that_is_interrupted_is_found() -> None:
    """People who dictate one are. What the other one says stays."""
    lines, report = clean(
        talk(
            ("A", "It's two one two"),
            ("B", "Uh-huh."),
            ("A", "five five five"),
            ("B", "Okay."),
            ("A", "two three six eight"),
        )
    )
    assert lines == ["A: It's [PHONE_1]", "B: Uh-huh.", "A: [PHONE_1]", "B: Okay.", "A: [PHONE_1]"]
    assert report.taken[0].times == ((0.5, 1.9), (2.5, 3.9), (4.5, 6.4))


def test_a_number_of_which_a_part_went_to_the_wrong_speaker_is_found() -> None:
    """Who said what is sometimes wrong; the number is as private."""
    lines, _ = clean(talk(("A", "It's two one two five five"), ("B", "five two three six eight")))
    assert lines == ["A: It's [PHONE_1]", "B: [PHONE_1]"]


def test_a_number_over_a_pause_is_found() -> None:
    """A pause ends a segment, not a number."""
    said = talk(("A", "two one two five five five two three six eight"))
    late = [
        one._replace(word=one.word._replace(start=one.word.start + 9, end=one.word.end + 9))
        for one in said[6:]
    ]
    lines, _ = clean([*said[:6], *late])
    assert lines == ["A: [PHONE_1]", "A: [PHONE_1]"]


def test_what_is_left_of_a_number_is_taken_out_too() -> None:
    """Words that were taken for the loudspeaker's are gone; the rest is as private as the whole."""
    far = talk(("B", "please charge 4111 1111 1111 1111 now"))
    near = [one._replace(speaker="A", channel="mic") for one in far]
    gone = Gone("mic", tuple(near[index].word for index in (0, 1, 2, 4)))
    left = [near[index] for index in (3, 5, 6)]
    done, report = scrubbed(segments([*far, *left]), Wanted(), gone=gone)
    assert [f"{one.speaker}: {one.text}" for one in done] == [
        "B: please charge [CARD_1] now", "A: [CARD_1] now",
    ]  # fmt: skip
    assert [one.words for one in report.taken] == [4, 2]
    assert report.values == {"[CARD_1]": "4111 1111 1111 1111"}


def test_what_is_wholly_gone_is_not_told() -> None:
    """It is in nothing that comes back, so nothing stands for it."""
    said = [one._replace(channel="mic") for one in talk(("A", "I see"))]
    gone = Gone("mic", (Word("ada@example.com", 5, 6),))
    done, report = scrubbed(segments(said), Wanted(), gone=gone)
    assert (done[0].text, report.taken, report.values) == ("I see", (), {})


def test_two_findings_may_share_a_word() -> None:
    """And what stands around them stays."""
    lines, _ = clean(talk(("A", '"a@example.com;b@example.com", Ada Lovelace\'s')))
    assert lines == ['A: "[EMAIL_1];[EMAIL_2]", [NAME_1]\'s']


def test_a_placeholder_that_was_said_is_not_used() -> None:
    """It would stand for two things."""
    lines, _ = clean(talk(("A", "[EMAIL_1] a@example.com")))
    assert lines == ["A: [EMAIL_1] [EMAIL_2]"]


PIECES = [
    "a@example.com", "two", "one", "five", "212-555-2368", "4111", "1111", "Ada", "Lovelace,",
    "hello", "", "dot", "at", "example", "com", "[EMAIL_1]", "five.", "double", "plus",
]  # fmt: skip
talks = st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from(PIECES)), max_size=60)


@given(talks)
@settings(max_examples=100)
def test_nothing_else_changes(lines: list[tuple[str, str]]) -> None:
    """Speakers, channels and times stay; words are lost only into a placeholder; what is said to
    be found is found no more."""
    said = [
        Said(Word(text, at * 0.5, at * 0.5 + 0.4), speaker, 1.0, False, "overlap", "mic")
        for at, (speaker, text) in enumerate(lines)
    ]
    before = segments(said)
    done, report = scrubbed(before, WANTED)
    assert [_frame(one) for one in done] == [_frame(one) for one in before]
    again, rest = scrubbed(done, WANTED)
    assert [one.text for one in again] == [one.text for one in done]
    assert rest.taken == ()
    kept = [one for segment in done for one in segment.words]
    assert all(one in said or "[" in one.word.text for one in kept)
    starts = [one.word.start for one in kept]
    assert starts == sorted(starts)
    covered = sum(one.words for one in report.taken)
    assert len(said) - covered <= len(kept)
    for start, end in report.muted():
        assert all(
            one not in kept or "[" in one.word.text
            for one in said
            if start <= one.word.start and one.word.end <= end and one.word.text
        )


def _frame(one: Segment) -> tuple[object, ...]:
    return one.speaker, one.channel, one.start, one.end


async def test_long_transcripts_are_worked_on_in_another_process() -> None:
    """With the same result as here."""
    said = talk(("A", "hello there " * 200 + "mail ada@example.com"), ("B", "thanks Ada Lovelace"))
    assert len(orjson.dumps([list(one.word) for one in said])) > apart.SMALL
    words, report = await scrubbed_words(said, WANTED, reversible=True)
    assert [one.word.text for one in words[-3:]] == ["[EMAIL_1]", "thanks", "[NAME_1]"]
    assert report["values"] == {"[EMAIL_1]": "ada@example.com", "[NAME_1]": "Ada Lovelace"}
    assert words[:-3] == tuple(said[:-4])


async def test_names_are_found_where_the_extra_is_and_refused_where_it_is_not() -> None:
    """Never is it answered as if somebody had looked."""
    said = talk(("A", "Hello, my name is Ada Lovelace and I met Charles Babbage."))
    wanted = Wanted(find_names=True)
    if installed():
        words, report = await scrubbed_words(said, wanted)
        assert " ".join(one.word.text for one in words) == (
            "Hello, my name is [NAME_1] and I met [NAME_2]."
        )
        assert "people" in report["detectors"]
    else:
        with pytest.raises(InvalidValue, match="optional extra `pii`"):
            await scrubbed_words(said, wanted)

"""Composed transcripts in every format, as a document and as events."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio.front.events import Standing, comment, progress
from server.audio.front.options import FORMATS, Format, Options
from server.audio.front.told import turns_written
from server.audio.front.written import (
    Composed,
    frames,
    gaps_header,
    lettered,
    letters,
    segments,
    written,
)
from server.audio.long.model import LongDiarized
from server.audio.model import Gap, Said, Turn, Word

GAP = Gap(2.0, 300.0, "upstream_error", "The engine of ears failed.")


def said(*texts: str, speakers: str = "", step: float = 0.5) -> tuple[Said, ...]:
    return tuple(
        Said(
            Word(text, i * step, i * step + 0.4),
            speakers[i] if speakers else None,
            1.0,
            False,
            "overlap" if speakers else "none",
        )
        for i, text in enumerate(texts)
    )


HELLO = said("Hello", "there.", "Good", "morning.")


def shape(found: Composed, form: Format, **options: Any) -> dict[str, Any]:
    shaped: dict[str, Any] = orjson.loads(
        written(found, Options(format=form, **options), form).body
    )
    return shaped


def test_nobody_is_named_where_nobody_looked() -> None:
    """Segments are sentences, and have no speaker."""
    found = shape(Composed(HELLO, 2.0, "en"), "verbose_json", grains=frozenset({"word", "segment"}))
    assert [one["text"] for one in found["segments"]] == ["Hello there.", "Good morning."]
    assert not any("speaker" in one for one in (*found["segments"], *found["words"]))
    assert (found["language"], found["duration"], found["task"]) == ("en", 2.0, "transcribe")


@pytest.mark.parametrize(
    ("grains", "keys"),
    [
        (set(), {"segments"}),
        ({"segment"}, {"segments"}),
        ({"word"}, {"words"}),
        ({"word", "segment"}, {"words", "segments"}),
    ],
)
def test_words_and_segments_are_given_to_who_asks(grains: set[Any], keys: set[str]) -> None:
    """Segments to who says nothing."""
    found = shape(Composed(HELLO, 2.0), "verbose_json", grains=frozenset(grains))
    assert found.keys() & {"words", "segments"} == keys


def test_a_translation_says_that_it_is_one() -> None:
    found = Composed(HELLO, 2.0)
    options = Options("translate", format="verbose_json")
    assert b'"task":"translate"' in written(found, options, "verbose_json").body


def test_text_has_names_only_where_somebody_looked() -> None:
    alone = written(Composed(HELLO, 2.0), Options(), "text").body
    assert alone == b"Hello there. Good morning.\n"
    named = Composed(said("Hi.", "Ho.", speakers="AB"), 1.0, speakers=True)
    assert written(named, Options(), "text").body == b"A: Hi.\nB: Ho.\n"


@pytest.mark.parametrize("form", FORMATS)
def test_a_gap_is_told_in_every_format(form: Format) -> None:
    """And by a header, for who does not read the answer."""
    found = Composed(HELLO, 300.0, gaps=(GAP,), speakers=form == "diarized_json")
    body = written(found, Options(format=form), form).body.decode()
    assert "gaps" in body or "[…]" in body
    assert "".join(chunk.decode() for chunk in frames(found, Options(format=form), form))
    assert gaps_header(found.gaps) == b"2.000-300.000"


def test_what_stands_beside_is_in_every_json() -> None:
    found = Composed(HELLO, 2.0, speakers=True, beside={"scrub": {"found": []}})
    for form in ("json", "verbose_json", "diarized_json"):
        assert shape(found, form)["scrub"] == {"found": []}
        assert b'"scrub"' in b"".join(frames(found, Options(format=form), form))


@pytest.mark.parametrize("form", FORMATS)
def test_deltas_together_are_the_text(form: Format) -> None:
    """Of every format; the document comes with the end where it says more."""
    found = Composed(said("Hi", "all.", "Ho.", speakers="AAB"), 2.0, speakers=True)
    events = [orjson.loads(one.partition(b"data: ")[2]) for one in frames(found, Options(), form)]
    text = "".join(one["delta"] for one in events if one["type"] == "transcript.text.delta")
    last = events[-1]
    assert (last["type"], last["text"]) == ("transcript.text.done", text)
    assert text == "Hi all. Ho."
    assert ("transcript" in last) is (form in {"srt", "vtt", "verbose_json"})
    kinds = [one["type"] for one in events]
    assert kinds.count("transcript.text.segment") == (2 if form == "diarized_json" else 0)


def test_progress_is_a_comment_and_an_event() -> None:
    now = Standing(41.6, 2, 5, 30.2)
    assert comment(now) == b": progress percent=42 part=2/5 eta=31\n\n"
    assert comment(Standing(0, 0, 0)) == b": progress percent=0 part=0/0\n\n"
    head, data = progress(now).split(b"\n", 1)
    assert head == b"event: spark.progress"
    assert orjson.loads(data.removeprefix(b"data: "))["eta_seconds"] == 30.2


def test_speakers_are_letters_in_the_order_in_which_they_speak() -> None:
    """Who is known keeps its name, and no letter is taken twice."""
    found = lettered(said("a", "b", "c", "d", speakers="xyAx"), ["A"])
    assert [one.speaker for one in found] == ["B", "C", "A", "B"]
    assert lettered(said("a"), []) == said("a")


@settings(max_examples=100)
@given(st.integers(0, 20_000), st.integers(0, 20_000))
def test_letters_are_different(one: int, other: int) -> None:
    assert (letters(one) == letters(other)) is (one == other)
    assert letters(one).isupper()


@settings(max_examples=50)
@given(st.lists(st.text(min_size=1, max_size=6), max_size=30), st.booleans())
def test_no_word_is_lost_by_segments(texts: list[str], speakers: bool) -> None:
    found = Composed(said(*texts), 20.0, speakers=speakers)
    kept = [one.word.text for line in segments(found) for one in line.words]
    assert kept == texts


def test_turns_are_written_as_lines_of_nist() -> None:
    """A name with spaces stays one field."""
    found = LongDiarized((Turn("Ann Smith", 0.5, 2.0),), (), 3.0)
    assert turns_written(found, "rttm").body == (
        b"SPEAKER recording 1 0.500 1.500 <NA> <NA> Ann_Smith <NA> <NA>\n"
    )
    assert orjson.loads(turns_written(found, "json").body)["segments"] == [
        {"speaker": "Ann Smith", "start": 0.5, "end": 2.0}
    ]

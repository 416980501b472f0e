"""A transcript written down and read back."""

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio import formats
from server.audio.model import Gap, Said, Word, joined

SRT = re.compile(
    r"(\d+)\n(\d{2,}):(\d\d):(\d\d),(\d{3}) --> (\d{2,}):(\d\d):(\d\d),(\d{3})\n(.+)\n"
)
VTT = re.compile(
    r"(\d{2,}:\d\d:\d\d\.\d{3}) --> (\d{2,}:\d\d:\d\d\.\d{3})\n(?:<v ([^>]*)>)?([^<>\n]*)\n"
)


pauses = st.floats(0, 3)


def heard(text: str, start: float, end: float, speaker: str | None = "A", **more: Any) -> Said:
    return Said(Word(text, start, end), speaker, 1.0, False, "overlap", **more)


@st.composite
def transcripts(draw: st.DrawFn) -> list[Said]:
    """Any letters at all, times that go on."""
    given_words = draw(
        st.lists(
            st.tuples(
                st.text(max_size=12),
                st.floats(0, 3),
                st.floats(0, 3),
                st.sampled_from(["A", "B", None]),
            ),
            max_size=25,
        )
    )
    at, found = 0.0, []
    for text, gap, length, speaker in given_words:
        at += gap
        found.append(heard(text, at, at + length, speaker))
        at += length
    return found


@given(transcripts())
@settings(max_examples=150)
def test_segments_hold_every_word_once(said: list[Said]) -> None:
    """In order, each of one speaker."""
    found = formats.segments(said)
    assert [one for segment in found for one in segment.words] == said
    assert all({one.speaker for one in segment.words} == {segment.speaker} for segment in found)


@given(transcripts())
@settings(max_examples=150)
def test_srt_is_read_back(said: list[Said]) -> None:
    """Cue after cue with nothing between, numbered from one, times that go on."""
    written = formats.srt(formats.segments(said))
    cues = written.split("\n\n") if written else []
    cues = [cue if cue.endswith("\n") else cue + "\n" for cue in cues]
    found = [SRT.fullmatch(cue) for cue in cues]
    assert all(found), written
    assert [int(one[1]) for one in found if one] == list(range(1, len(cues) + 1))
    assert written.count("-->") == len(cues)


@given(transcripts())
@settings(max_examples=150)
def test_vtt_is_read_back(said: list[Said]) -> None:
    """Its only markup is ours."""
    written = formats.vtt(formats.segments(said))
    head, _, body = written.partition("\n\n")
    assert head == "WEBVTT"
    cues = body.split("\n\n") if body else []
    cues = [cue if cue.endswith("\n") else cue + "\n" for cue in cues]
    assert all(VTT.fullmatch(cue) for cue in cues), written


def test_a_long_segment_is_cut_to_what_can_be_read() -> None:
    """No cue longer than seven seconds or two lines, and never within a word."""
    said = [heard(f"word{i}", i * 0.5, i * 0.5 + 0.4) for i in range(60)]
    written = formats.srt(formats.segments(said))
    assert len(written.split("\n\n")) >= 30 / 7
    assert re.findall(r"word\d+", written) == [f"word{i}" for i in range(60)]


def test_hours_go_on_past_ninety_nine() -> None:
    """And what is before the beginning is the beginning."""
    assert formats.stamp(100 * 3600 + 61.2345, ",") == "100:01:01,234"
    assert formats.stamp(-1, ".") == "00:00:00.000"


def test_a_pause_a_speaker_and_a_channel_begin_a_segment() -> None:
    """And nothing else does."""
    said = [
        heard("a", 0, 1),
        heard("b", 1.1, 2),
        heard("c", 3.5, 4),
        heard("d", 4, 5, "B"),
        heard("e", 5, 6, "B", channel="mic"),
    ]
    assert [one.text for one in formats.segments(said)] == ["a b", "c", "d", "e"]


def test_the_shapes_are_those_of_the_openai_api() -> None:
    """`verbose_json` with words, and `diarized_json`, where nobody is called UNKNOWN."""
    found = formats.segments([heard(" Hello", 0, 0.5), heard("you", 0.6, 0.9, None)])
    verbose = formats.verbose_json(found, duration=1, language="en", words=True)
    assert verbose["text"] == "Hello you"
    assert verbose["words"][0] == {
        "word": "Hello", "start": 0, "end": 0.5, "speaker": "A", "speaker_confidence": 1.0,
        "overlapped": False,
    }  # fmt: skip
    diarized = formats.diarized_json(found, duration=1)
    assert [one["speaker"] for one in diarized["segments"]] == ["A", "UNKNOWN"]
    assert diarized["segments"][0]["type"] == "transcript.text.segment"


def test_a_gap_is_told_in_every_format() -> None:
    """Nobody heard it: a cue or a line of its own, in its place, and a list in JSON."""
    found = formats.segments([heard("before.", 0, 1), heard("after", 301, 302, None)])
    gaps = [Gap(1.5, 300.0, "upstream_timeout", "The service was too slow.")]
    assert formats.text(found, gaps=gaps) == "before.\n[…]\nafter\n"
    assert formats.text(found, names=True, gaps=gaps) == "A: before.\n[…]\nUNKNOWN: after\n"
    assert "2\n00:00:01,500 --> 00:05:00,000\n[…]\n" in formats.srt(found, gaps=gaps)
    assert "00:00:01.500 --> 00:05:00.000\n[…]\n" in formats.vtt(found, gaps=gaps)
    told = [
        {
            "start": 1.5,
            "end": 300.0,
            "missing": "words",
            "code": "upstream_timeout",
            "reason": "The service was too slow.",
        }
    ]
    verbose = formats.verbose_json(found, duration=302, language=None, words=False, gaps=gaps)
    assert verbose["gaps"] == told
    assert formats.diarized_json(found, duration=302, gaps=gaps)["gaps"] == told
    assert "gaps" not in formats.diarized_json(found, duration=302)


def test_scripts_without_spaces_get_none() -> None:
    """Recognisers tell such words one by one as well."""
    assert joined(["你", "好", "。"]) == "你好。"
    assert joined(["これ", "は", "GPU", "です"]) == "これは GPU です"
    assert joined([" a", " café", ""]) == "a café"


def test_a_word_that_was_dropped_is_told_without_its_text_where_the_text_was_scrubbed() -> None:
    """Nobody looked through it for names and numbers."""
    word = Word(" thanks", 1, 2)
    told = {"start": 1, "end": 2, "reason": "repeated_in_silence"}
    assert formats.dropped_shape(word, text=True) == {"word": "thanks", **told}
    assert formats.dropped_shape(word, text=False) == told

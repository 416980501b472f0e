"""Answers of engines read for a page: text and numbers come out, or a sentence."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.web.pages.attempt import answer
from server.web.pages.attempt.answer import Failure, Likeness, Said, Transcript
from server.web.pages.attempt.inside import Heard

JSON = ((b"content-type", b"application/json"),)
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "content",
                    "usage",
                    "data",
                    "embedding",
                    "segments",
                    "text",
                    "start",
                    "end",
                    "speaker",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def heard(body: Any, status: int = 200) -> Heard:
    return Heard(status, JSON, json.dumps(body).encode())


@given(VALUES)
@settings(max_examples=200)
def test_nothing_that_comes_back_breaks_the_page(body: Any) -> None:
    """Whatever an engine says is JSON of some shape."""
    for read in (answer.said, answer.transcript, answer.likeness, answer.voices):
        read(heard(body))
    assert answer.refused(heard(body, 500)) is not None


def test_a_chat_answer_has_its_text_its_thoughts_and_its_cost() -> None:
    """Both names that engines give to thinking are known."""
    message = {"content": "hi", "reasoning": "hm"}
    body = {
        "choices": [{"message": message, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1},
    }
    assert answer.said(heard(body)) == Said("hi", "hm", 3, 1, cut=True)
    assert isinstance(answer.said(heard({"choices": []})), Failure)


def test_an_error_is_told_in_the_words_of_the_gateway() -> None:
    """With the request id that leads to the log."""
    error = {"message": "No.", "advice": "Do.", "request_id": "req-1"}
    assert answer.refused(heard({"error": error}, 502)) == Failure("No.", "Do.", "req-1")
    assert answer.refused(heard({})) is None


def test_a_transcript_has_times_and_speakers_where_they_are_told() -> None:
    """A time that is none is 0, and nothing ends before it begins."""
    rows = [{"start": 1.5, "end": -1, "text": " a ", "speaker": 0}]
    found = answer.transcript(heard({"text": "a", "segments": rows}))
    assert isinstance(found, Transcript)
    assert found.segments == (answer.Segment(1.5, 1.5, "a", "0"),)
    plain = answer.transcript(Heard(200, ((b"content-type", b"text/vtt"),), b"WEBVTT\n"))
    assert plain == Transcript("WEBVTT\n", "WEBVTT\n")


@pytest.mark.parametrize(
    ("first", "second", "cosine"),
    [
        ([1, 0], [2, 0], 1.0),
        ([1, 0], [0, 3], 0.0),
        ([1, 1], [-1, -1], -1.0),
        ([0, 0], [1, 0], None),
    ],
)
def test_likeness_is_the_cosine(
    first: list[float], second: list[float], cosine: float | None
) -> None:
    """Unknown is not 0: a vector without length has no direction."""
    body = {"data": [{"embedding": first}, {"embedding": second}], "model": "e"}
    found = answer.likeness(heard(body))
    assert isinstance(found, Likeness)
    assert found.size == 2
    assert found.cosine == (None if cosine is None else pytest.approx(cosine))


@pytest.mark.parametrize(
    "body",
    [
        {"voices": ["a", "b", "a"]},
        {"voices": [{"id": "a"}, {"name": "b"}, {"x": 1}]},
        {"data": [{"voice_id": "a"}, "b"]},
        ["a", "b"],
    ],
)
def test_voices_are_found_whichever_way_they_are_listed(body: Any) -> None:
    """Each once, in order."""
    assert answer.voices(heard(body)) == ("a", "b")

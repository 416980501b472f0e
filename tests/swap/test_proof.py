"""The proof reads an SSE line and knows a piece of an answer, whatever sort of model gives it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.base.errors import UpstreamError
from server.swap.proof import said


def line(frame: object) -> str:
    return "data: " + json.dumps(frame)


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "Yes"},
        {"reasoning_content": "Let me think"},
        {"reasoning": "Hm"},
        {"tool_calls": [{"index": 0}]},
    ],
)
def test_any_piece_counts(delta: dict[str, object]) -> None:
    assert said(line({"choices": [{"delta": delta}]}))


def test_completions_count_too() -> None:
    assert said(line({"choices": [{"text": "Yes"}]}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ": comment",
        "event: x",
        "data: [DONE]",
        "data: {",
        "data: []",
        "data: null",
        line({"choices": []}),
        line({"choices": [{"delta": {"role": "assistant", "content": ""}}]}),
        line({"choices": [None]}),
        line({"choices": {"delta": 1}}),
    ],
)
def test_what_says_nothing_is_no_proof(text: str) -> None:
    assert not said(text)


def test_an_error_frame_is_an_error() -> None:
    with pytest.raises(UpstreamError):
        said(line({"error": {"message": "CUDA error"}}))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_frame_whatever_breaks_it(frame: object) -> None:
    if isinstance(frame, dict):
        frame.pop("error", None)
    assert said(line(frame)) in {True, False}

"""The proof reads an SSE line and knows a piece of an answer, whatever sort of model gives it."""

import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.base.errors import UpstreamError
from server.swap.proof import first_token, said


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


def engine_that(answers: dict[str, httpx.Response]) -> httpx.AsyncClient:
    """Answers those paths; the others are not for its kind of model."""

    def answer(request: httpx.Request) -> httpx.Response:
        return answers.get(request.url.path, httpx.Response(404, json={"error": {}}))

    return httpx.AsyncClient(transport=httpx.MockTransport(answer))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"data": [{"embedding": [0.1]}]}),
        ("/v1/rerank", {"results": [{"index": 0, "relevance_score": 0.9}]}),
    ],
)
async def test_a_model_that_does_not_speak_proves_itself_its_own_way(
    path: str, body: dict[str, object]
) -> None:
    async with engine_that({path: httpx.Response(200, json=body)}) as http:
        await first_token(http, "http://192.0.2.1:8000", "m")


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>a router's page</html>"),
        httpx.Response(200, content=b"\xff\xfe"),
        httpx.Response(200, json=["not", "an", "object"]),
        httpx.Response(200, json={"data": []}),
        httpx.Response(404, json={}),
    ],
    ids=["html", "bytes", "list", "empty", "absent"],
)
async def test_whatever_else_answers_is_no_proof(answer: httpx.Response) -> None:
    """And no mistake of ours: it is said what was asked."""
    async with engine_that({"/v1/embeddings": answer}) as http:
        with pytest.raises(UpstreamError, match="no endpoint answered"):
            await first_token(http, "http://192.0.2.1:8000", "m")

"""A tap on an answer knows what it cost, however it is cut, and never gets in the way."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.gateway.model import Used
from server.gateway.operations import OPERATIONS
from server.gateway.usage.tap import LINE_LIMIT, WHOLE_LIMIT, StreamTap, Tap, make_tap

CHAT = OPERATIONS["/v1/chat/completions"]
RESPONSES = OPERATIONS["/v1/responses"]
MESSAGES = OPERATIONS["/v1/messages"]
EMBEDDINGS = OPERATIONS["/v1/embeddings"]
TRANSCRIPTIONS = OPERATIONS["/v1/audio/transcriptions"]
SSE, JSON = b"text/event-stream; charset=utf-8", b"application/json"


def tap(path: str = "/v1/chat/completions", kind: bytes = SSE) -> Tap:
    made = make_tap(OPERATIONS[path], kind, kind == SSE)
    assert made is not None
    return made


def fed(made: Tap, chunks: Sequence[bytes]) -> Tap:
    for chunk in chunks:
        made.feed(chunk)
    return made


def event(body: Any, name: str = "", end: bytes = b"\n") -> bytes:
    head = b"event: " + name.encode() + end if name else b""
    return head + b"data: " + orjson.dumps(body) + end + end


def delta(text: str | None, **more: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": {"content": text}}], **more}


CHAT_STREAM = [
    event({"choices": [{"delta": {"role": "assistant", "content": ""}}], "usage": None}),
    event(delta("Hi")),
    event(delta(" there")),
    event({"choices": [{"delta": {}, "finish_reason": "stop"}]}),
]
USAGE = {
    "prompt_tokens": 11,
    "completion_tokens": 7,
    "total_tokens": 18,
    "prompt_tokens_details": {"cached_tokens": 4},
}
DONE = b"data: [DONE]\n\n"
MESSAGE_STREAM = [
    event(
        {
            "type": "message_start",
            "message": {
                "usage": {
                    "input_tokens": 10,
                    "cache_read_input_tokens": 5,
                    "cache_creation_input_tokens": 2,
                    "output_tokens": 1,
                }
            },
        },
        "message_start",
    ),
    event({"type": "content_block_start", "content_block": {"type": "text", "text": ""}}, "b"),
    event({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}}, "d"),
    event({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "!"}}, "d"),
    event({"type": "ping"}, "ping"),
    event({"type": "message_delta", "usage": {"output_tokens": 9}}, "message_delta"),
    event({"type": "message_stop"}, "message_stop"),
]
RESPONSE_STREAM = [
    event({"type": "response.created", "response": {"usage": None}}, "response.created"),
    event({"type": "response.output_text.delta", "delta": "Hi"}, "response.output_text.delta"),
    event({"type": "response.output_text.delta", "delta": "!"}, "response.output_text.delta"),
    event({"type": "response.output_text.done", "text": "Hi!"}, "response.output_text.done"),
]
RESPONSE_END = event(
    {
        "type": "response.completed",
        "response": {
            "output": [{"content": [{"text": "Hi!"}]}],
            "usage": {
                "input_tokens": 3,
                "output_tokens": 2,
                "input_tokens_details": {"cached_tokens": 1},
            },
        },
    },
    "response.completed",
)


@pytest.mark.parametrize(
    ("path", "stream", "used"),
    [
        ("/v1/chat/completions", [*CHAT_STREAM, DONE], Used(None, 2, counted=True)),
        (
            "/v1/chat/completions",
            [*CHAT_STREAM, event({"choices": [], "usage": USAGE}), DONE],
            Used(11, 7, 4),
        ),
        ("/v1/messages", MESSAGE_STREAM, Used(17, 9, 5)),
        ("/v1/messages", MESSAGE_STREAM[:4], Used(17, 2, 5, counted=True)),
        ("/v1/responses", RESPONSE_STREAM, Used(None, 2, counted=True)),
        ("/v1/responses", [*RESPONSE_STREAM, RESPONSE_END], Used(3, 2, 1)),
        (
            "/v1/audio/transcriptions",
            [
                event({"type": "transcript.text.delta", "delta": "Hi"}),
                event(
                    {
                        "type": "transcript.text.done",
                        "text": "Hi",
                        "usage": {"type": "duration", "seconds": 9},
                    }
                ),
            ],
            Used(None, 1, None, 9.0, counted=True),
        ),
        ("/v1/completions", [event({"choices": [{"text": "a"}]})] * 3, Used(None, 3, counted=True)),
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_streams_of_every_dialect_are_read(
    path: str, stream: list[bytes], used: Used, end: bytes
) -> None:
    """Told, or counted by the pieces when nothing was told: also of one that was cut."""
    assert fed(tap(path), [one.replace(b"\n", end) for one in stream]).used() == used


def test_usage_in_every_chunk_is_the_last_one() -> None:
    """vLLM's continuous_usage_stats; spaces after the colons as well."""
    made = tap()
    for count in range(1, 6):
        body = orjson.dumps(delta("x", usage={"prompt_tokens": 3, "completion_tokens": count}))
        made.feed(b"data: " + body.replace(b":", b": ") + b"\n\n")
    assert made.used() == Used(3, 5)


def test_reasoning_and_tools_are_content_too() -> None:
    """Whatever the engine calls it."""
    made = tap()
    for name in ("reasoning_content", "reasoning"):
        made.feed(event({"choices": [{"delta": {"content": None, name: "hm"}}]}))
    call = {"tool_calls": [{"index": 0, "function": {"arguments": '{"a'}}]}
    made.feed(event({"choices": [{"delta": call}]}))
    assert made.used() == Used(None, 3, counted=True)


def test_the_first_token_is_told_when_it_comes() -> None:
    """Neither a role nor a comment is one."""
    made, seen = tap(), []
    for chunk in (b": waiting\n\n", *CHAT_STREAM):
        made.feed(chunk)
        seen.append(made.first_token)
    assert seen == [False, False, True, True, True]


def test_what_a_person_wrote_is_not_taken_for_usage() -> None:
    """Text that looks like it is escaped in JSON, or stands where it means nothing."""
    liar = 'data: {"usage": {"completion_tokens": 99}, "content": "x"}\n\ndata: '
    made = fed(tap(), [event(delta(liar)), event(delta('"usage":{"completion_tokens":99}'))])
    assert made.used() == Used(None, 2, counted=True)
    whole = tap(kind=JSON)
    whole.feed(orjson.dumps({"choices": [{"message": {"content": liar * 3000}}], "usage": USAGE}))
    assert whole.used() == Used(11, 7, 4)


LINES = st.one_of(
    st.sampled_from([*CHAT_STREAM, *MESSAGE_STREAM, *RESPONSE_STREAM, RESPONSE_END, DONE]),
    st.sampled_from(
        [
            event({"choices": [], "usage": USAGE}),
            event(delta("x", usage=USAGE), end=b"\r\n"),
            event(delta('"usage": {data:')),
            b": a comment with data: in it\n\n",
            b'data: {"usage": {broken\n\n',
            b'data:{"choices":[{"delta":{"content":"\n\n',
            b'data: "content":"',
            b'data: "content": "x\n',
            b"data:\n\n",
            b"\n",
            b"\r",
            b"data: \xff\xfe\n\n",
        ]
    ),
    st.binary(max_size=12),
)


@settings(max_examples=200, deadline=None)
@given(
    path=st.sampled_from(["/v1/chat/completions", "/v1/responses", "/v1/messages"]),
    lines=st.lists(LINES, max_size=12),
    cuts=st.lists(st.integers(0, 4000), max_size=20),
)
def test_how_a_stream_is_cut_makes_no_difference(
    path: str, lines: list[bytes], cuts: list[int]
) -> None:
    """As it was sent, in one piece, byte by byte, or anywhere: the same."""
    stream = b"".join(lines)
    places = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(places)]
    bytewise = [stream[i : i + 1] for i in range(len(stream))]
    made = [fed(tap(path), chunks) for chunks in (lines, [stream], pieces, bytewise)]
    assert len({(one.used(), one.first_token) for one in made}) == 1


@settings(max_examples=100, deadline=None)
@given(
    size=st.one_of(st.integers(0, 3000), st.integers(WHOLE_LIMIT - 300, WHOLE_LIMIT * 3)),
    step=st.one_of(st.integers(1, 4000), st.integers(WHOLE_LIMIT - 2, WHOLE_LIMIT * 2)),
)
def test_a_large_answer_is_read_from_its_ends(size: int, step: int) -> None:
    """Bounded in memory, the same for every cut; the usage of embeddings stands behind them."""
    body = b'{"data":"' + b"x" * size + b'", "usage": ' + orjson.dumps(USAGE) + b', "x": null}'
    step = max(step, len(body) // 200)
    made = fed(tap("/v1/embeddings", JSON), [body[i : i + step] for i in range(0, len(body), step)])
    assert made.used() == Used(11, 7, 4)


def test_the_length_of_a_recording_is_read() -> None:
    """Of a verbose answer, as text or number; of a very long one from its beginning."""
    for duration in (12.5, "12.5"):
        made = tap("/v1/audio/transcriptions", JSON)
        made.feed(orjson.dumps({"duration": duration, "text": "hello"}))
        assert made.used() == Used(audio_seconds=12.5)
    long = tap("/v1/audio/transcriptions", JSON)
    long.feed(orjson.dumps({"duration": 7200.25, "text": "hello " * 50_000}))
    assert long.used() == Used(audio_seconds=7200.25)
    chat = tap(kind=JSON)
    chat.feed(b'{"duration": 3}')
    assert chat.used() == Used()


@pytest.mark.parametrize(
    "usage",
    [
        None,
        [],
        "many",
        {"prompt_tokens": -1, "completion_tokens": 1.5},
        {"prompt_tokens": True, "completion_tokens": "7"},
        {"prompt_tokens": 10**15, "prompt_tokens_details": []},
        {"seconds": "long", "input_tokens_details": {"cached_tokens": None}},
    ],
)
def test_odd_figures_count_as_none(usage: Any) -> None:
    """Never as zero, and never as an error."""
    made = tap(kind=JSON)
    made.feed(orjson.dumps({"usage": usage}))
    assert made.used() == Used()
    assert fed(tap(), [event({"usage": usage})]).used() == Used()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "usage",
                    "response",
                    "message",
                    "duration",
                    "seconds",
                    "prompt_tokens",
                    "completion_tokens",
                    "total_tokens",
                    "input_tokens",
                    "prompt_tokens_details",
                    "input_tokens_details",
                    "cached_tokens",
                    "cache_read_input_tokens",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(body=JSON_VALUES, raw=st.binary(max_size=40), audio=st.booleans())
def test_nothing_that_is_fed_raises(body: Any, raw: bytes, audio: bool) -> None:
    """An answer must not fail because it could not be counted; figures are never below zero."""
    path = "/v1/audio/transcriptions" if audio else "/v1/chat/completions"
    document = orjson.dumps({"usage": body, "duration": body})
    for kind in (SSE, JSON):
        for chunks in ([document], [raw, document], [b"data: ", document, b"\n\n", raw]):
            used = fed(tap(path, kind), chunks).used()
            figures = (used.prompt_tokens, used.completion_tokens, used.audio_seconds)
            assert all(figure is None or figure >= 0 for figure in figures)


def test_audio_is_counted_under_any_path() -> None:
    """`/upstream/<service>/…` as well."""
    made = tap("/upstream", JSON)
    made.feed(b'{"text": "hello", "duration": 12.5}')
    assert made.used() == Used(audio_seconds=12.5)


def test_only_a_total_is_the_prompt() -> None:
    """Embeddings and reranking have no completion."""
    made = tap("/v1/rerank", JSON)
    made.feed(b'{"results": [], "usage": {"total_tokens": 9}}')
    assert made.used() == Used(prompt_tokens=9)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/audio/speech", b"audio/mpeg"),
        ("/v1/audio/transcriptions", b"text/plain; charset=utf-8"),
        ("/v1/chat/completions", b""),
        ("/qdrant", JSON),
    ],
)
def test_nothing_is_tapped_where_nothing_is_told(path: str, kind: bytes) -> None:
    """Sound and vectors pass without a look."""
    assert make_tap(OPERATIONS[path], kind, False) is None


def test_a_line_without_an_end_is_not_kept() -> None:
    """Memory is bounded; what comes after it is read again, cut as it may be."""
    end = b"\n\n" + event(delta("x"))
    body = b"data: " + b"y" * (2 * LINE_LIMIT) + end
    for step in (len(body), 65_536, LINE_LIMIT):
        made = StreamTap()
        for start in range(0, len(body), step):
            made.feed(body[start : start + step])
            assert len(made._carry) <= LINE_LIMIT
        assert made.used() == Used(None, 1, counted=True)

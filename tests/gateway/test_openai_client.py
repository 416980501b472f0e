"""The official `openai` client is the contract test of the gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import openai
import orjson
import pytest
from starlette.types import Send

from server.swap.model import State
from tests.gateway.made import Running, gateway, served
from tests.gateway.running import Call, ScriptedEngine, begin, part, whole
from tests.swap.made import record

COMPLETION = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "tiny",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi there"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}
EMBEDDINGS = {
    "object": "list",
    "model": "tiny",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}],
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}
HELLO = [{"role": "user", "content": "hello"}]


def chunk(text: str) -> bytes:
    body = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "tiny",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
    }
    return b"data: " + orjson.dumps(body) + b"\n\n"


async def streamed(_call: Call, send: Send) -> None:
    await begin(send, "text/event-stream; charset=utf-8")
    for word in ("Hi", " ", "there"):
        await part(send, chunk(word))
    await part(send, b"data: [DONE]\n\n", last=True)


async def broken(_call: Call, send: Send) -> None:
    """Two tokens, then the engine dies: the answer is never completed."""
    await begin(send, "text/event-stream")
    await part(send, chunk("Hi"))
    await part(send, chunk(" the"))


@asynccontextmanager
async def client_of(running: Running) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=running.url + "/v1", api_key="not-needed", max_retries=0
    ) as client:
        yield client


async def test_a_chat_completion_is_answered() -> None:
    """A whole answer arrives as the client's own type."""
    engine = ScriptedEngine(whole(COMPLETION))
    async with served(engine) as running, client_of(running) as client:
        answer = await client.chat.completions.create(model="tiny", messages=HELLO)
    assert answer.choices[0].message.content == "Hi there"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 3
    assert engine.calls[0].path == "/v1/chat/completions"


async def test_a_stream_is_read_token_by_token() -> None:
    """Streaming works with the client's own parser, to the end."""
    async with served(ScriptedEngine(streamed)) as running, client_of(running) as client:
        stream = await client.chat.completions.create(model="small", messages=HELLO, stream=True)
        words = [one.choices[0].delta.content async for one in stream]
    assert words == ["Hi", " ", "there"]


async def test_embeddings_are_answered() -> None:
    """Every relayed route works the same way."""
    async with served(ScriptedEngine(whole(EMBEDDINGS))) as running, client_of(running) as client:
        answer = await client.embeddings.create(model="tiny", input="x", encoding_format="float")
    assert answer.data[0].embedding == [0.5, 0.25]


async def test_models_are_listed_with_their_truthful_state() -> None:
    """What is served comes first; what could be loaded is there too, and says so."""
    async with gateway() as running, client_of(running) as client:
        running.serve("http://127.0.0.1:1", max_model_len=4096)
        listed = [one async for one in client.models.list()]
        by_alias = await client.models.retrieve("small")
        with pytest.raises(openai.NotFoundError) as refused:
            await client.models.retrieve("nothing")
    states = {one.id: (one.model_extra or {})["state"] for one in listed}
    assert states == {"tiny": "serving", "large": "available"}
    assert listed[0].owned_by == "Acme"
    assert (listed[0].model_extra or {})["max_model_len"] == 4096
    assert (listed[0].model_extra or {})["aliases"] == ["small"]
    assert by_alias.id == "tiny"
    assert refused.value.code == "model_not_found"


async def test_an_unknown_model_is_not_found_and_the_known_ones_are_named() -> None:
    """404 model_not_found, with what exists."""
    async with gateway() as running, client_of(running) as client:
        with pytest.raises(openai.NotFoundError) as refused:
            await client.chat.completions.create(model="gpt-4", messages=HELLO)
    assert refused.value.code == "model_not_found"
    assert refused.value.param == "model"
    assert "tiny, large" in refused.value.message
    assert refused.value.request_id


async def test_nothing_served_says_so_and_how_to_load() -> None:
    """503 unavailable with Retry-After and the command that helps."""
    async with gateway() as running, client_of(running) as client:
        with pytest.raises(openai.InternalServerError) as refused:
            await client.chat.completions.create(model="tiny", messages=HELLO)
    assert refused.value.status_code == 503
    assert refused.value.code == "unavailable"
    assert "nothing is being served" in refused.value.message
    assert "spark-control swap tiny" in refused.value.message
    assert int(refused.value.response.headers["retry-after"]) >= 1


async def test_a_loading_model_says_when_to_ask_again() -> None:
    """503 model_loading; Retry-After is the time the swap still expects."""
    swap = record().with_(model="large", state=State.LOADING, percent=40.0, eta_seconds=17.2)
    async with gateway() as running, client_of(running) as client:
        running.swaps = [swap]
        with pytest.raises(openai.InternalServerError) as refused:
            await client.chat.completions.create(model="large", messages=HELLO)
    assert refused.value.code == "model_loading"
    assert refused.value.response.headers["retry-after"] == "18"
    assert "40 %" in refused.value.message


async def test_a_stream_that_breaks_ends_in_an_error_the_client_raises() -> None:
    """After the first byte the error is one SSE frame."""
    async with served(ScriptedEngine(broken)) as running, client_of(running) as client:
        stream = await client.chat.completions.create(model="tiny", messages=HELLO, stream=True)
        words = [(await anext(stream)).choices[0].delta.content for _ in range(2)]
        with pytest.raises(openai.APIError) as refused:
            await anext(stream)
    assert words == ["Hi", " the"]
    assert refused.value.code == "upstream_error"


async def test_a_refusal_of_the_engine_keeps_its_words() -> None:
    """A 4xx of the engine is for the caller: its sentence passes, in our shape."""
    said = "This model's maximum context length is 4096 tokens."
    engine = ScriptedEngine(whole({"error": {"message": said, "param": "messages"}}, 400))
    async with served(engine) as running, client_of(running) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.chat.completions.create(model="tiny", messages=HELLO)
    assert said in refused.value.message
    assert refused.value.code == "invalid_request"
    assert refused.value.body["source"] == "tiny"  # type: ignore[index]

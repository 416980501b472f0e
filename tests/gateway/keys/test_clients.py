"""Keys as the official clients meet them: the packages `openai` and `anthropic`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anthropic
import openai
import pytest
from starlette.types import Send

from server.gateway.keys.model import Draft
from server.gateway.limits.model import Limits
from server.gateway.usage.model import Place
from server.gateway.usage.tap import make_tap
from tests.gateway.keys.made import House, house
from tests.gateway.made import Running, served
from tests.gateway.running import Call, ScriptedEngine, begin, part, whole
from tests.gateway.test_openai_client import COMPLETION, HELLO, chunk

WRONG = "sk-spark-0123456789ab-" + "0" * 43


@asynccontextmanager
async def guarded(tmp_path: Path, engine: ScriptedEngine) -> AsyncIterator[tuple[House, Running]]:
    """A gateway whose keys are real; it serves `tiny`, and `large` could be loaded."""
    async with (
        house(tmp_path) as one,
        served(
            engine, gatekeeper=one.gate, tap=make_tap, ended=[one.gate.ended, one.usage]
        ) as running,
    ):
        yield one, running


def client(running: Running, key: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=running.url + "/v1", api_key=key, max_retries=0)


async def ask(running: Running, key: str, model: str = "tiny") -> openai.APIStatusError | None:
    """The client's own exception, or None when it was answered."""
    async with client(running, key) as asked:
        try:
            await asked.chat.completions.create(model=model, messages=HELLO)
        except openai.APIStatusError as error:
            return error
    return None


async def test_a_wrong_key_is_an_authentication_error(tmp_path: Path) -> None:
    """Of both clients, before the engine hears of it; what an SDK made up is not one."""
    engine = ScriptedEngine(whole(COMPLETION))
    async with guarded(tmp_path, engine) as (one, running):
        refused = await ask(running, WRONG)
        assert isinstance(refused, openai.AuthenticationError)
        assert refused.code == "invalid_api_key"
        assert refused.response.headers["www-authenticate"] == "Bearer"
        async with anthropic.AsyncAnthropic(
            base_url=running.url, api_key=WRONG, max_retries=0
        ) as other:
            with pytest.raises(anthropic.AuthenticationError):
                await other.messages.create(
                    model="tiny", max_tokens=1, messages=[{"role": "user", "content": "x"}]
                )
        assert await ask(running, "not-needed") is None
        one.require = True
        assert isinstance(await ask(running, "not-needed"), openai.AuthenticationError)
        minted = await one.keys.create(Draft("laptop"))
        assert await ask(running, minted.text) is None
    assert len(engine.calls) == 2
    for call in engine.calls:
        assert not {b"authorization", b"x-api-key", b"api-key"} & {key for key, _ in call.headers}


async def test_over_the_limit_is_a_rate_limit_error_that_says_when(tmp_path: Path) -> None:
    """The answers before it tell what is left."""
    async with guarded(tmp_path, ScriptedEngine(whole(COMPLETION))) as (one, running):
        minted = await one.keys.create(Draft("laptop", limits=Limits(requests_per_minute=2)))
        async with client(running, minted.text) as asked:
            for left in ("1", "0"):
                raw = await asked.chat.completions.with_raw_response.create(
                    model="tiny", messages=HELLO
                )
                assert raw.headers["x-ratelimit-limit-requests"] == "2"
                assert raw.headers["x-ratelimit-remaining-requests"] == left
        refused = await ask(running, minted.text)
        assert isinstance(refused, openai.RateLimitError)
        assert refused.code == "rate_limited"
        assert refused.response.headers["retry-after"] == "61"
        assert refused.response.headers["x-ratelimit-remaining-requests"] == "0"
        one.clock.pass_(seconds=61)
        assert await ask(running, minted.text) is None


async def test_a_model_that_is_not_allowed_is_not_found(tmp_path: Path) -> None:
    """It is not listed, and the words are those for one that does not exist."""
    async with guarded(tmp_path, ScriptedEngine(whole(COMPLETION))) as (one, running):
        minted = await one.keys.create(Draft("laptop", models=("tiny",)))
        assert await ask(running, minted.text) is None
        said = set()
        for model in ("large", "gpt-4"):
            refused = await ask(running, minted.text, model)
            assert isinstance(refused, openai.NotFoundError)
            assert refused.code == "model_not_found"
            said.add(refused.message.split("'request_id'")[0].replace(model, "…"))
            assert "large" not in refused.message.replace("'large' does not", "")
        assert len(said) == 1
        async with client(running, minted.text) as asked:
            assert [model.id async for model in asked.models.list()] == ["tiny"]
            with pytest.raises(openai.NotFoundError):
                await asked.models.retrieve("large")


async def test_a_key_for_the_dashboard_alone_lists_no_models(tmp_path: Path) -> None:
    """What it may not ask for it need not see: 403, for the list and for one of them."""
    async with guarded(tmp_path, ScriptedEngine(whole(COMPLETION))) as (one, running):
        minted = await one.keys.create(Draft("reader", scopes=frozenset({"read"})))
        async with client(running, minted.text) as asked:
            with pytest.raises(openai.PermissionDeniedError):
                await asked.models.list()
            with pytest.raises(openai.PermissionDeniedError):
                await asked.models.retrieve("tiny")


async def test_a_key_without_the_scope_is_a_permission_error(tmp_path: Path) -> None:
    """403 of both clients' own kind."""
    async with guarded(tmp_path, ScriptedEngine(whole(COMPLETION))) as (one, running):
        minted = await one.keys.create(Draft("reader", scopes=frozenset({"read"})))
        assert isinstance(await ask(running, minted.text), openai.PermissionDeniedError)


async def test_what_passed_is_counted(tmp_path: Path) -> None:
    """Told by the engine or counted by the pieces, by key and model; the tokens of a stream hold
    up the next request of the same key."""

    async def streamed(_call: Call, send: Send) -> None:
        await begin(send, "text/event-stream")
        for word in ("Hi", " ", "there"):
            await part(send, chunk(word))
        await part(send, b"data: [DONE]\n\n", last=True)

    engine = ScriptedEngine(whole(COMPLETION))
    async with guarded(tmp_path, engine) as (one, running):
        minted = await one.keys.create(Draft("laptop", limits=Limits(tokens_per_day=6)))
        assert await ask(running, minted.text) is None
        engine.answer = streamed
        async with client(running, minted.text) as asked:
            stream = await asked.chat.completions.create(model="tiny", messages=HELLO, stream=True)
            async for _ in stream:
                pass
        refused = await ask(running, minted.text)
        assert isinstance(refused, openai.RateLimitError)
        assert "6 tokens a day" in refused.message
        rows = await one.usage.rows(1)
    place = Place("2026-11-21", minted.key.id, "tiny", "/v1/chat/completions")
    sums = rows[place]
    assert (sums.requests, sums.errors) == (3, 1)
    assert (sums.prompt_tokens, sums.completion_tokens) == (1, 5)
    assert sums.bytes_out > 300

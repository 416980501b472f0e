"""How long an upstream may take until its answer begins."""

import asyncio

import pytest
from starlette.types import Send

from server.config.gateway import Gateway
from server.gateway.operations import OPERATIONS
from server.gateway.patience import patience
from tests.gateway.made import CHAT, served
from tests.gateway.running import Call, ScriptedEngine, whole

SETTINGS = Gateway(head_seconds=600, stream_head_seconds=60)


@pytest.mark.parametrize(
    ("path", "stream", "seconds"),
    [
        ("/v1/chat/completions", False, 600),
        ("/v1/chat/completions", True, 60),
        ("/v1/messages", True, 60),
        ("/v1/embeddings", False, 60),
        ("/v1/messages/count_tokens", False, 60),
        ("/v1/audio/voices", False, 60),
        ("/v1/audio/transcriptions", False, 600),
        ("/v1/audio/transcriptions", True, 60),
        ("/v1/audio/speech", True, 600),  # no SSE: what it sends first is sound
        ("/upstream", False, 600),
        ("/qdrant", False, 600),
    ],
)
def test_a_stream_begins_sooner_than_a_whole_answer(
    path: str, *, stream: bool, seconds: float
) -> None:
    """What is answered quickly as well."""
    assert patience(OPERATIONS[path], SETTINGS, stream=stream) == seconds


def test_a_stream_never_has_more_patience_than_an_answer() -> None:
    """One setting is enough to make all of it shorter."""
    short = Gateway(head_seconds=5)
    assert patience(OPERATIONS["/v1/embeddings"], short, stream=False) == 5


@pytest.mark.parametrize("stream", [True, False])
async def test_an_engine_that_hangs_is_told_as_a_timeout(*, stream: bool) -> None:
    """504 with the setting in it; the engine is left, and its breaker has heard of it."""

    async def hang(call: Call, _send: Send) -> None:
        await call.gone.wait()

    engine = ScriptedEngine(hang)
    quick = Gateway.model_construct(
        **(Gateway().model_dump() | {"head_seconds": 0.05, "auto_swap": False})
    )
    async with served(engine, settings=quick) as running:
        async with running.post(body=CHAT | {"stream": stream}) as response:
            assert response.status == 504
            error = (await response.json())["error"]
        assert (error["code"], "gateway.head_seconds" in error["advice"]) == (
            "upstream_timeout",
            True,
        )
        passage = await running.passages.get()
        assert passage.error == "upstream_timeout"
        await asyncio.wait_for(engine.calls[0].gone.wait(), 10)
        assert running.inflight.count() == 0
        engine.answer = whole({"ok": True})
        async with running.post() as response:
            assert response.status == 200

"""Requests of our own on behalf of a caller, and routes that are answered in a way of their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Receive, Scope, Send

from server.base.errors import InvalidRequest, ModelNotFound, PayloadTooLarge, SparkError
from server.gateway.model import ANYONE, Operation, Passage
from server.gateway.operations import OPERATIONS
from server.gateway.way import Crew
from server.gateway.within import Got, Inner, ask
from tests.gateway.made import Running, gateway, service
from tests.gateway.running import Call, ScriptedEngine, begin, part, serve, whole

PATH = "/v1/audio/transcriptions"
FORM = "multipart/form-data; boundary=b"
BODY = (
    b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
)
END = b"\r\n--b--\r\n"


def inner(body: bytes = BODY + b"sound" + END, path: str = PATH) -> Inner:
    return Inner(OPERATIONS[path], ANYONE, "req-1.1", FORM, body)


@asynccontextmanager
async def hearing(engine: ScriptedEngine, **options: object) -> AsyncIterator[Running]:
    async with serve(engine) as url, gateway(**options) as running:
        running.services = (service("parakeet", "asr", url),)
        yield running


async def test_it_goes_the_way_of_every_request_and_is_seen_like_one() -> None:
    engine = ScriptedEngine(whole({"text": "hello"}))
    async with hearing(engine) as running:
        got = await ask(running.crew, inner())
        assert (got.status, got.body, got.upstream) == (200, b'{"text":"hello"}', "parakeet")
        passage = await running.passages.get()
    assert (passage.request_id, passage.upstream, passage.status) == ("req-1.1", "parakeet", 200)
    assert engine.calls[0].raw == BODY + b"sound" + END


async def test_a_body_may_come_piece_by_piece() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield BODY
        for _ in range(100):
            await asyncio.sleep(0)  # others run between two pieces
            yield b"s" * 5000
        yield END

    engine = ScriptedEngine(whole({"text": "hello"}))
    async with hearing(engine) as running:
        await ask(running.crew, Inner(OPERATIONS[PATH], ANYONE, "req-1", FORM, pieces))
    assert engine.calls[0].raw == BODY + b"s" * 500_000 + END


@pytest.mark.parametrize(
    ("status", "error"), [(400, InvalidRequest), (413, PayloadTooLarge), (500, SparkError)]
)
async def test_what_an_upstream_refuses_is_raised(status: int, error: type[SparkError]) -> None:
    engine = ScriptedEngine(whole({"error": {"message": "no"}}, status))
    async with hearing(engine) as running:
        with pytest.raises(error):
            await ask(running.crew, inner())


async def test_what_is_refused_before_anybody_is_asked_is_raised_too() -> None:
    async with gateway() as running:
        with pytest.raises(ModelNotFound):
            await ask(running.crew, inner())


async def test_who_asks_leaves_by_cancelling() -> None:
    """The upstream is closed, its place is free."""

    async def never(call: Call, send: Send) -> None:
        await begin(send, "application/json")
        await part(send, b'{"te')
        await call.gone.wait()

    engine = ScriptedEngine(never)
    async with hearing(engine) as running:
        asked = asyncio.create_task(ask(running.crew, inner()))
        call = await engine.came.get()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await call.gone.wait()
        assert sum(running.inflight.counts().values()) == 0


async def test_a_route_is_answered_by_its_front() -> None:
    """With the passage and the caller that the gateway made for it."""
    seen: list[tuple[str, str]] = []

    async def front(
        crew: Crew, operation: Operation, passage: Passage, asgi: tuple[Scope, Receive, Send]
    ) -> None:
        seen.append((operation.path, passage.caller.address))
        got: Got = await ask(crew, inner())
        await whole(got.body)(Call("", [], b""), asgi[2])

    engine = ScriptedEngine(whole({"text": "hello"}))
    async with (
        hearing(engine, fronts={PATH: front}) as running,
        running.session.post(running.url + PATH, data=b"", headers={"x-a": "b"}) as answer,
    ):
        assert await answer.read() == b'{"text":"hello"}'
    assert [path for path, _ in seen] == [PATH]

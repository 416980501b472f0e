"""An upstream is blamed for what it does, never for what its callers send."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from starlette.types import Message, Receive, Scope, Send
from yarl import URL

from server.gateway.client.tunnel import tunnel
from tests.gateway.made import Running, gateway, service
from tests.gateway.running import ScriptedEngine, serve, whole

OFTEN = 8
"""More than a breaker takes."""


@asynccontextmanager
async def ears(answer: int = 200) -> AsyncIterator[Running]:
    engine = ScriptedEngine(whole({"answered": "ears"}, answer))
    async with serve(engine) as url, gateway() as running:
        running.services = (service("ears", "asr", url),)
        yield running


@pytest.mark.parametrize("dots", ["..", "%2e%2e", ".%2E", "..%2f..", "x%2f..%2fy", "..%5c.."])
async def test_a_path_with_dots_is_refused_and_opens_no_breaker(dots: str) -> None:
    """Else any caller could take a service away from all the others. A slash that is written as
    `%2f` is one to some servers, and a backslash as well."""
    async with ears() as running:
        bad = URL(f"{running.url}/upstream/ears/{dots}/secret", encoded=True)
        for _ in range(OFTEN):
            async with running.session.get(bad) as answer:
                assert answer.status == 400
        async with running.session.get(f"{running.url}/upstream/ears/fine") as answer:
            assert answer.status == 200
            assert "x-spark-queue-seconds" not in answer.headers


async def test_a_socket_with_dots_in_its_path_opens_no_breaker() -> None:
    async with ears() as running:
        bad = URL(f"{running.url}/upstream/ears/%2e%2e/secret", encoded=True)
        for _ in range(OFTEN):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await running.session.ws_connect(bad)
            assert refused.value.status == 400
        async with running.session.get(f"{running.url}/upstream/ears/fine") as answer:
            assert answer.status == 200
            assert "x-spark-queue-seconds" not in answer.headers


async def test_what_an_upstream_does_not_know_opens_no_breaker() -> None:
    """Python's own server says 501 to a method that it does not have: that is about the request."""
    async with ears(501) as running:
        for _ in range(OFTEN):
            async with running.session.request("PATCH", f"{running.url}/upstream/ears/x") as answer:
                assert answer.status == 501
                assert "x-spark-queue-seconds" not in answer.headers


@pytest.mark.parametrize(
    ("path", "kind", "told"),
    [
        ("/v1/audio/transcriptions", "asr", False),
        ("/v1/audio/speech", "tts", False),
        ("/upstream/ears/v1/audio/transcriptions", "asr", False),
        ("/v1/rerank", "rerank", True),
    ],
)
async def test_what_was_said_is_in_no_log(
    path: str, kind: str, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A service that fails may quote the words it failed at. What another one says of its failure
    is there for whoever runs it."""
    engine = ScriptedEngine(whole({"error": "failed at: my number is four one one"}, 500))
    async with serve(engine) as url, gateway() as running:
        running.services = (service("ears", kind, url),)
        with caplog.at_level("INFO"):
            form = aiohttp.FormData({"model": "ears"}, default_to_multipart=True)
            sent = {"data": form} if kind == "asr" else {"json": {"model": "ears", "input": "x"}}
            async with running.session.post(running.url + path, **sent) as answer:
                assert answer.status >= 500
        fields = [vars(line).get("fields", {}) for line in caplog.records]
        assert ("four one one" in str(fields)) is told


async def test_a_client_that_leaves_before_its_socket_is_accepted_is_no_mistake_of_ours() -> None:
    """The server raises what it raises for a lost client; nobody is told, nothing is logged."""

    async def upstream(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        ended.set()

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(_message: Message) -> None:
        raise ConnectionResetError

    ended = asyncio.Event()
    async with serve(upstream) as url:
        scope: Scope = {"type": "websocket", "subprotocols": []}
        assert await tunnel(scope, receive, send, url=url + "/ws", headers=[], name="e") == "left"
        await ended.wait()

"""What a WebSocket costs is counted, and its key's limits hold while it goes on."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from server.config.gateway import Anonymous
from server.gateway.keys.model import Draft
from server.gateway.limits.model import Limits
from server.gateway.model import Operation, Passage, Route, Used
from server.gateway.operations import OPERATIONS
from server.gateway.usage.model import Place
from tests.gateway.keys.made import House, house
from tests.gateway.made import Running
from tests.gateway.sockets.made import Echo, listening

SECOND = bytes(32_000)
STREAM, REALTIME = "/v1/audio/stream", "/v1/realtime?model=ears"
APPEND = json.dumps(
    {"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(48_000)).decode()}
)
DONE = json.dumps(
    {
        "type": "response.done",
        "response": {"usage": {"input_tokens": 30, "output_tokens": 20, "total_tokens": 50}},
    }
)


@asynccontextmanager
async def guarded(tmp_path: Path) -> AsyncIterator[tuple[House, Running]]:
    async with (
        house(tmp_path) as one,
        listening(Echo(), cap=3, gatekeeper=one.gate, ended=[one.gate.ended, one.usage]) as running,
    ):
        yield one, running


async def key(one: House, limits: Limits) -> tuple[str, dict[str, str]]:
    minted = await one.keys.create(Draft("phone", limits=limits))
    return minted.key.id, {"authorization": f"Bearer {minted.text}"}


async def closed(socket: aiohttp.ClientWebSocketResponse) -> tuple[list[str], int, str]:
    """All texts until it is closed, the code and the reason."""
    texts = []
    while (message := await socket.receive()).type is not aiohttp.WSMsgType.CLOSE:
        if message.type is aiohttp.WSMsgType.TEXT:
            texts.append(message.data)
    return texts, message.data, message.extra or ""


async def test_sound_and_tokens_of_a_socket_are_counted(tmp_path: Path) -> None:
    """By key, model and day: one request, its bytes, seconds and tokens."""
    async with guarded(tmp_path) as (one, running):
        key_id, headers = await key(one, Limits())
        async with running.session.ws_connect(running.url + REALTIME, headers=headers) as socket:
            for text in (APPEND, APPEND, DONE):
                await socket.send_str(text)
                assert await socket.receive_str() == text
        passage = await running.passages.get()
        assert passage.used == Used(30, 20, audio_seconds=2.0, audio_source="measured")
        row = (await one.usage.rows(1))[Place("2026-11-21", key_id, "ears", "/v1/realtime")]
        size = 2 * len(APPEND) + len(DONE)
        assert (row.requests, row.bytes_in, row.bytes_out) == (1, size, size)
        assert (row.audio_seconds, row.prompt_tokens, row.completion_tokens) == (2.0, 30, 20)


async def test_a_stream_that_uses_up_its_seconds_is_closed(tmp_path: Path) -> None:
    """1008 with the reason; what follows is refused before it is open."""
    async with guarded(tmp_path) as (one, running):
        _, headers = await key(one, Limits(audio_seconds_per_day=5))
        async with running.session.ws_connect(running.url + STREAM, headers=headers) as socket:
            for _ in range(4):
                await socket.send_bytes(SECOND)
                assert await socket.receive_bytes() == SECOND
            await socket.send_bytes(SECOND)
            _, code, reason = await closed(socket)
            assert code == 1008
            assert reason == (
                "The key 'phone' has used up its 5 seconds of audio a day. Again in 43200 s."
            )
        passage = await running.passages.get()
        assert (passage.error, passage.used.audio_seconds) == ("rate_limited", 5.0)
        assert running.inflight.count() == 0
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await running.session.ws_connect(running.url + STREAM, headers=headers)
        assert refused.value.status == 429


async def test_a_stream_may_not_be_faster_than_its_minute(tmp_path: Path) -> None:
    """The clock of this house stands still, so that the minute never comes back."""
    async with guarded(tmp_path) as (one, running):
        _, headers = await key(one, Limits(audio_seconds_per_minute=3))
        async with running.session.ws_connect(running.url + STREAM, headers=headers) as socket:
            for _ in range(2):
                await socket.send_bytes(SECOND)
                assert await socket.receive_bytes() == SECOND
            await socket.send_bytes(SECOND)
            _, code, reason = await closed(socket)
            assert (code, "3 seconds of audio a minute" in reason) == (1008, True)


async def test_openais_dialect_is_told_by_an_event_first(tmp_path: Path) -> None:
    """With the answer that went over the limit before it."""
    async with guarded(tmp_path) as (one, running):
        _, headers = await key(one, Limits(tokens_per_day=50))
        async with running.session.ws_connect(running.url + REALTIME, headers=headers) as socket:
            await socket.send_str(DONE)
            texts, code, _ = await closed(socket)
            assert (texts[0], code) == (DONE, 1008)
            event = json.loads(texts[1])
            assert event["type"] == "error"
            assert event["error"]["type"] == "rate_limit_error"
            assert event["error"]["code"] == "rate_limited"
            assert event["error"]["retry_after"] > 0


async def test_two_sockets_of_a_key_share_its_limit(tmp_path: Path) -> None:
    """What the one has sent is gone for the other, before either has ended."""
    async with guarded(tmp_path) as (one, running):
        _, headers = await key(one, Limits(audio_seconds_per_day=3))
        url = running.url + STREAM
        async with (
            running.session.ws_connect(url, headers=headers) as first,
            running.session.ws_connect(url, headers=headers) as second,
        ):
            for socket in (first, second):
                await socket.send_bytes(SECOND)
                assert await socket.receive_bytes() == SECOND
            await second.send_bytes(SECOND)
            assert (await closed(second))[1] == 1008


async def test_callers_without_a_key_have_their_limit_too(tmp_path: Path) -> None:
    """By address."""
    async with guarded(tmp_path) as (one, running):
        one.anonymous = Anonymous(audio_seconds_per_day=1)
        async with running.session.ws_connect(running.url + STREAM) as socket:
            await socket.send_bytes(SECOND)
            assert (await closed(socket))[1] == 1008


async def test_what_was_charged_on_the_way_is_not_charged_again(tmp_path: Path) -> None:
    """And what came after the last time is."""
    async with house(tmp_path) as one:
        minted = await one.keys.create(
            Draft("phone", limits=Limits(audio_seconds_per_day=10, tokens_per_day=100))
        )
        header = [(b"authorization", b"Bearer " + minted.text.encode())]
        caller = one.gate.identify(header, "192.0.2.1")
        operation: Operation = OPERATIONS["/v1/realtime"]
        passage = Passage("r", one.clock.now(), 0.0, operation.path, caller)
        for seconds in (2.0, 4.0, 6.0):
            passage.used = Used(5, 5, audio_seconds=seconds)
            assert one.gate.spend(passage, operation) is None
        passage.used = Used(5, 5, audio_seconds=9.5)
        one.gate.ended(passage)
        one.gate.allow(caller, operation, Route("kind:asr", "ears"))
        account = one.gate._account(caller)
        assert account is not None
        wall = one.clock.now().timestamp()
        assert (account.audio_day.used(wall), account.tokens_day.used(wall)) == (9.5, 10)

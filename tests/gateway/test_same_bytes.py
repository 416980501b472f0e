"""What comes through us is what came straight from the engine, but for the headers we document."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from starlette.types import Send

from tests.gateway.made import CHAT, gateway
from tests.gateway.running import Call, ScriptedEngine, begin, part, serve, whole

OURS = {"x-request-id", "api-version", "x-content-type-options"}
DROPPED = {"date", "server", "set-cookie", "alt-svc", "connection", "transfer-encoding"}
FRAMES = [b"data: %d\n\n" % number for number in range(200)] + [
    b": odd\r\n\r\n",
    b"data: [DONE]\n\n",
]


async def stream(_call: Call, send: Send) -> None:
    await begin(send, "text/event-stream; charset=utf-8", 200, (b"x-accel-buffering", b"no"))
    for frame in FRAMES:
        await part(send, frame)
    await part(send, b"", last=True)


async def nothing(_call: Call, send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": [(b"x-a", b"b")]})
    await part(send, b"", last=True)


async def sound(_call: Call, send: Send) -> None:
    body = bytes(range(256)) * 4000
    await begin(send, "audio/mpeg", 200, (b"content-length", str(len(body)).encode()))
    for start in range(0, len(body), 10_001):
        await part(send, body[start : start + 10_001])
    await part(send, b"", last=True)


ANSWERS = {
    "json": whole(
        b'{ "a":1,\n"b": "\\u00e4"}',
        200,
        (b"x-twice", b"1"),
        (b"x-twice", b"2"),
        (b"X-Case", b"\xe4"),
        (b"openai-processing-ms", b"7"),
    ),
    "odd status": whole(b'{"a":1}', 299),
    "stream": stream,
    "nothing": nothing,
    "sound": sound,
    "cookies": whole(b"{}", 200, (b"set-cookie", b"a=b"), (b"access-control-allow-origin", b"*")),
}


@asynccontextmanager
async def asked(url: str, session: aiohttp.ClientSession) -> AsyncIterator[aiohttp.ClientResponse]:
    async with session.post(url + "/v1/chat/completions", json=CHAT) as got:
        yield got


def kept(got: aiohttp.ClientResponse) -> list[tuple[bytes, bytes]]:
    return sorted(
        (name.lower(), value)
        for name, value in got.raw_headers
        if (lower := name.decode().lower()) not in OURS | DROPPED
        and not lower.startswith("access-control-")
    )


@pytest.mark.parametrize("name", sorted(ANSWERS))
@pytest.mark.parametrize("method", ["POST"])
async def test_an_answer_through_us_is_the_engines(name: str, method: str) -> None:
    """Status, headers (also repeated ones) and every byte, asked at the same time both ways."""
    async with serve(ScriptedEngine(ANSWERS[name])) as url, gateway() as running:
        running.serve(url)
        async with (
            asked(url, running.session) as straight,
            asked(running.url, running.session) as got,
        ):
            assert got.status == straight.status
            assert kept(got) == kept(straight)
            assert await got.read() == await straight.read()
            assert {header.lower() for header in got.headers} >= OURS


async def test_the_calls_of_litellm_and_open_webui() -> None:
    """Any key, fields nobody knows, a look at the list first, options of streams, a trailing
    slash: nothing of it is refused or lost on the way."""
    engine = ScriptedEngine(ANSWERS["stream"])
    body = CHAT | {
        "stream": True,
        "stream_options": {"include_usage": True},
        "metadata": {"chat_id": "1"},
        "extra_body": {"top_k": 1},
        "user": "u",
        "cache": {"no-cache": True},
    }
    headers = {
        "authorization": "Bearer anything",
        "x-litellm-call-id": "1",
        "x-openwebui-user-name": "Anna",
        "accept": "text/event-stream",
    }
    async with serve(engine) as url, gateway() as running:
        running.serve(url)
        async with running.session.get(running.url + "/v1/models", headers=headers) as got:
            assert (await got.json())["data"][0]["id"] == "tiny"
        post = running.session.post
        async with post(running.url + "/v1/chat/completions/", json=body, headers=headers) as got:
            assert got.status == 200
            assert await got.read() == b"".join(FRAMES)
        async with running.session.options(running.url + "/v1/chat/completions") as got:
            assert got.headers["allow"] == "POST, OPTIONS"
    assert engine.calls[0].body == body
    assert engine.calls[0].path == "/v1/chat/completions"
    assert engine.calls[0].header(b"x-openwebui-user-name") == b"Anna"


async def test_a_slow_reader_slows_the_engine_and_holds_up_nobody() -> None:
    """What it does not read stays where it is made; others are answered meanwhile."""
    sent = 0

    async def flood(call: Call, send: Send) -> None:
        nonlocal sent
        if call.body.get("n"):
            await whole({"ok": True})(call, send)
            return
        await begin(send, "text/event-stream")
        while not call.gone.is_set():
            await part(send, b"data: " + b"x" * 65_536 + b"\n\n")
            sent += 65_536

    async with serve(ScriptedEngine(flood)) as url, gateway() as running:
        running.serve(url)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(running.url[17:]))
        body = b'{"model":"tiny"}'
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(20):
            async with running.post(body=CHAT | {"n": 1}) as got:
                assert await got.json() == {"ok": True}
        assert sent < 64 << 20
        writer.close()
        while (await running.passages.get()).error != "client_closed":
            pass
        assert running.inflight.count() == 0

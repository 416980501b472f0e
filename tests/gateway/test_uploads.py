"""Uploads: passed on while they come, bounded, ended when anybody leaves."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from starlette.types import Receive, Scope, Send

from tests.gateway.made import Running, gateway, service
from tests.gateway.running import Call, ScriptedEngine, begin, part, raw_server, serve, whole

HEAD = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper\r\n'
FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
END = b"\r\n--b--\r\n"
FORM = {"content-type": "multipart/form-data; boundary=b"}
PATH = "/v1/audio/transcriptions"


@dataclass
class Listener:
    """An upstream that hears an upload piece by piece; `pieces` are how much came, 0 at the end,
    -1 when the caller left. It answers when the upload is over, or at once with `early`."""

    early: bool = False
    pieces: "asyncio.Queue[int]" = field(default_factory=asyncio.Queue)

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        if self.early:
            await begin(send, "application/json", 422)
            await part(send, b'{"error":{"message":"not like this"}}', last=True)
            return
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.pieces.put_nowait(-1)
                return
            more = message.get("more_body", False)
            self.pieces.put_nowait(len(message.get("body", b"")))
        await begin(send, "application/json")
        await part(send, b'{"text":"heard"}', last=True)

    async def heard(self, size: int) -> None:
        """Wait until this much has come."""
        while size > 0:
            got = await self.pieces.get()
            assert got >= 0
            size -= got

    async def left(self) -> None:
        while await self.pieces.get() != -1:
            pass


@asynccontextmanager
async def hearing(listener: Listener, **options: object) -> AsyncIterator[Running]:
    async with serve(listener) as url, gateway(**options) as running:
        running.services = (service("ears", "asr", url),)
        yield running


async def test_the_upstream_hears_the_beginning_before_the_end_is_sent() -> None:
    """Nothing of an upload waits for the rest of it."""
    listener = Listener()

    async def speech() -> AsyncIterator[bytes]:
        yield HEAD + FILE
        await listener.heard(len(HEAD + FILE))
        for _ in range(3):
            yield b"x" * 1000
            await listener.heard(1000)
        yield END

    async with hearing(listener) as running:
        async with running.session.post(running.url + PATH, data=speech(), headers=FORM) as got:
            assert await got.json() == {"text": "heard"}
        row = running.activity.rows()[0]
    assert row.bytes_in == len(HEAD + FILE + END) + 3000
    assert (row.asked, row.upstream) == ("whisper", "ears")


async def test_a_file_over_the_limit_is_refused_when_it_is_known() -> None:
    """By its declared length before a byte is read; else midway: the upstream is let go."""
    listener = Listener()

    async def speech() -> AsyncIterator[bytes]:
        yield HEAD + FILE
        await listener.heard(len(HEAD + FILE))
        while True:
            yield b"x" * 100_000

    async with hearing(listener) as running:
        declared = FORM | {"content-length": str(2 << 20)}
        async with running.session.post(running.url + PATH, data=speech(), headers=declared) as got:
            assert got.status == 413
        assert listener.pieces.empty()
        async with running.session.post(running.url + PATH, data=speech(), headers=FORM) as got:
            assert got.status == 413
            assert (await got.json())["error"]["code"] == "payload_too_large"
        await listener.left()
        assert running.inflight.count() == 0


async def test_a_caller_that_leaves_during_its_upload_frees_its_place() -> None:
    """The upstream sees its connection closed, not a short file."""
    listener = Listener()

    async def speech() -> AsyncIterator[bytes]:
        yield HEAD + FILE
        await listener.heard(len(HEAD + FILE))
        raise ConnectionAbortedError

    async with hearing(listener) as running:
        with pytest.raises(aiohttp.ClientError):
            async with running.session.post(running.url + PATH, data=speech(), headers=FORM):
                pass
        await listener.left()
        assert (await running.passages.get()).error == "client_closed"
        assert running.inflight.count() == 0


async def test_an_upstream_that_refuses_early_is_heard_at_once() -> None:
    """Its answer does not wait for the end of the upload."""
    listener = Listener(early=True)
    go_on = asyncio.Event()

    async def speech() -> AsyncIterator[bytes]:
        yield HEAD + FILE
        await go_on.wait()
        yield END

    async with (
        hearing(listener) as running,
        running.session.post(running.url + PATH, data=speech(), headers=FORM) as got,
    ):
        assert got.status == 422
        assert (await got.json())["error"]["message"] == "not like this"
        go_on.set()


@pytest.mark.parametrize(
    ("body", "query", "headers", "asked"),
    [
        (FILE + b"x" + END, "", {}, ""),
        (FILE + b"x\r\n" + HEAD[:-2] + END, "", {}, ""),
        (FILE + b"x" + END, "?model=ears", {}, "ears"),
        (FILE + b"x" + END, "", {"x-model": "ears"}, "ears"),
        (HEAD + FILE + b"x" + END, "?model=other", {"x-model": "ears"}, "whisper"),
    ],
)
async def test_where_the_name_of_a_form_is_looked_for(
    body: bytes, query: str, headers: dict[str, str], asked: str
) -> None:
    """The leading parts, the query, a header; without any the service of the kind."""
    engine = ScriptedEngine(whole({"text": "heard"}))
    async with serve(engine) as url, gateway() as running:
        running.services = (service("ears", "asr", url),)
        async with running.session.post(
            running.url + PATH + query, data=body, headers=FORM | headers
        ) as got:
            assert got.status == 200
        assert running.activity.rows()[0].asked == asked
        assert engine.calls[0].raw == body


async def test_a_service_is_sent_the_name_that_it_knows() -> None:
    """In the leading parts, with the length that follows from it; everything else stays."""
    engine = ScriptedEngine(whole({"text": "heard"}))
    async with serve(engine) as url, gateway() as running:
        running.services = (service("ears", "asr", url, model_sent="Systran/large-v3"),)
        for chunked in (False, True):
            body = HEAD + FILE + b"x" * 200_000 + END

            async def pieces(body: bytes = body) -> AsyncIterator[bytes]:
                yield body

            async with running.session.post(
                running.url + PATH, data=pieces() if chunked else body, headers=FORM
            ) as got:
                assert got.status == 200
            call = engine.calls[-1]
            assert call.raw == body.replace(b"whisper", b"Systran/large-v3", 1)
            length = call.header(b"content-length")
            assert length == (None if chunked else str(len(call.raw)).encode())


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {"content-type": "application/json"}, 415),
        (b"x", {"content-type": "multipart/form-data"}, 400),
        (b"nothing of a form", FORM, 400),
        (HEAD, FORM, 400),
        (HEAD + HEAD + FILE, FORM, 400),
    ],
)
async def test_what_is_no_form_is_refused_before_anybody_is_asked(
    body: bytes, headers: dict[str, str], status: int
) -> None:
    """As JSON is."""
    engine = ScriptedEngine(whole({}))
    async with serve(engine) as url, gateway() as running:
        running.services = (service("ears", "asr", url),)
        async with running.session.post(running.url + PATH, data=body, headers=headers) as got:
            assert got.status == status
    assert not engine.calls


async def test_an_upstream_that_dies_in_the_middle_of_an_upload_is_told() -> None:
    """502 at once, though the caller has not sent everything; its place is free."""
    died = asyncio.Event()

    async def talk(
        reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _number: int
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(1000)
        died.set()

    async def speech() -> AsyncIterator[bytes]:
        yield HEAD + FILE + b"x" * 10_000
        await died.wait()
        for _ in range(100):
            yield b"x" * 10_000

    async with raw_server(talk) as url, gateway() as running:
        running.services = (service("ears", "asr", url),)
        async with running.session.post(running.url + PATH, data=speech(), headers=FORM) as got:
            assert got.status == 502
            assert (await got.json())["error"]["source"] == "ears"
        await running.passages.get()
        assert running.inflight.count() == 0


async def test_half_a_body_asks_nobody() -> None:
    """A caller that leaves while it still talks is only in the log."""
    engine = ScriptedEngine(whole({}))
    async with serve(engine) as url, gateway() as running:
        running.serve(url)
        _, writer = await asyncio.open_connection("127.0.0.1", int(running.url[17:]))
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
            b'content-length: 100\r\n\r\n{"model":'
        )
        await running.began(1)
        writer.close()
        passage = await running.passages.get()
        assert (passage.status, passage.error) == (499, "client_closed")
    assert not engine.calls


async def test_memory_does_not_grow_with_an_upload() -> None:
    """128 MiB go through in pieces, also to an upstream that is slower than the caller."""

    async def slowly(_scope: Scope, receive: Receive, send: Send) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            size += len(message.get("body", b""))
            for _ in range(5):
                await asyncio.sleep(0)
        await whole({"size": size})(Call("", [], b""), send)

    piece = b"x" * 65_536

    async def speech() -> AsyncIterator[bytes]:
        yield HEAD + FILE
        for _ in range(2048):
            yield piece
        yield END

    async with serve(slowly) as url, gateway(max_upload_mb=256) as running:
        running.services = (service("ears", "asr", url),)
        tracemalloc.start()
        try:
            async with running.session.post(running.url + PATH, data=speech(), headers=FORM) as got:
                size = (await got.json())["size"]
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert size == 2048 * len(piece) + len(HEAD + FILE + END)
    assert peak < 16 << 20

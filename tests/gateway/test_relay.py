"""The relay: bytes unchanged and at once, nothing left open, errors that tell the truth."""

import asyncio
import gzip
import io

import aiohttp
import orjson
import pytest
from starlette.types import Send

from server.base.errors import Unavailable
from server.gateway import relay
from tests.gateway.made import CHAT, gateway, model, served
from tests.gateway.made import catalog as catalog_of
from tests.gateway.running import (
    Call,
    ScriptedEngine,
    begin,
    part,
    raw_server,
    read_request,
    whole,
)

OK = b'{"ok":true}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n"


async def never(call: Call, _send: Send) -> None:
    await call.gone.wait()


async def one_token_then_silence(call: Call, send: Send) -> None:
    await begin(send, "text/event-stream")
    await part(send, b"data: one\n\n")
    await call.gone.wait()


class TestBytes:
    async def test_the_body_goes_through_unchanged(self) -> None:
        """Not even the order of keys or the spaces differ, and a compressed answer stays one."""
        raw = b'{"model" :  "tiny", "\\u00e4": 1.0, "n":\t3}'
        packed = gzip.compress(OK)
        engine = ScriptedEngine(whole(packed, 200, (b"content-encoding", b"gzip")))
        async with (
            served(engine) as running,
            running.session.post(
                running.url + "/v1/completions",
                data=raw,
                headers={"content-type": "application/json"},
            ) as answer,
        ):
            assert await answer.read() == OK
            assert answer.headers["content-encoding"] == "gzip"
        assert engine.calls[0].raw == raw

    async def test_each_chunk_arrives_before_the_next_one_is_made(self) -> None:
        """The engine waits for the test to have read the first chunk; no buffer holds it back."""
        seen = asyncio.Event()

        async def answer(_call: Call, send: Send) -> None:
            await begin(send, "text/event-stream")
            await part(send, b"data: 1\n\n")
            await seen.wait()
            await part(send, b"data: 2\n\n", last=True)

        async with served(ScriptedEngine(answer)) as running, running.post() as got:
            assert await got.content.readany() == b"data: 1\n\n"
            seen.set()
            assert await got.content.read() == b"data: 2\n\n"

    async def test_only_headers_that_concern_the_engine_reach_it(self) -> None:
        """Keys, cookies, origin and what belongs to one hop stay with us; the request id goes."""
        engine = ScriptedEngine(whole(OK))
        sent = {
            "Authorization": "Bearer sk-ours-0123456789",
            "Cookie": "session=1",
            "X-Request-ID": "mine-1",
            "X-Hop": "1",
            "Connection": "x-hop",
            "X-Stays": "yes",
        }
        async with served(engine) as running:
            sent["Origin"] = running.url
            async with running.post(headers=sent) as got:
                assert got.headers["x-request-id"] == "mine-1"
        call = engine.calls[0]
        for name in (b"authorization", b"cookie", b"origin", b"x-hop"):
            assert call.header(name) is None
        assert call.header(b"x-stays") == b"yes"
        assert call.header(b"x-request-id") == b"mine-1"
        assert call.header(b"accept-encoding") == b"identity"

    async def test_an_engine_cannot_speak_for_us(self) -> None:
        """No CORS, no cookies, no second Date or Server comes from an engine."""
        more = (
            (b"access-control-allow-origin", b"*"),
            (b"set-cookie", b"a=b"),
            (b"x-engine", b"yes"),
            (b"x-request-id", b"theirs"),
        )
        async with served(ScriptedEngine(whole(OK, 200, *more))) as running, running.post() as got:
            assert "access-control-allow-origin" not in got.headers
            assert "set-cookie" not in got.headers
            assert got.headers["x-engine"] == "yes"
            assert len(got.headers.getall("date", [])) <= 1
            assert len(got.headers.getall("x-request-id")) == 1
            assert got.headers["api-version"] == "1"

    async def test_a_younger_alias_is_rewritten_and_nothing_else(self) -> None:
        """The engine knows the names it was started with; a later alias becomes its model."""
        engine = ScriptedEngine(whole(OK))
        async with served(engine) as running:
            running.catalog = catalog_of(model("tiny", aliases=("brand-new",)))
            async with running.post(body=CHAT | {"model": "brand-new", "n": 2}) as got:
                assert got.status == 200
        assert engine.calls[0].body == CHAT | {"model": "tiny", "n": 2}

    async def test_a_body_of_many_megabytes_goes_through(self) -> None:
        """Pictures in a chat are large; they are relayed whole."""
        engine = ScriptedEngine(whole(OK))
        body = orjson.dumps(CHAT | {"picture": "x" * 5_000_000})
        async with (
            served(engine, max_upload_mb=8) as running,
            running.session.post(
                running.url + "/v1/chat/completions",
                data=io.BytesIO(body),
                headers={"content-type": "application/json"},
            ) as got,
        ):
            assert got.status == 200
        assert engine.calls[0].raw == body

    async def test_tokenize_reaches_the_engine_where_it_has_it(self) -> None:
        """vLLM serves its tokenizer outside /v1."""
        engine = ScriptedEngine(whole({"tokens": [1]}))
        body = {"model": "tiny", "prompt": "a"}
        async with served(engine) as running, running.post("/v1/tokenize", body) as got:
            assert await got.json() == {"tokens": [1]}
        assert engine.calls[0].path == "/tokenize"


class TestLeaving:
    async def test_a_client_that_leaves_before_the_first_byte_frees_the_engine(self) -> None:
        """The upstream request is closed at once and the lease released."""
        engine = ScriptedEngine(never)
        async with served(engine) as running:
            asked = asyncio.create_task(_read(running.post()))
            call = await engine.came.get()
            assert running.inflight.count("tiny") == 1
            asked.cancel()
            await asyncio.wait_for(call.gone.wait(), 5)
            assert await running.inflight.drained(5)

    async def test_a_client_that_leaves_in_the_middle_of_a_stream_frees_the_engine(self) -> None:
        """The GPU must not go on for nobody."""
        engine = ScriptedEngine(one_token_then_silence)
        async with served(engine) as running:
            async with running.post() as got:
                await got.content.readany()
                call = await engine.came.get()
                got.close()
            await asyncio.wait_for(call.gone.wait(), 5)
            assert await running.inflight.drained(5)

    async def test_shutdown_tells_a_stream_before_it_ends(self) -> None:
        """A stream still running after the grace gets one error frame and then the end."""
        engine = ScriptedEngine(one_token_then_silence)
        async with served(engine) as running, running.post() as got:
            assert await got.content.readany() == b"data: one\n\n"
            await running.inflight.close(0.01)
            told = await got.content.read()
            error = orjson.loads(told.removeprefix(b"data: "))["error"]
            assert error["code"] == "unavailable"
            assert "shutting down" in error["message"]
            async with running.post() as refused:
                assert refused.status == 503

    async def test_a_drain_waits_for_what_is_in_flight_and_refuses_what_comes(self) -> None:
        """During a drain new requests get 503 with Retry-After, the running one its answer."""
        go_on = asyncio.Event()

        async def answer(_call: Call, send: Send) -> None:
            await go_on.wait()
            await whole(OK)(_call, send)

        engine = ScriptedEngine(answer)
        async with served(engine) as running:
            first = asyncio.create_task(_read(running.post()))
            await engine.came.get()
            running.drain()
            async with running.post() as refused:
                assert refused.status == 503
                assert refused.headers["retry-after"]
                assert (await refused.json())["error"]["code"] == "unavailable"
            assert not await running.inflight.drained(0.01)
            go_on.set()
            assert await first == OK
            assert await running.inflight.drained(5)


async def _read(pending: "aiohttp.client._RequestContextManager") -> bytes:
    async with pending as answer:
        return await answer.read()


class TestFaults:
    async def test_a_stale_connection_is_tried_again_once_on_a_new_one(self) -> None:
        """An engine that closed a kept connection just as we wrote gets the request again."""
        requests: list[int] = []

        async def talk(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
        ) -> None:
            await read_request(reader)
            requests.append(number)
            writer.write(HEAD + OK)
            if number == 0:
                await read_request(reader)  # and now it breaks, with nothing written back
                requests.append(number)
                return
            await reader.read()

        async with raw_server(talk) as base_url, gateway() as running:
            running.serve(base_url)
            assert await _read(running.post()) == OK
            assert await _read(running.post()) == OK
            retries = running.registry.get_sample_value(
                "spark_gateway_retries_total", {"model": "tiny"}
            )
        assert requests == [0, 0, 1]
        assert retries == 1

    async def test_a_new_connection_that_breaks_is_not_tried_again(self) -> None:
        """The engine may have done the work, or died of the request: 502, once."""
        connections: list[int] = []

        async def talk(
            reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, number: int
        ) -> None:
            connections.append(number)
            await read_request(reader)

        async with raw_server(talk) as base_url, gateway() as running:
            running.serve(base_url)
            async with running.post() as got:
                assert got.status == 502
                error = (await got.json())["error"]
        assert connections == [0]
        assert error["code"] == "upstream_error"
        assert error["source"] == "tiny"

    async def test_an_error_whose_body_does_not_end_is_told_all_the_same(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A sick engine would hold its caller, and a place, for half an hour."""
        monkeypatch.setattr(relay, "_ERROR_SECONDS", 0.05)

        async def talk(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int
        ) -> None:
            await read_request(reader)
            writer.write(b"HTTP/1.1 500 Oops\r\ncontent-length: 1000\r\n\r\nTraceback")
            await reader.read()

        async with raw_server(talk) as base_url, gateway() as running:
            running.serve(base_url)
            async with running.post() as got:
                assert got.status == 502
            await running.passages.get()
            assert running.inflight.count() == 0

    async def test_an_engine_that_does_not_listen_is_unavailable(self) -> None:
        """503 with Retry-After; no address and no class name in the text."""
        async with gateway() as running:
            running.serve("http://127.0.0.1:1")
            async with running.post() as got:
                assert got.status == 503
                assert got.headers["retry-after"] == "5"
                text = await got.text()
        assert "127.0.0.1" not in text
        assert "Error" not in text.replace("upstream_error", "")
        assert running.inflight.count() == 0

    async def test_a_whole_answer_that_breaks_off_is_seen_to_be_incomplete(self) -> None:
        """JSON cut short is cut, not ended: a client must never take half for all."""

        async def talk(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int
        ) -> None:
            await read_request(reader)
            writer.write(HEAD + OK[:5])

        async with raw_server(talk) as base_url, gateway() as running:
            running.serve(base_url)
            with pytest.raises(aiohttp.ClientPayloadError):
                await _read(running.post())
            assert await running.inflight.drained(5)

    async def test_a_stream_cut_inside_a_frame_still_ends_in_a_frame_of_its_own(self) -> None:
        """The broken frame is closed first, so that the error can be parsed."""

        async def answer(_call: Call, send: Send) -> None:
            await begin(send, "text/event-stream")
            await part(send, b'data: {"half": ')

        async with served(ScriptedEngine(answer)) as running, running.post() as got:
            frames = (await got.content.read()).split(b"\n\n")
        assert frames[0] == b'data: {"half": '
        assert orjson.loads(frames[1].removeprefix(b"data: "))["error"]["code"] == "upstream_error"
        assert frames[2] == b""

    async def test_named_events_get_a_named_error(self) -> None:
        """/v1/messages and /v1/responses name their events, so the error has a name as well."""

        async def answer(_call: Call, send: Send) -> None:
            await begin(send, "text/event-stream")
            await part(send, b"event: ping\ndata: {}\n\n")

        async with served(ScriptedEngine(answer)) as running, running.post("/v1/messages") as got:
            last = (await got.content.read()).split(b"\n\n")[1]
        assert last.startswith(b"event: error\ndata: ")
        assert orjson.loads(last.split(b"data: ")[1])["type"] == "error"

    async def test_a_silent_engine_is_given_up(self) -> None:
        """504 upstream_timeout when nothing comes for the idle time."""
        from server.gateway.client.aiohttp import AiohttpUpstream

        upstream = AiohttpUpstream(idle_seconds=0.05)
        engine = ScriptedEngine(never)
        async with served(engine, upstream=upstream) as running, running.post() as got:
            assert got.status == 504
            assert (await got.json())["error"]["code"] == "upstream_timeout"

    @pytest.mark.parametrize(
        ("status", "answered", "code"),
        [
            (500, 502, "upstream_error"),
            (501, 502, "upstream_error"),
            (401, 502, "upstream_error"),
            (404, 404, "not_found"),
            (413, 413, "payload_too_large"),
            (422, 422, "invalid_request"),
            (429, 429, "rate_limited"),
            (503, 503, "unavailable"),
            (504, 504, "upstream_timeout"),
        ],
    )
    async def test_an_error_of_the_engine_becomes_one_of_ours(
        self, status: int, answered: int, code: str
    ) -> None:
        """The status is mapped once; what broke inside the engine is never repeated."""
        inside = 'Traceback (most recent call last): File "/opt/vllm/engine.py" RuntimeError: boom'
        engine = ScriptedEngine(whole({"error": {"message": inside}}, status))
        async with served(engine) as running, running.post() as got:
            assert got.status == answered
            body = await got.json()
        assert body["error"]["code"] == code
        assert body["error"]["source"] == "tiny"
        assert body["error"]["request_id"] == got.headers["x-request-id"]
        assert "boom" not in str(body)
        assert "/opt" not in str(body)

    async def test_ending_a_lease_twice_keeps_the_first_reason(self) -> None:
        """A lease that was ended before its work began refuses the work."""
        async with gateway() as running:
            lease = running.inflight.lease("tiny")
            lease.end(Unavailable("first"))
            lease.end(Unavailable("second"))
            with pytest.raises(Unavailable, match="first"), lease.endable():
                pass

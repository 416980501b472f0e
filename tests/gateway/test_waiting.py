"""Requests that wait: told where they stand, gone when their caller is, another upstream asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
from starlette.types import Send

from server.base.errors import Forbidden
from server.config.gateway import Gateway as GatewaySettings
from tests.gateway.made import SETTINGS, Running, gateway, service
from tests.gateway.running import Call, ScriptedEngine, begin, part, raw_server, serve, whole

ASK = {"model": "chatty", "messages": [], "stream": True}
PLAIN = {"model": "chatty", "messages": []}
FRAME = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'


class Held:
    """An engine that streams one frame when a test lets it go on."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def __call__(self, call: Call, send: Send) -> None:
        await self.go_on.wait()
        if call.body.get("stream"):
            await begin(send, "text/event-stream", 200, (b"x-engine", b"yes"))
            await part(send, FRAME)
            await part(send, b"data: [DONE]\n\n", last=True)
        else:
            await whole({"ok": True})(call, send)


@asynccontextmanager
async def chatty(answer: Any, cap: int = 1, **options: Any) -> AsyncIterator[Running]:
    """A gateway in front of one service that takes `cap` at once; comments come every 10 ms."""
    quick = GatewaySettings.model_construct(**(SETTINGS | {"keepalive_seconds": 0.01} | options))
    async with serve(ScriptedEngine(answer)) as url, gateway(settings=quick) as running:
        running.services = (service("chatty", "llm", url, max_in_flight=cap),)
        yield running


class TestTold:
    async def test_a_waiting_stream_hears_comments_and_then_its_answer(self) -> None:
        """200 at once, `: queued position=1`, the frames unchanged; never a word of fake text."""
        held = Held()
        async with chatty(held) as running:
            first = asyncio.create_task(_read(running.post(body=PLAIN)))
            await running.began(1)
            async with running.post(body=ASK) as got:
                assert got.status == 200
                assert got.headers["content-type"] == "text/event-stream; charset=utf-8"
                assert "x-engine" not in got.headers
                heard = await got.content.readuntil(b"\n\n")
                assert heard == b": queued position=1\n\n"
                held.go_on.set()
                rest = await got.read()
            assert (await first)[0] == 200
            comments, _, answer = rest.partition(b"data: ")
            *others, last, end = comments.split(b"\n\n")
            assert set(others) <= {b": queued position=1"}
            told, _, waited = last.partition(b"=")
            assert (told, end) == (b": spark-queue-seconds", b"")
            assert float(waited) > 0
            assert b"data: " + answer == FRAME + b"data: [DONE]\n\n"

    async def test_a_wait_that_ends_before_the_first_comment_is_told_in_a_header(self) -> None:
        """`X-Spark-Queue-Seconds`, and the upstream's own head; callers without streams too."""
        held = Held()
        async with chatty(held, keepalive_seconds=60.0) as running:
            first = asyncio.create_task(_read(running.post(body=PLAIN)))
            await running.began(1)
            others = [asyncio.create_task(_read(running.post(body=body))) for body in (ASK, PLAIN)]
            await running.began(3)
            held.go_on.set()
            status, headers, _ = await first
            assert (status, "x-spark-queue-seconds" in headers) == (200, False)
            for other in others:
                status, headers, _ = await other
                assert status == 200
                assert float(headers["x-spark-queue-seconds"]) > 0

    async def test_an_error_after_a_comment_is_one_frame(self) -> None:
        """The status is out: an engine's 400 and a person's stop arrive within the stream."""

        async def refuse(call: Call, send: Send) -> None:
            if call.body.get("stream"):
                await whole({"error": {"message": "too long"}}, 400)(call, send)
            else:
                await held(call, send)

        held = Held()
        async with chatty(refuse) as running:
            first = asyncio.create_task(_read(running.post(body=PLAIN)))
            await running.began(1)
            async with running.post(body=ASK) as got, running.post(body=ASK) as stopped:
                await got.content.readuntil(b"\n\n")
                await stopped.content.readuntil(b"\n\n")
                waits = running.activity.in_flight()[-1]
                running.activity.cancel(waits.id, requested_by="a test")
                held.go_on.set()
                texts = [await got.read(), await stopped.read()]
            await first
        errors = [orjson.loads(text.split(b"data: ")[1])["error"] for text in texts]
        assert {error["message"] for error in errors} >= {"too long"}
        assert {error["code"] for error in errors} == {"invalid_request", Forbidden.code}

    async def test_too_long_a_wait_is_503_with_the_time_waited(self) -> None:
        """And a caller without a stream gets it as a status."""
        held = Held()
        async with chatty(held, queue_seconds=0.05) as running:
            first = asyncio.create_task(_read(running.post(body=PLAIN)))
            await running.began(1)
            status, headers, body = await _read(running.post(body=PLAIN))
            held.go_on.set()
            await first
        assert status == 503
        assert "retry-after" in headers
        assert float(headers["x-spark-queue-seconds"]) > 0.04
        assert orjson.loads(body)["error"]["code"] == "unavailable"


class TestLeaving:
    @pytest.mark.parametrize("body", [ASK, PLAIN])
    async def test_a_caller_that_leaves_while_it_waits_frees_its_place(self, body: Any) -> None:
        """The queue is shorter at once, and the upstream never hears of it."""
        held = Held()
        engine = ScriptedEngine(held)
        async with serve(engine) as url, gateway() as running:
            running.services = (service("chatty", "llm", url, max_in_flight=1),)
            first = asyncio.create_task(_read(running.post(body=PLAIN)))
            await running.began(1)
            await engine.came.get()
            second = asyncio.create_task(_read(running.post(body=body)))
            await running.began(2)
            second.cancel()
            gone = await running.passages.get()
            assert (gone.error, gone.admitted, gone.status) == ("client_closed", None, 499)
            held.go_on.set()
            await first
        assert len(engine.calls) == 1

    async def test_an_upload_that_waits_is_noticed_when_it_leaves(self) -> None:
        """What fits into the read-ahead is read, so that the end of the connection is seen."""
        held = asyncio.Event()

        async def answer(call: Call, send: Send) -> None:
            await held.wait()
            await whole({"text": ""})(call, send)

        engine = ScriptedEngine(answer)
        async with serve(engine) as url, gateway() as running:
            running.services = (service("ears", "asr", url, max_in_flight=1),)

            def ask() -> Any:
                data = aiohttp.FormData()
                data.add_field("file", b"x" * 10_000, filename="a.wav")
                return running.session.post(running.url + "/v1/audio/transcriptions", data=data)

            first = asyncio.create_task(_read(ask()))
            await engine.came.get()
            second = asyncio.create_task(_read(ask()))
            await running.began(2)
            second.cancel()
            assert (await running.passages.get()).error == "client_closed"
            held.set()
            assert (await first)[0] == 200


class TestElsewhere:
    """Failover: before the first byte, never after."""

    @asynccontextmanager
    async def two(self, *answers: Any, kind: str = "llm") -> AsyncIterator[Running]:
        """Replicas of one name; an answer of None does not listen."""
        async with AsyncExitStack() as stack:
            running = await stack.enter_async_context(gateway())
            made = []
            for number, answer in enumerate(answers):
                url = "http://127.0.0.1:9"
                if answer is not None:
                    url = await stack.enter_async_context(serve(ScriptedEngine(answer)))
                made.append(service(f"{kind}-{number}", kind, url, models=("chatty",)))
            running.services = tuple(made)
            yield running

    @pytest.mark.parametrize("failing", [None, 502, 503, 429])
    async def test_another_replica_answers_for_one_that_cannot(self, failing: int | None) -> None:
        """Down, overloaded or not ready: the caller does not notice."""
        bad = None if failing is None else whole({"error": "no"}, failing)
        async with self.two(bad, whole({"ok": True})) as running:
            for _ in range(2):
                status, _, body = await _read(running.post(body=PLAIN))
                assert (status, orjson.loads(body)) == (200, {"ok": True})
            rows = running.activity.rows()
            assert {row.upstream for row in rows} == {"llm-1"}
            assert max(row.attempts for row in rows) == 2

    async def test_when_all_fail_the_first_reason_is_told(self) -> None:
        """Each is asked once."""
        async with self.two(*[whole({"error": "no"}, 503)] * 2) as running:
            status, _, body = await _read(running.post(body=PLAIN))
            assert status == 503
            assert orjson.loads(body)["error"]["source"].startswith("llm-")
            assert running.activity.rows()[0].attempts == 2

    async def test_an_internal_error_of_an_engine_is_not_tried_again(self) -> None:
        """The same input would break the next one as well."""
        async with self.two(whole({}, 500), whole({}, 500)) as running:
            assert (await _read(running.post(body=PLAIN)))[0] == 502
            assert running.activity.rows()[0].attempts == 1

    async def test_after_the_first_byte_nobody_else_is_asked(self) -> None:
        """The stream ends with one error frame."""

        async def talk(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int
        ) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(FRAME), FRAME)
            )

        async with raw_server(talk) as one, raw_server(talk) as two, gateway() as running:
            running.services = tuple(
                service(f"llm-{n}", "llm", url, models=("chatty",))
                for n, url in enumerate((one, two))
            )
            _, _, body = await _read(running.post(body=ASK))
            assert body.startswith(FRAME + b'data: {"error":')
            assert running.activity.rows()[0].attempts == 1

    async def test_an_upload_that_nobody_has_heard_is_sent_to_another(self) -> None:
        """Nothing listens there, so nothing of it is lost."""
        async with self.two(None, whole({"text": "heard"}), kind="asr") as running:
            for _ in range(2):
                data = aiohttp.FormData()
                data.add_field("model", "chatty")
                data.add_field("file", b"x" * 100_000, filename="a.wav")
                post = running.session.post(running.url + "/v1/audio/transcriptions", data=data)
                assert (await _read(post))[0] == 200


async def _read(asked: Any) -> tuple[int, Any, bytes]:
    async with asked as got:
        return got.status, got.headers, await got.read()

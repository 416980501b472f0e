"""A WebSocket whose turn has not come: held for a moment, then accepted and told where it is."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import openai
import pytest

from server.base.errors import ModelLoading, QueueFull, RateLimited, SessionExpired, UpstreamError
from server.gateway.client.tunnel import close_code
from server.gateway.model import Waiting
from server.gateway.operations import OPERATIONS
from server.gateway.sockets.dialect import ping, queue_event, realtime, takes_events
from server.gateway.sockets.waiting import EARLY_BYTES
from tests.gateway.made import Running
from tests.gateway.sockets.made import Echo, listening

STREAM, REALTIME = "/v1/audio/stream", "/v1/realtime?model=ears"
EVENTS = {"x-spark-queue": "events"}
CREATED = json.dumps({"type": "session.created", "session": {}})


@asynccontextmanager
async def occupied(running: Running) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """The only place is taken."""
    async with running.session.ws_connect(running.url + STREAM) as first:
        await first.send_str("a")
        assert (await first.receive_str()) in {"a", CREATED}
        yield first


async def queued(socket: aiohttp.ClientWebSocketResponse) -> dict[str, object]:
    event = json.loads(await socket.receive_str())
    assert event["type"] == "spark.queue"
    return dict(event)


async def test_it_is_accepted_and_hears_its_place_then_it_is_carried() -> None:
    """What it said meanwhile comes first, in its order; the upstream never saw it wait."""
    echo = Echo()
    async with listening(echo) as running:
        async with occupied(running):
            second = await running.session.ws_connect(running.url + REALTIME, headers=EVENTS)
            event = await queued(second)
            assert (event["position"], event["eta_seconds"]) == (1, None)
            assert str(event["event_id"]).startswith("event_")
            for text in ("one", "two"):
                await second.send_str(text)
            await second.send_bytes(b"three")
            row = next(row for row in running.activity.in_flight() if row.phase == "waiting")
            assert (row.route, row.status) == ("/v1/realtime", 101)
            await queued(second)
        heard: list[object] = []
        while len(heard) < 3:
            message = await second.receive()
            if "spark.queue" not in str(message.data):
                heard.append(message.data)
        assert heard == ["one", "two", b"three"]
        await second.close()
        assert len(echo.scopes) == 2
        assert running.held.size == 0


async def test_who_takes_no_events_hears_pings() -> None:
    """They hold the connection open and say the same words; no client shows them."""
    async with listening(Echo()) as running:
        async with occupied(running):
            second = await running.session.ws_connect(running.url + STREAM, autoping=False)
            heard = await second.receive()
            assert (heard.type, bytes(heard.data)) == (
                aiohttp.WSMsgType.PING,
                b"queued position=1",
            )
            await second.send_str("early")
        while (message := await second.receive()).type is aiohttp.WSMsgType.PING:
            pass
        assert message.data == "early"
        await second.close()


async def test_the_official_client_waits_and_goes_on() -> None:
    """OpenAI's passes over the events it does not know."""
    async with listening(Echo(CREATED)) as running:
        asked = openai.AsyncOpenAI(base_url=running.url + "/v1", api_key="x")
        async with asked:
            async with occupied(running):
                connection = await asked.realtime.connect(model="ears").enter()
                assert str((await connection.recv()).type) == "spark.queue"
                await connection.input_audio_buffer.append(audio="AAAA")
            seen = []
            while "session.created" not in seen or "input_audio_buffer.append" not in seen:
                seen.append((await connection.recv()).type)
            await connection.close()


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(["realtime", "openai-insecure-api-key.x"], "realtime"), (["b", "realtime"], "realtime")],
)
async def test_it_is_given_a_subprotocol_that_it_offered(offered: list[str], chosen: str) -> None:
    """A browser hangs up on none; the upstream is offered that one alone."""
    echo = Echo()
    async with listening(echo) as running:
        async with occupied(running):
            second = await running.session.ws_connect(running.url + STREAM, protocols=offered)
            assert second.protocol == chosen
        await second.send_str("x")
        assert await second.receive_str() == "x"
        await second.close()
    assert echo.scopes[1]["subprotocols"] == [chosen]


async def test_one_that_leaves_while_it_waits_frees_its_place() -> None:
    """Also after it was accepted; what it said is forgotten."""
    echo = Echo()
    async with listening(echo) as running, occupied(running):
        second = await running.session.ws_connect(running.url + REALTIME, headers=EVENTS)
        await queued(second)
        await second.send_str("x" * 1000)
        await second.close()
        passage = await running.passages.get()
        assert (passage.error, passage.status) == ("client_closed", 101)
        assert running.held.size == 0
    assert len(echo.scopes) == 1


async def test_one_that_says_too_much_while_it_waits_is_told_to_come_later() -> None:
    """1013: nothing is held without bound."""
    async with listening(Echo()) as running, occupied(running):
        second = await running.session.ws_connect(running.url + REALTIME, headers=EVENTS)
        await queued(second)
        await second.send_bytes(bytes(EARLY_BYTES))
        await second.send_bytes(b"x")
        while (message := await second.receive()).type is aiohttp.WSMsgType.TEXT:
            last = message.data
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1013)
        error = json.loads(last)
        assert (error["type"], error["error"]["code"]) == ("error", "unavailable")
        assert error["error"]["retry_after"] == 5
        assert (await running.passages.get()).error == "unavailable"
        assert running.held.size == 0


async def test_a_wait_that_ends_badly_closes_with_a_reason() -> None:
    """The upgrade is gone by then; before it, the answer would be a 503."""
    async with listening(Echo(), queue_seconds=1.0) as running, occupied(running):
        second = await running.session.ws_connect(running.url + STREAM, autoping=True)
        closed = await second.receive()
        assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1013)
        assert closed.extra
    async with (
        listening(Echo(), queue_seconds=0.01, socket_accept_seconds=60) as running,
        occupied(running),
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await running.session.ws_connect(running.url + STREAM)
        assert refused.value.status == 503
        assert refused.value.headers is not None
        assert "retry-after" in {name.lower() for name in refused.value.headers}


async def test_one_whose_turn_comes_in_time_hears_nothing_of_it() -> None:
    """The handshake is the upstream's then, its subprotocol too."""
    async with listening(Echo(), socket_accept_seconds=60) as running:
        url = running.url + STREAM
        async with occupied(running):
            wait = asyncio.create_task(running.session.ws_connect(url, headers=EVENTS))
            await running.began(2)
        second = await wait
        assert float(second._response.headers["x-spark-queue-seconds"]) > 0
        await second.send_str("x")
        assert await second.receive_str() == "x"
        await second.close()


@pytest.mark.parametrize(
    ("headers", "subprotocols", "takes"),
    [
        ([(b"user-agent", b"AsyncOpenAI/Python 2.0.0")], [], True),
        ([(b"openai-beta", b"realtime=v1")], [], True),
        ([], ["realtime"], True),
        ([(b"x-spark-queue", b"events")], [], True),
        ([(b"x-spark-queue", b"pings"), (b"openai-beta", b"realtime=v1")], [], False),
        ([(b"user-agent", b"Python/3.11 websockets/15.0")], [], False),
    ],
)
def test_events_are_for_who_understands_them(
    headers: list[tuple[bytes, bytes]], subprotocols: list[str], *, takes: bool
) -> None:
    """vLLM's own example takes the first message for `session.created`."""
    assert takes_events(headers, subprotocols) is takes


def test_words_of_a_wait_fit_into_a_ping() -> None:
    """125 bytes; an unknown wait is left out, one that is over is 0."""
    assert ping(Waiting(10**200, 5.0, ""))[:7] == b"queued "
    assert len(ping(Waiting(10**200, 5.0, ""))) == 125
    assert ping(Waiting(3, 41.2, "")) == b"queued position=3 eta=42"
    assert json.loads(queue_event(Waiting(3, -2.0, ""), "req", 7)) == {
        "type": "spark.queue",
        "event_id": "event_req_7",
        "position": 3,
        "eta_seconds": 0.0,
    }


def test_the_dialect_is_known_by_the_path() -> None:
    """Below `/upstream` as well."""
    assert realtime(OPERATIONS["/v1/realtime"], "/v1/realtime")
    assert realtime(OPERATIONS["/upstream"], "/upstream/ears/v1/realtime")
    assert not realtime(OPERATIONS["/upstream"], "/upstream/ears/ws")
    assert not realtime(OPERATIONS["/v1/audio/stream"], "/v1/audio/stream")


def test_an_end_says_what_the_client_may_do() -> None:
    """1008 is its own limit, 1001 its silence, 1013 asks to come later, 1011 is a failure."""
    codes = {RateLimited: 1008, SessionExpired: 1001, QueueFull: 1013, ModelLoading: 1013}
    for kind, code in (codes | {UpstreamError: 1011}).items():
        assert close_code(kind("x")) == code

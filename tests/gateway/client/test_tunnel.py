"""A WebSocket through us is the WebSocket of the upstream: messages, ends, refusals, patience."""

import asyncio
import http
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import uvicorn
import websockets
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Close
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from server.base.errors import SparkError, Unavailable
from server.gateway.client.tunnel import Farewell, Tunnel, for_client, for_upstream, refuse, tunnel
from server.gateway.inflight import InFlight
from server.gateway.model import Outcome
from server.web.edge import EdgeSocket, edge, is_news
from tests.gateway.client.far import turns, until_gone
from tests.gateway.running import raw_server

Talk = Callable[[ServerConnection], Awaitable[None]]


@dataclass
class Front:
    """Our side: carries every WebSocket to `target`, under a lease, as the gateway does."""

    target: str
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    max_message: int = 16 << 20
    inflight: InFlight = field(default_factory=InFlight)
    outcomes: asyncio.Queue[Outcome | SparkError] = field(default_factory=asyncio.Queue)
    url: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self.inflight.lease("tiny") as lease:
            try:
                with lease.endable():
                    outcome = await tunnel(
                        scope,
                        receive,
                        send,
                        url=self.target,
                        headers=self.headers,
                        name="tiny",
                        max_message=self.max_message,
                    )
            except SparkError as error:
                await refuse(scope, send, error)
                self.outcomes.put_nowait(error)
            else:
                self.outcomes.put_nowait(outcome)


@asynccontextmanager
async def front(target: str, **options: object) -> AsyncIterator[Front]:
    app = Front(target, **options)  # type: ignore[arg-type]
    config = uvicorn.Config(
        app,
        port=0,
        http=edge(None),
        ws=EdgeSocket,
        ws_max_size=app.max_message,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=2,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    app.url = f"ws://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1/realtime"
    try:
        yield app
    finally:
        await server.shutdown()


@asynccontextmanager
async def tunnelled(talk: Talk, **options: object) -> AsyncIterator[Front]:
    """A tunnel to an upstream of the `websockets` package that does `talk`."""

    def choose(_upstream: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return offered[-1] if offered else None

    async with serve_websocket(
        talk, "127.0.0.1", 0, select_subprotocol=choose, ping_interval=None, close_timeout=1
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with front(f"http://127.0.0.1:{port}/up?model=a%20b", **options) as app:
            yield app


async def echo(upstream: ServerConnection) -> None:
    async for message in upstream:
        await upstream.send(message)


async def test_messages_pass_unchanged_both_ways() -> None:
    """Text stays text, bytes stay bytes, empty ones stay, in their order."""
    given: list[str | bytes] = ["", b"", "grüße", b"\x00\xff", "x" * 100_000, b"y" * 1_000_000]
    async with tunnelled(echo) as app, connect(app.url, max_size=None) as client:
        for message in given:
            await client.send(message)
        assert [await client.recv() for _ in given] == given


async def test_the_upstream_is_asked_as_the_client_asked() -> None:
    """Its path and query as given, our headers, the subprotocol that it chose; and a handshake of
    its own, since a key of one hop says nothing on the next."""
    seen: list[Request] = []

    async def talk(upstream: ServerConnection) -> None:
        assert upstream.request is not None
        seen.append(upstream.request)

    headers = [(b"x-request-id", b"req_1"), (b"sec-websocket-key", b"abc")]
    async with (
        tunnelled(talk, headers=headers) as app,
        connect(app.url, subprotocols=[Subprotocol("other"), Subprotocol("realtime")]) as client,
    ):
        await client.wait_closed()
        assert client.subprotocol == "realtime"
    assert seen[0].path == "/up?model=a%20b"
    assert seen[0].headers["x-request-id"] == "req_1"
    assert seen[0].headers.get_all("sec-websocket-key") != ["abc"]
    assert "permessage-deflate" not in seen[0].headers.get("sec-websocket-extensions", "")


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "bye"), (1013, "later"), (4321, "grüße")]
)
async def test_how_the_upstream_ends_it_reaches_the_client(code: int, reason: str) -> None:
    """Code and reason, and everything that was said before."""

    async def talk(upstream: ServerConnection) -> None:
        await upstream.send("last words")
        await upstream.close(code, reason)

    async with tunnelled(talk) as app, connect(app.url) as client:
        assert await client.recv() == "last words"
        await client.wait_closed()
        assert (client.close_code, client.close_reason) == (code, reason)
        assert await app.outcomes.get() == "answered"


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "bye"), (4321, "grüße")])
async def test_how_the_client_ends_it_reaches_the_upstream(code: int, reason: str) -> None:
    """So that it can tell a hang-up from an end."""
    closed: asyncio.Queue[Close | None] = asyncio.Queue()

    async def talk(upstream: ServerConnection) -> None:
        await upstream.wait_closed()
        closed.put_nowait(upstream.protocol.close_rcvd)

    async with tunnelled(talk) as app:
        async with connect(app.url) as client:
            await client.close(code, reason)
        assert await closed.get() == Close(code, reason)
        assert await app.outcomes.get() == "left"


async def test_a_client_that_vanishes_ends_the_upstream_at_once() -> None:
    """No close frame came: the upstream is told that it went away, so that its GPU stops."""
    closed: asyncio.Queue[Close | None] = asyncio.Queue()

    async def talk(upstream: ServerConnection) -> None:
        await upstream.send("hello")
        await upstream.wait_closed()
        closed.put_nowait(upstream.protocol.close_rcvd)

    async with tunnelled(talk) as app:
        client = await connect(app.url)
        assert await client.recv() == "hello"
        client.transport.abort()
        got = await closed.get()
        assert got is None or got.code in {1000, 1001}
        assert await app.outcomes.get() == "left"
        assert app.inflight.count() == 0


async def test_an_upstream_that_vanishes_is_told_as_an_error() -> None:
    """1011 with a sentence: the client must not take it for a normal end."""

    async def talk(upstream: ServerConnection) -> None:
        await upstream.send("half")
        upstream.transport.abort()

    async with tunnelled(talk) as app, connect(app.url) as client:
        with suppress(ConnectionClosed):
            assert await client.recv() == "half"
        await client.wait_closed()
        assert client.close_code == 1011
        assert "tiny" in (client.close_reason or "")
        assert await app.outcomes.get() == "failed"


async def test_a_message_that_is_too_long_ends_it() -> None:
    """1009 in either direction; the bound is not the other side's to set."""

    async def talk(upstream: ServerConnection) -> None:
        assert await upstream.recv() == "go"
        await upstream.send(b"x" * 3000)
        await upstream.wait_closed()

    async with tunnelled(talk, max_message=2000) as app:
        async with connect(app.url) as client:
            await client.send("go")
            await client.wait_closed()
            assert client.close_code == 1009
        async with connect(app.url) as client:
            await client.send(b"x" * 3000)
            await client.wait_closed()
            assert client.close_code == 1009


async def test_a_lease_that_is_ended_ends_both_sides() -> None:
    """A swap that cannot wait: the client is told why and may come again, the upstream stops."""
    gone = asyncio.Event()

    async def talk(upstream: ServerConnection) -> None:
        await upstream.send("hello")
        await upstream.wait_closed()
        gone.set()

    async with tunnelled(talk) as app, connect(app.url) as client:
        assert await client.recv() == "hello"
        app.inflight.end(Unavailable("The model is being replaced by another one."))
        await client.wait_closed()
        assert client.close_code == 1013
        assert client.close_reason == "The model is being replaced by another one."
        await asyncio.wait_for(gone.wait(), 10)
        assert isinstance(await app.outcomes.get(), Unavailable)
        assert app.inflight.count() == 0


class TestRefused:
    async def test_by_the_upstream_as_a_status(self) -> None:
        """What the upstream answered to the handshake, as our error; nothing of its text."""

        async def no(upstream: ServerConnection, _request: Request) -> Response:
            return upstream.respond(http.HTTPStatus.TOO_MANY_REQUESTS, "secret inside\n")

        async with serve_websocket(echo, "127.0.0.1", 0, process_request=no) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            async with front(f"http://127.0.0.1:{port}/x") as app:
                with pytest.raises(InvalidStatus) as caught:
                    await connect(app.url)
        response = caught.value.response
        assert response.status_code == 429
        assert response.body is not None
        assert b'"rate_limited"' in response.body
        assert b"secret" not in response.body

    async def test_by_nobody_listening_as_unavailable(self) -> None:
        """503 and when to come again."""
        async with front("http://127.0.0.1:1/x") as app:
            with pytest.raises(InvalidStatus) as caught:
                await connect(app.url)
        assert caught.value.response.status_code == 503
        assert caught.value.response.headers["retry-after"] == "5"

    @pytest.mark.parametrize(
        "said",
        [b"", b"HTTP/1.1 101 Switching", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"SSH-2"],
        ids=repr,
    )
    async def test_by_something_else_as_an_error_of_the_upstream(self, said: bytes) -> None:
        """502: it does not speak WebSocket."""

        async def talk(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _number: int
        ) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(said)

        async with raw_server(talk) as url, front(url + "/x") as app:
            with pytest.raises(InvalidStatus) as caught:
                await connect(app.url)
        assert caught.value.response.status_code == 502

    async def test_without_the_extension_by_a_close(self) -> None:
        """A server that cannot answer with a status closes before it accepted."""
        sent: list[dict[str, object]] = []

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        await refuse({"type": "websocket"}, send, Unavailable("é" * 100))  # type: ignore[arg-type]
        assert sent == [{"type": "websocket.close", "code": 1013, "reason": "é" * 60 + "…"}]


async def test_a_slow_client_holds_the_upstream_back() -> None:
    """Memory stays bounded, and everything comes in the end."""
    count, size = 400, 100_000
    sent = 0

    async def talk(upstream: ServerConnection) -> None:
        nonlocal sent
        for _ in range(count):
            await upstream.send(b"x" * size)
            sent += 1

    async with tunnelled(talk) as app:
        client = await connect(app.url, max_queue=1)
        await turns(3000)
        assert sent < count / 2
        for _ in range(count):
            assert len(await client.recv()) == size
        await client.wait_closed()
        assert client.close_code == 1000


async def test_a_slow_upstream_holds_the_client_back() -> None:
    """The other way as well."""
    go, done = asyncio.Event(), asyncio.Event()
    count, size = 400, 100_000
    sent = 0

    async def talk(upstream: ServerConnection) -> None:
        await go.wait()
        for _ in range(count):
            assert len(await upstream.recv()) == size
        done.set()

    async def pour(client: websockets.ClientConnection) -> None:
        nonlocal sent
        for _ in range(count):
            await client.send(b"x" * size)
            sent += 1

    async with tunnelled(talk) as app, connect(app.url) as client:
        pouring = asyncio.create_task(pour(client))
        await turns(3000)
        assert sent < count / 2
        go.set()
        await pouring
        await asyncio.wait_for(done.wait(), 30)


async def test_pings_are_answered_by_each_hop() -> None:
    """A ping says that this hop lives; neither side sees the other's."""

    async def talk(upstream: ServerConnection) -> None:
        await (await upstream.ping())
        await upstream.send("ponged")

    async with tunnelled(talk) as app, connect(app.url) as client:
        await (await client.ping())
        assert await client.recv() == "ponged"


class Silent(socket.socket):
    """Its kernel counted three probes and 30 s without an answer."""

    def getsockopt(self, *_args: Any) -> bytes:  # type: ignore[override]
        return bytes((1, 0, 0, 3)) + bytes(52) + (30_000).to_bytes(4, "little")


async def test_an_upstream_whose_host_is_gone_is_let_go() -> None:
    """By what the kernel counts: a service at work may answer nothing for minutes."""
    mine, theirs = socket.socketpair()
    with theirs, Silent(fileno=mine.detach()) as silent:
        nobody = cast("Any", None)
        gone = Tunnel(nobody, nobody, "tiny", [silent])
        gone._look()
        assert gone._looking is not None
        gone._looking.cancel()
        assert theirs.recv(1) == b""


async def test_a_client_that_leaves_during_the_handshake_leaves_nothing_behind() -> None:
    """The upstream's side ends as soon as it has agreed, or at its deadline."""
    gone = asyncio.Event()

    async def talk(
        reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _number: int
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        app.inflight.end(Unavailable("The model is being replaced by another one."))
        await until_gone(reader)
        gone.set()

    async with raw_server(talk) as url, front(url + "/x") as app:
        with pytest.raises(InvalidStatus):
            await connect(app.url)
        await asyncio.wait_for(gone.wait(), 10)
        assert app.inflight.count() == 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unavailable("Not now."), "Not now."),
        (Unavailable("Not now.", retry_after=4.2), "Not now. Again in 5 s."),
        (Unavailable("x" * 110, retry_after=4.2), "x" * 110),
        (Unavailable("many words " * 20), "many words " * 10 + "many…"),
    ],
)
async def test_a_close_says_why_in_what_room_there_is(error: SparkError, reason: str) -> None:
    """123 bytes, in whole words, with the time to come again where it fits."""
    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await refuse({"type": "websocket"}, send, error)  # type: ignore[arg-type]
    assert sent[0]["reason"] == reason
    assert len(reason.encode()) <= 123


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (Farewell(1000, "x"), Farewell(1000, "x")),
        (Farewell(1005), Farewell(1000)),
        (Farewell(1006), Farewell(1001)),
        (Farewell(1015), Farewell(1001)),
        (Farewell(4999, "x"), Farewell(4999, "x")),
    ],
)
def test_an_upstream_is_told_what_may_be_said(said: Farewell, told: Farewell) -> None:
    """1005, 1006 and 1015 say that there was no close frame: they are never sent in one."""
    assert for_upstream(said) == told


@pytest.mark.parametrize(("code", "told"), [(1005, 1000), (1006, 1011), (1015, 1011), (3000, 3000)])
def test_a_client_is_told_what_may_be_said(code: int, told: int) -> None:
    """As for the upstream; and a lost one is a failure."""
    assert for_client(Farewell(code), "tiny").code == told


async def test_what_the_server_itself_says_of_websockets_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It would write the query, where a key may be, and an error for each that is refused."""
    with caplog.at_level(logging.INFO):
        async with tunnelled(echo) as app, connect(app.url + "?api_key=secret") as client:
            await client.close()
        async with front("http://127.0.0.1:1/x") as app:
            with pytest.raises(InvalidStatus):
                await connect(app.url)
    told = [record for record in caplog.records if record.name == "uvicorn.error"]
    assert any("secret" in record.getMessage() for record in told)
    assert any(record.levelno == logging.ERROR for record in told)
    for record in filter(is_news, told):
        assert "secret" not in record.getMessage()
        assert record.levelno < logging.ERROR

"""Real servers on port 0: the gateway under test, engines that do what a test says, raw sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from server.gateway.lane.service import Lane
from server.web.edge import EdgeSocket, edge


@asynccontextmanager
async def serve(
    app: ASGIApp, lane: Lane | None = None, keep_alive: float = 5.0
) -> AsyncIterator[str]:
    """`http://127.0.0.1:PORT` of `app`, run by uvicorn as the product runs it. `keep_alive` is how
    many seconds a connection may idle."""
    config = uvicorn.Config(
        app,
        http=edge(lane),
        ws=EdgeSocket,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=keep_alive,  # type: ignore[arg-type]  # any number of seconds will do
        timeout_graceful_shutdown=2,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    await server.startup(sockets=[listener])
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        await server.shutdown(sockets=[listener])


Answer = Callable[["Call", Send], Awaitable[None]]


@dataclass
class Call:
    """One request as the engine saw it. `gone` is set when its client left before the end."""

    path: str
    headers: list[tuple[bytes, bytes]]
    raw: bytes
    method: str = "POST"
    query: bytes = b""
    raw_path: bytes = b""
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def body(self) -> Any:
        return orjson.loads(self.raw)

    def header(self, name: bytes) -> bytes | None:
        return next((value for key, value in self.headers if key == name), None)


class ScriptedEngine:
    """An ASGI engine that answers by `answer`; `calls` is what came in, `came` tells each one."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.calls: list[Call] = []
        self.came: asyncio.Queue[Call] = asyncio.Queue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = b""
        more = True
        while more:
            message = await receive()
            raw += message.get("body", b"")
            more = message.get("more_body", False)
        call = Call(
            scope["path"],
            list(scope["headers"]),
            raw,
            scope["method"],
            scope["query_string"],
            scope["raw_path"],
        )
        self.calls.append(call)
        self.came.put_nowait(call)
        watcher = asyncio.create_task(_watch(receive, call))
        try:
            await self.answer(call, send)
        finally:
            watcher.cancel()
            await asyncio.wait({watcher})


async def _watch(receive: Receive, call: Call) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    call.gone.set()


async def begin(send: Send, kind: str, status: int = 200, *more: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", kind.encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def part(send: Send, body: bytes, *, last: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": not last})


def whole(body: Any, status: int = 200, *more: tuple[bytes, bytes]) -> Answer:
    """An engine's answer in one piece, as JSON."""

    async def answer(_call: Call, send: Send) -> None:
        await begin(send, "application/json", status, *more)
        await part(send, body if isinstance(body, bytes) else orjson.dumps(body), last=True)

    return answer


@asynccontextmanager
async def raw_server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]],
) -> AsyncIterator[str]:
    """A server whose connections are handled by hand; the third argument counts them from 0."""
    tasks: set[asyncio.Task[None]] = set()
    count = 0

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        number, count = count, count + 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await talk(reader, writer, number)
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """One HTTP request with a Content-Length, head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return head + await reader.readexactly(length)

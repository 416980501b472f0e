"""A place that was given comes back, whenever its caller leaves."""

import asyncio
import time
from datetime import UTC, datetime

from starlette.types import Message, Scope

from server.base.errors import ClientClosed
from server.config.gateway import Gateway as GatewaySettings
from server.gateway.call import Call
from server.gateway.client.make import make_client
from server.gateway.gate import OpenGate
from server.gateway.inflight import InFlight
from server.gateway.model import Ask, Grant, Operation, Passage, Route, Upstream, Waiting
from server.gateway.operations import OPERATIONS
from server.gateway.relay import no_tap
from server.gateway.way import Crew
from server.gateway.wire import NOTES


class Line:
    """A router in which everybody waits until `turn`, and then is let in."""

    def __init__(self) -> None:
        self.inflight = InFlight()
        self.turn = asyncio.Event()

    def resolve(self, _operation: Operation, model: str | None) -> Route:
        return Route("model:tiny", "tiny", model)

    def admit_now(self, ask: Ask) -> Grant | None:
        return None

    async def admit(self, ask: Ask, heard: object) -> Grant:
        assert callable(heard)
        heard(Waiting(1, None, "full"))
        await self.turn.wait()
        upstream = Upstream("tiny@spark-1", "llm", "http://127.0.0.1:1", "spark-1")
        return Grant(ask.route, upstream, self.inflight.lease("tiny"))


async def test_a_caller_that_leaves_while_its_last_comment_is_on_its_way_leaves_no_lease() -> None:
    """Its turn has come, the comment that tells of the wait is just being ended, and it goes."""
    line = Line()
    told, ending, end = asyncio.Event(), asyncio.Event(), asyncio.Event()
    said = [{"type": "http.request", "body": b'{"model": "tiny", "stream": true}'}]

    async def receive() -> Message:
        return said.pop() if said else await asyncio.get_running_loop().create_future()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body" and message["more_body"]:
            told.set()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ending.set()
                await end.wait()

    settings = GatewaySettings(keepalive_seconds=1).model_copy(update={"keepalive_seconds": 0})
    now = lambda: datetime.now(UTC)  # noqa: E731
    crew = Crew(
        line, make_client("pooled"), OpenGate(), lambda: settings, time.monotonic, now, no_tap
    )
    operation = OPERATIONS["/v1/chat/completions"]
    passage = Passage("r", now(), time.monotonic(), operation.path)
    headers = [(b"content-type", b"application/json")]
    scope: Scope = {"method": "POST", "headers": headers, "query_string": b"", NOTES: {}}
    call = Call(crew, operation, passage, (scope, receive, send))
    task = asyncio.create_task(call.run())
    await told.wait()
    line.turn.set()
    await ending.wait()
    assert line.inflight.count() == 1
    call.end(ClientClosed("It left."))
    end.set()
    await task
    assert passage.error == "client_closed"
    assert line.inflight.count() == 0

"""Clients that send on while they are answered: who leaves is noticed, and answers stay apart."""

import asyncio

import pytest

from server.gateway.gate import OpenGate
from server.gateway.model import Caller, Operation, Route
from tests.gateway.lane.both import LAST, WARM, chunk, post, sized, split
from tests.gateway.lane.test_phases import FRAME, STREAM, STREAMED, both, over

SOCKET = (
    b"GET /v1/realtime HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: MTIzNDU2Nzg5MDEyMzQ1Ng==\r\n\r\n"
)
WAYS = {
    "on the lane": {"warm": 1},
    "handed over": {"warm": 0},
    "the ordinary way": {"warm": 1, "fast_lane": False},
}


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def way(request: pytest.FixtureRequest) -> dict[str, int]:
    options: dict[str, int] = request.param
    return options


async def test_who_leaves_with_more_requests_sent_is_noticed(way: dict[str, int]) -> None:
    """The engine stops for the first one, and none of the others is asked."""
    async with both(**way) as (far, near, running):
        near.writer.write(STREAMED + post() * 3)
        (await far.came.get()).write(STREAM + chunk(FRAME))
        await near.reader.readuntil(FRAME)
        near.writer.transport.abort()
        assert (await over(running)).error == "client_closed"
        await asyncio.wait_for(far.gone.wait(), 10)
        assert len(far.heard) == 1


async def test_a_hundred_requests_at_once_are_answered_in_their_order(way: dict[str, int]) -> None:
    async with both(**way) as (far, near, _running):
        near.writer.write(post() * 100 + LAST)
        for number in range(100):
            (await far.came.get()).write(sized(b"%d" % number))
        answers = split(await near.rest())
        assert [body for _, body, _ in answers] == [b"%d" % n for n in range(100)] + [b"{}"]


async def test_what_is_no_request_is_not_answered_within_an_answer(way: dict[str, int]) -> None:
    """The rest of what the first one is told would be taken from the refusal."""
    async with both(**way) as (far, near, running):
        near.writer.write(post())
        (await far.came.get()).write(sized(b"x" * 60)[:-50])
        assert await near.reader.readuntil(b"x" * 10)
        near.writer.write(b"no request\r\n\r\n")
        assert await near.rest() == b""
        assert (await over(running)).error == "client_closed"


async def test_more_than_the_length_is_refused_in_words(way: dict[str, int]) -> None:
    """A client that counts its body wrongly is told, as long as nothing else was."""
    async with both(**way) as (_far, near, running):
        near.writer.write(post() + b"}")
        said = await near.rest()
        assert said.startswith(b"HTTP/1.1 400 ")
        assert said.endswith(b"Invalid HTTP request received.")
        assert (await over(running)).error == "client_closed"


async def test_no_socket_is_opened_within_an_answer(way: dict[str, int]) -> None:
    """Two protocols would write to one connection, and nobody would hear that the client left."""
    async with both(**way) as (far, near, running):
        near.writer.write(STREAMED)
        (await far.came.get()).write(STREAM + chunk(FRAME))
        await near.reader.readuntil(FRAME + b"\r\n")
        near.writer.write(SOCKET)
        assert await near.rest() == b""
        assert (await over(running)).error == "client_closed"
        await asyncio.wait_for(far.gone.wait(), 10)


async def test_a_request_after_empty_lines_flies_as_well() -> None:
    """RFC 9112 asks to pass over them."""
    async with both() as (far, near, running):
        near.writer.write(b"\r\n\r\n" + post(WARM))
        await near.reader.readuntil(b"{}")
        assert (await over(running)).status == 200
        assert far.heard == []


async def test_a_body_that_is_no_body_is_refused_in_words(way: dict[str, int]) -> None:
    """Its own answer has not begun: there is room for what was wrong."""
    async with both(**way) as (_far, near, running):
        head = post().partition(b"content-length")[0]
        near.writer.write(head + b"transfer-encoding: chunked\r\n\r\nno size\r\n")
        assert (await near.rest()).startswith(b"HTTP/1.1 400 ")
        assert (await over(running)).error == "client_closed"


async def test_a_bug_of_ours_is_told_as_ours() -> None:
    """A client that is told of a mistake of its own does not ask again."""

    class Broken(OpenGate):
        def allow(self, caller: Caller, operation: Operation, route: Route) -> None:
            if route.asked == "small":
                raise RuntimeError("a bug")

    async with both(gatekeeper=Broken()) as (far, near, running):
        near.writer.write(post(b'{"model":"small"}'))
        ((lines, body, whole),) = split(await near.rest())
        assert lines[0] == b"HTTP/1.1 500 Internal Server Error"
        assert whole
        assert b'"code":"internal' in body
        assert far.heard == []
        assert running.inflight.count() == 0

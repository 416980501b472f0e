"""Where the network cuts what is said makes no difference, on a connection that is used on and on.

Every place is tried: each request is one more on the same two connections.
"""

import asyncio
import re
import socket
from typing import Any

import orjson
import pytest

from tests.gateway.lane.both import CHAT, OK, chunk, post, sized, split
from tests.gateway.lane.test_phases import STREAM, Near, both

ODD = post(
    orjson.dumps(CHAT),
    b"Host-Of-Nobody:",
    b"X-Stainless-Lang:  python \t",
    b"Authorization: Bearer no-key",
    b"Connection: keep-alive",
    b"x-a: \xe4",
)
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
ANSWERS = {
    "whole": sized(b'{"a":1}', b"x-b: c"),
    "in chunks": CHUNKED + chunk(b'{"a"') + chunk(b":1}") + b"0\r\n\r\n",
    "a stream": STREAM + chunk(b"data: 1\n\n") + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n",
    "a refusal": sized(b'{"error":{"message":"too long"}}', status=b"400 Bad Request"),
    "a refusal without words": sized(b"", status=b"400 Bad Request"),
    "after a hint": b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + sized(b"{}"),
}


def at_once(writer: asyncio.StreamWriter) -> None:
    sock: Any = writer.get_extra_info("socket")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


async def in_two(writer: asyncio.StreamWriter, wire: bytes, at: int) -> None:
    writer.write(wire[:at])
    for _ in range(4):
        await asyncio.sleep(0)
    writer.write(wire[at:])


async def answer(near: Near) -> tuple[list[bytes], bytes, bool]:
    head = await asyncio.wait_for(near.reader.readuntil(b"\r\n\r\n"), 10)
    length = re.search(rb"content-length: (\d+)", head)
    if length:
        rest = await near.reader.readexactly(int(length[1]))
    else:
        rest = await asyncio.wait_for(near.reader.readuntil(b"0\r\n\r\n"), 10)
    (one,) = split(head + rest)
    return one


async def test_a_request_may_be_cut_anywhere() -> None:
    """In a name, between CR and LF, between head and body: the engine hears the same."""
    async with both() as (far, near, running):
        at_once(near.writer)
        for at in range(1, len(ODD)):
            await in_two(near.writer, ODD, at)
            (await asyncio.wait_for(far.came.get(), 10)).write(sized(b"{}"))
            lines, _, _ = await answer(near)
            assert lines[0] == b"HTTP/1.1 200 OK", ODD[:at]
            await running.passages.get()
        heard = {re.sub(rb"req-\w{14}|127.0.0.1:\d+", b"", one) for one in far.heard}
        assert len(heard) == 1


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_may_be_cut_anywhere(name: str) -> None:
    """A refusal keeps its words, whichever way brings it."""
    wire = ANSWERS[name]
    found = []
    async with both() as (far, near, running):
        for at in range(1, len(wire)):
            near.writer.write(ODD)
            writer = await asyncio.wait_for(far.came.get(), 10)
            at_once(writer)
            await in_two(writer, wire, at)
            lines, body, whole = await answer(near)
            assert whole
            assert body
            found.append((lines, body))
            await running.passages.get()
    assert all(one == found[0] for one in found)

"""The head of an answer goes out together with what follows it, and never later than a turn."""

import asyncio
from typing import Any

from server.web.joined import Joined

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Socket(asyncio.Transport):
    """Remembers what was written, call by call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.calls.append(bytes(data))

    def writelines(self, list_of_data: Any) -> None:
        self.write(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


def joined() -> tuple[Joined, Socket]:
    socket = Socket()
    return Joined(socket, asyncio.get_running_loop()), socket


async def turn() -> None:
    await asyncio.sleep(0)


async def test_a_head_and_its_body_are_one_write() -> None:
    """Small ones copied together, large ones handed over as they are."""
    for body in (b"body", b"x" * 100_000):
        out, socket = joined()
        out.write(HEAD)
        assert not socket.calls
        out.write(body)
        assert socket.calls == [HEAD + body]
        await turn()
        assert socket.calls == [HEAD + body]


async def test_a_head_alone_goes_in_the_next_turn() -> None:
    """A stream whose first chunk is not there yet: the client sees at once that it was heard."""
    out, socket = joined()
    out.write(HEAD)
    await turn()
    assert socket.calls == [HEAD]
    out.write(b"bo")
    out.write(b"dy")
    assert socket.calls == [HEAD, b"bo", b"dy"]


async def test_chunks_of_a_stream_go_in_the_next_turn_and_in_order() -> None:
    """Back to back with those of other streams that were ready in the same turn."""
    out, socket = joined()
    out.write(STREAM)
    out.write(b"1\r\na\r\n")
    assert not socket.calls
    await turn()
    assert socket.calls == [STREAM + b"1\r\na\r\n"]
    out.write(b"1\r\nb\r\n")
    await turn()
    out.write(b"1\r\nc\r\n")
    out.write(b"0\r\n\r\n")
    await turn()
    assert socket.calls[1:] == [b"1\r\nb\r\n", b"1\r\nc\r\n0\r\n\r\n"]


async def test_a_stream_that_never_rests_does_not_pile_up() -> None:
    """Only what was handed to the socket makes it say that it is full."""
    out, socket = joined()
    out.write(STREAM)
    for _ in range(100):
        out.write(b"x" * 10_000)
    assert sum(map(len, socket.calls)) > 900_000


async def test_an_answer_after_a_stream_goes_at_once_again() -> None:
    out, socket = joined()
    out.write(STREAM)
    out.write(b"0\r\n\r\n")
    out.write(HEAD)
    out.write(b"body")
    assert socket.calls == [STREAM + b"0\r\n\r\n" + HEAD + b"body"]


async def test_answers_one_after_the_other_keep_their_order() -> None:
    out, socket = joined()
    for _ in range(3):
        out.write(HEAD)
        out.write(b"body")
    await turn()
    assert b"".join(socket.calls) == (HEAD + b"body") * 3


async def test_a_body_that_looks_like_a_head_is_still_sent_in_order() -> None:
    out, socket = joined()
    out.write(HEAD)
    out.write(HEAD)
    out.write(HEAD)
    out.write(b"end")
    await turn()
    assert b"".join(socket.calls) == HEAD * 3 + b"end"


async def test_closing_sends_what_is_held_and_aborting_does_not() -> None:
    out, socket = joined()
    out.write(HEAD)
    out.close()
    assert socket.calls == [HEAD]
    out, socket = joined()
    out.write(HEAD)
    out.abort()
    await turn()
    assert socket.calls == []


async def test_a_head_for_a_socket_that_closed_meanwhile_is_dropped() -> None:
    out, socket = joined()
    out.write(HEAD)
    socket.closed = True
    await turn()
    assert socket.calls == []

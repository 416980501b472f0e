"""The fast lane and the ordinary way cannot be told apart: the same bytes, lines, passages, counts.

Every case is asked twice, of a gateway with the lane and of one without. Which of them fly is
checked as well, so that the lane is what is compared.
"""

import asyncio
from dataclasses import dataclass

import orjson
import pytest

from tests.gateway.lane.both import (
    BODY,
    LAST,
    OK,
    Say,
    asked,
    chunk,
    post,
    sized,
)
from tests.gateway.made import CHAT

USAGE = {"usage": {"prompt_tokens": 7, "completion_tokens": 3}}
ANSWER = sized(orjson.dumps({"choices": [{"message": {"content": "hi"}}]} | USAGE), b"x-odd: \xe4")
STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
    b"connection: x-hop\r\nx-hop: 1\r\nset-cookie: a=b\r\nX-Case: 2\r\n\r\n"
)
FRAMES = [
    b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"b"}}]}\n\n',
    b"data: " + orjson.dumps({"choices": []} | USAGE) + b"\n\n",
    b"data: [DONE]\n\n",
]
END = b"0\r\n\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
STREAMED = post(orjson.dumps(CHAT | {"stream": True}))


def says(*pieces: bytes, close: bool = False) -> Say:
    """An upstream that writes these, each by itself, and perhaps ends the connection."""

    async def say(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.002 if len(pieces) < 20 else 0)
        if close:
            writer.close()

    return say


WELL = says(ANSWER)


@dataclass
class Case:
    """`flies`: how many of the requests the lane carries to their end, the last one not counted
    (it ends its connection). `lines`: how many are told in the log."""

    wire: tuple[bytes, ...]
    answer: Say = WELL
    flies: int = 1
    lines: int = 2
    pause: float = 0.0


def one(answer: Say, *, flies: int = 1, wire: bytes = b"") -> Case:
    return Case(((wire or post()) + LAST,), answer, flies)


def pieces(wire: bytes, size: int) -> tuple[bytes, ...]:
    return tuple(wire[at : at + size] for at in range(0, len(wire), size))


SAID = {
    "with a length": one(says(ANSWER)),
    "in chunks": one(says(CHUNKED, chunk(b'{"a":'), chunk(b"1}"), END)),
    "nothing": one(says(sized(b""))),
    "byte by byte": one(says(*pieces(ANSWER, 1))),
    "to the end of the connection": one(says(OK + b"\r\n{}", close=True)),
    "twice the same header": one(says(sized(b"{}", b"x-a: 1", b"x-a: 2"))),
    "hints before it": one(says(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + ANSWER)),
    "trailers": one(says(CHUNKED + chunk(b"{}") + b"0\r\nx-late: 1\r\n\r\n")),
    "created": one(says(sized(b"{}", status=b"201 Created"))),
    "no content": one(says(b"HTTP/1.1 204 No Content\r\nx-a: b\r\n\r\n")),
    "elsewhere": one(says(sized(b"{}", b"location: /x", status=b"302 Found"))),
    "its caller's fault": one(says(sized(b'{"error":{"message":"no"}}', status=b"400 No"))),
    "too much": one(says(sized(b"{}", b"retry-after: 7", status=b"429 Slow"))),
    "broken": one(says(sized(b"Traceback", status=b"500 Oh"))),
    "not ready": one(says(sized(b"{}", status=b"503 Wait"))),
    "a header that must not go out": one(says(sized(b"{}", b"x-a: b\x0bc"))),
    "a name that is none": one(says(sized(b"{}", b"x(a: b"))),
    "two lengths": one(says(OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}")),
    "length and chunks": one(says(OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n")),
    "no HTTP": one(says(b"SSH-2.0-x\r\n\r\n", close=True)),
    "nothing at all": one(says(close=True)),
    "half a head": one(says(ANSWER[:30], close=True)),
    "half a body": Case((post(),), says(ANSWER[:-4], close=True), lines=1),
    "half its chunks": Case((post(),), says(CHUNKED + chunk(b"{"), close=True), lines=1),
    "more than its length": one(says(ANSWER + b"HTTP/1.1 200 OK\r\n\r\n")),
    "a large answer": one(says(sized(b"[" + b"1," * 500_000 + b"1]"))),
    "a stream": one(says(STREAM, *map(chunk, FRAMES), END), wire=STREAMED),
    "a stream at once": one(says(STREAM + b"".join(map(chunk, FRAMES)) + END), wire=STREAMED),
    "a long stream": one(says(STREAM, *map(chunk, FRAMES[:1] * 300), END), wire=STREAMED),
    "a stream cut in pieces": one(
        says(*pieces(STREAM + b"".join(map(chunk, FRAMES)) + END, 7)), wire=STREAMED
    ),
    "a stream that breaks": one(says(STREAM, chunk(FRAMES[0]), close=True), wire=STREAMED),
    "a stream that breaks in a frame": one(
        says(STREAM, chunk(FRAMES[0][:9]), close=True), wire=STREAMED
    ),
    "a stream that breaks in a chunk": one(
        says(STREAM, chunk(FRAMES[0])[:-9], close=True), wire=STREAMED
    ),
    "a stream without a word": one(says(STREAM, close=True), wire=STREAMED),
    "a stream with a length that breaks": Case(
        (STREAMED,),
        says(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 99\r\n\r\nx",
            close=True,
        ),
        lines=1,
    ),
}
"""What the upstream says to a plain request."""
# The lane carries what begins with a plain 200; what does not is handed over.
NEVER_BEGUN = (
    *("created", "no content", "elsewhere", "its caller's fault", "too much", "broken"),
    *("not ready", "two lengths", "length and chunks", "no HTTP", "nothing at all", "half a head"),
    *("a header that must not go out", "a name that is none"),
)

ASKED = {
    "twice": Case((post() + post() + LAST,), flies=1, lines=3),
    "one after the other": Case((post(), post() + LAST), flies=2, lines=3, pause=0.05),
    "head by bytes": Case((*pieces(post(), 3), LAST), pause=0.001),
    "head, then body": Case((post()[: -len(BODY)], BODY + LAST), pause=0.01),
    "a body that takes its time": Case((post()[:-9], post()[-9:] + LAST), flies=0, pause=0.08),
    "a length of nothing": Case((post(b"") + LAST,), flies=0),
    "its own id": one(WELL, wire=post(BODY, b"x-request-id: own-1")),
    "an id that is none": one(WELL, wire=post(BODY, b"x-request-id: a b")),
    "many headers": one(WELL, wire=post(BODY, *[b"x-%d: y" % n for n in range(90)])),
    "too many headers": one(WELL, flies=0, wire=post(BODY, *[b"x-%d: y" % n for n in range(120)])),
    "hop by hop": one(WELL, wire=post(BODY, b"keep-alive: 5", b"proxy-connection: a")),
    "kept alive": one(WELL, wire=post(BODY, b"connection: keep-alive")),
    "named by connection": one(WELL, flies=0, wire=post(BODY, b"connection: x-a", b"x-a: 1")),
    "cookies and origin of its own": one(WELL, wire=post(BODY, b"cookie: a=b")),
    "a web page": one(WELL, flies=0, wire=post(BODY, b"origin: http://evil.example")),
    "an engine's other name": one(WELL, wire=post(orjson.dumps(CHAT | {"model": "small"}))),
    "a variant": one(WELL, wire=post(orjson.dumps(CHAT | {"model": "tiny:hot"}))),
    "a model that is not loaded": one(
        WELL, flies=0, wire=post(orjson.dumps(CHAT | {"model": "large"}))
    ),
    "a model that nobody has": one(
        WELL, flies=0, wire=post(orjson.dumps(CHAT | {"model": "none"}))
    ),
    "no model": one(WELL, flies=0, wire=post(b"{}")),
    "no JSON": one(WELL, flies=0, wire=post(b"{")),
    "its model twice": one(WELL, flies=0, wire=post(b'{"model":"tiny","model":"large"}')),
    "text": one(WELL, flies=0, wire=post().replace(b"application/json", b"text/plain")),
    "a form": one(WELL, flies=0, wire=post().replace(b"application/json", b"multipart/form-data")),
    "a charset": one(WELL, flies=0, wire=post().replace(b"/json", b"/json; charset=utf-8")),
    "a query": one(WELL, flies=0, wire=post(path="/v1/chat/completions?a=b")),
    "a slash": one(WELL, flies=0, wire=post(path="/v1/chat/completions/")),
    "embeddings": one(WELL, wire=post(path="/v1/embeddings")),
    "renamed on the way": one(WELL, wire=post(path="/v1/tokenize")),
    "messages": one(
        says(STREAM, chunk(b"event: a\n"), close=True),
        wire=post(orjson.dumps(CHAT | {"stream": True}), path="/v1/messages"),
    ),
    "no such path": one(WELL, flies=0, wire=post(path="/v1/nothing")),
    "in chunks": one(
        WELL,
        flies=0,
        wire=post().split(b"content-length")[0]
        + b"transfer-encoding: chunked\r\n\r\n"
        + chunk(BODY)
        + END,
    ),
    "with a wish to go on": one(WELL, flies=0, wire=post(BODY, b"expect: 100-continue")),
    "an old version": Case((post().replace(b"HTTP/1.1", b"HTTP/1.0"),), flies=0, lines=1),
    "length and chunks": Case((post(BODY, b"transfer-encoding: chunked"),), flies=0, lines=0),
    "a length that is none": Case(
        (post().replace(b"content-length: ", b"content-length: +"),), flies=0, lines=0
    ),
    "a large body": one(WELL, flies=0, wire=post(orjson.dumps(CHAT | {"text": "x" * 100_000}))),
}
"""What is asked; the upstream answers well."""


@pytest.mark.parametrize("name", SAID)
async def test_what_an_upstream_says_arrives_alike(name: str) -> None:
    case = SAID[name]
    await compare(case, 0 if name in NEVER_BEGUN else case.flies)


@pytest.mark.parametrize("name", ASKED)
async def test_what_is_asked_is_answered_alike(name: str) -> None:
    await compare(ASKED[name], ASKED[name].flies)


async def compare(case: Case, flies: int) -> None:
    slow = await asked(case.wire, case.answer, fast=False, lines=case.lines, pause=case.pause)
    fast = await asked(case.wire, case.answer, fast=True, lines=case.lines, pause=case.pause)
    assert fast.answers == slow.answers
    assert fast.heard == slow.heard
    assert fast.lines == slow.lines
    assert fast.passages == slow.passages
    assert fast.counted == slow.counted
    assert slow.flown == 0
    assert fast.flown >= flies

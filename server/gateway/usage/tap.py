"""Looks on while an answer passes, to know what it cost. Changes nothing, delays nothing, raises
nothing; what it cannot read is not counted.

A stream is read by lines. A line with a `usage` object is parsed; of the others it is only seen
whether they carry content, so that an answer without usage is counted by its pieces, and the first
piece is known. How an answer is cut into chunks makes no difference. A JSON answer is parsed at its
end when it is small; of a large one (embeddings) the end is kept, where `usage` stands.

Pure. A chunk of a stream costs half a microsecond.
"""

import json
import re
from dataclasses import replace
from typing import Protocol

import orjson

from server.gateway.model import Operation, Used
from server.gateway.usage.figures import merged, of_usage, used_of

LINE_LIMIT = 1 << 20
"""Longer lines are passed over: the text of an answer repeated at its end may be long."""
WHOLE_LIMIT = 64 << 10
"""Larger JSON answers are not kept whole: a piece of this size from each end is."""
_HEAD = 4 << 10
_NEWLINE = 10
_NO_TEXT = (34, 10, 13)  # a quote, the end of the line
_NOWHERE = b"\n\r"  # in no line, and not at the end of one

_USAGE = re.compile(rb'"usage":[ \t\r\n]*\{')
_CONTENT = re.compile(
    rb'"(?:content|text|reasoning_content|reasoning|arguments|thinking|partial_json)"'
    rb':[ \t]*"[^"\r\n]'
)
_DELTA = re.compile(rb'"(?:delta|content)":[ \t]*"[^"\r\n]')
_DURATION = re.compile(rb'"duration":\s*"?([0-9]{1,9}(?:\.[0-9]{1,12})?)')
# Their events repeat whole texts under `text`; the pieces are under `delta`.
_BY_DELTA = ("/v1/responses", "/v1/audio/")


class Tap(Protocol):
    """`first_token` is True once content has passed; of answers in one piece it stays False."""

    first_token: bool

    def feed(self, chunk: bytes) -> None: ...

    def used(self) -> Used: ...


def make_tap(operation: Operation, content_type: bytes, streaming: bool) -> Tap | None:
    """None where nothing can be told: sound, vectors, text. `streaming`: the answer is SSE,
    whatever else its content type may be."""
    kind = content_type.partition(b";")[0].strip().lower()
    if operation.kinds == ("qdrant",):
        return None
    if streaming or kind == b"text/event-stream":
        by_delta = operation.path.startswith(_BY_DELTA)
        return StreamTap(_DELTA if by_delta else _CONTENT)
    if kind == b"application/json":
        return WholeTap(audio=operation.named or operation.path.startswith("/v1/audio/"))
    return None


class StreamTap:
    """Server-Sent Events, one line of JSON each."""

    __slots__ = (
        "_amid",
        "_carry",
        "_content",
        "_counted",
        "_skipping",
        "_told",
        "_where",
        "first_token",
    )

    def __init__(self, content: re.Pattern[bytes] = _CONTENT) -> None:
        self.first_token = False
        self._content = content
        self._counted = 0
        self._told: Used | None = None
        self._carry = bytearray()  # a line that has not ended yet
        self._skipping = False  # within a line that is too long
        self._amid = False  # either of the two
        self._where = _NOWHERE

    def feed(self, chunk: bytes) -> None:
        # Nearly every chunk is one whole `data:` line and the empty one after it.
        if (
            chunk.find(b"\n") == len(chunk) - 2 <= LINE_LIMIT
            and chunk[:5] == b"data:"
            and chunk[-1] == _NEWLINE
            and not self._amid
        ):
            self._data(chunk)
        else:
            self._pieces(chunk)

    def used(self) -> Used:
        told, counted = self._told or Used(), self._counted
        # A piece is one token or more. What a stream that was cut told first was not the sum yet.
        if counted > (told.completion_tokens or 0):
            return replace(told, completion_tokens=counted, counted=True)
        return told

    # -- inside

    def _data(self, line: bytes) -> None:
        """`line` with the newline that ends it."""
        # Where the last piece was is where this one will be: a quarter of the pattern's cost.
        at = line.find(self._where)
        if at >= 0 and line[at + len(self._where)] not in _NO_TEXT:
            self._counted += 1
        elif (found := self._content.search(line)) is not None:
            self._where = found[0][:-1]
            self._counted += 1
            self.first_token = True
        if b'"usage"' in line and _USAGE.search(line) is not None:
            self._usage(line)

    def _usage(self, line: bytes) -> None:
        try:
            body = orjson.loads(line[5:])
        except orjson.JSONDecodeError:
            return
        self._told = merged(self._told or Used(), used_of(body))

    def _pieces(self, chunk: bytes) -> None:
        lines = chunk.split(b"\n")
        rest = lines.pop()
        for line in lines:
            if self._skipping:
                self._skipping = False
            elif self._carry:
                self._carry += line
                self._line(bytes(self._carry))
                self._carry.clear()
            else:
                self._line(line)
        if not self._skipping:
            self._carry += rest
            if len(self._carry) > LINE_LIMIT:
                self._skipping = True
                self._carry.clear()
        self._amid = self._skipping or bool(self._carry)

    def _line(self, line: bytes) -> None:
        if line[:5] == b"data:" and len(line) <= LINE_LIMIT:
            self._data(line + b"\n")


class WholeTap:
    """One JSON document."""

    __slots__ = ("_audio", "_end", "_head", "_size", "first_token")

    def __init__(self, *, audio: bool = False) -> None:
        self.first_token = False
        self._audio = audio
        self._head = b""
        self._end = bytearray()
        self._size = 0

    def feed(self, chunk: bytes) -> None:
        if len(self._head) < _HEAD:
            self._head += chunk[: _HEAD - len(self._head)]
        self._size += len(chunk)
        if len(chunk) >= WHOLE_LIMIT:
            self._end[:] = chunk[-WHOLE_LIMIT:]
            return
        self._end += chunk
        if len(self._end) > 2 * WHOLE_LIMIT:
            del self._end[:-WHOLE_LIMIT]

    def used(self) -> Used:
        if self._size > WHOLE_LIMIT:
            return self._in_part()
        try:
            body = orjson.loads(self._end)
        except orjson.JSONDecodeError:
            return Used()
        return used_of(body, audio=self._audio)

    def _in_part(self) -> Used:
        found = Used()
        end = bytes(self._end[-WHOLE_LIMIT:])
        last = None
        for last in _USAGE.finditer(end):  # noqa: B007 - the last one is meant
            pass
        if last is not None:
            found = _object_at(end, last.end() - 1)
        if self._audio and found.audio_seconds is None:
            told = _DURATION.search(self._head)
            found = replace(found, audio_seconds=float(told[1]) if told else None)
        return found


def _object_at(text: bytes, start: int) -> Used:
    """The JSON object that begins at `start`, with whatever comes after it left alone."""
    try:
        body, _ = json.JSONDecoder().raw_decode(
            text[start : start + _HEAD].decode("utf-8", "replace")
        )
    except (ValueError, RecursionError):
        return Used()
    return of_usage(body) if isinstance(body, dict) else Used()

"""The head of an answer on the lane: whether it is a plain one, and its bytes. Pure.

Owns that the bytes are those of the ordinary way, where the server puts them together from headers
(`tests/gateway/lane` compares them). What the server would refuse to send is not plain.

An upstream's heads differ in a length and a date: what was made of the last one is used again while
nothing else is another.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from server.gateway.relay import EVENTS
from server.gateway.wire import Header, header, response_headers

_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = b"transfer-encoding: chunked\r\n"
_CLOSE = b"connection: close\r\n"
_LENGTH = b"content-length"
_NOT_IN_NAMES = re.compile(rb'[\x00-\x1f\x7f()<>@,;:\[\]={} \t\\"]')
_NOT_IN_VALUES = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class NotPlain(Exception):
    """The answer is one for the ordinary way."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What all heads have in common that differ in their length and date only. `vary` are the
    places of these in `headers`, `sized` that of the length, when one was told."""

    headers: list[Header]
    vary: tuple[int, ...]
    sized: int | None
    before: bytes
    after: bytes
    kind: bytes
    events: bool

    def fits(self, headers: list[Header]) -> bool:
        if len(headers) != len(self.headers):
            return False
        mine = self.headers.copy()
        for at in self.vary:
            if mine[at][0] != headers[at][0]:
                return False
            mine[at] = headers[at]
        return mine == headers

    def length(self, headers: list[Header]) -> bytes | None:
        """As it is told. Raises `NotPlain` when that is none."""
        if self.sized is None:
            return None
        value = headers[self.sized][1]
        if not value.isdigit():
            raise NotPlain
        return value


def shape(headers: list[Header]) -> Shape:
    """`headers` as the upstream sent them. Raises `NotPlain`."""
    names = [name.lower() for name, _ in headers]
    sized = [at for at, name in enumerate(names) if name == _LENGTH]
    if len(sized) > 1:
        raise NotPlain
    kept = response_headers(headers)
    place = next((at for at, (name, _) in enumerate(kept) if name == _LENGTH), None)
    if (place is None) != (not sized):
        raise NotPlain  # The length is one of those that its connection keeps to itself.
    cut = len(kept) if place is None else place
    kind = header(kept, b"content-type") or b""
    return Shape(
        headers,
        tuple(at for at, name in enumerate(names) if name in {_LENGTH, b"date"}),
        sized[0] if sized else None,
        lines(kept[:cut]),
        lines(kept[cut + 1 :]),
        kind,
        kind.startswith(EVENTS),
    )


def lines(headers: Iterable[Header]) -> bytes:
    """Raises `NotPlain` for a header that must not go out."""
    made = []
    for name, value in headers:
        if _NOT_IN_VALUES.search(value) or _NOT_IN_NAMES.search(name):
            raise NotPlain
        made.append(b"%b: %b\r\n" % (name, value))
    return b"".join(made)


def written(like: Shape, length: bytes | None, ours: bytes, more: bytes, *, closes: bool) -> bytes:
    """The head of a 200. `ours` are the lines before those of the upstream, `more` after them."""
    told = b"" if length is None else b"content-length: %b\r\n" % length
    end = _CLOSE if closes else b""
    return b"%b%b%b%b%b%b%b%b\r\n" % (
        *(_OK, ours, like.before, told, like.after, more, end),
        _CHUNKED if length is None else b"",
    )

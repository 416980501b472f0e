"""A head that is byte for byte the one before it, but for the digits of its length. Pure.

Clients and engines send the same head again and again on one connection. A parser that stands
between two messages makes the same of the same bytes, so what it made of the last one is used again
and it is not asked: it does not notice. That holds for a whole message in one piece only; whatever
is not exactly one head that is known and a body of the length it tells goes through the parser.
"""

import re
from typing import NamedTuple

_LENGTH = re.compile(rb"\r\ncontent-length: ?([1-9][0-9]{0,7})\r\n", re.IGNORECASE)
_DIGITS = 8


class Again(NamedTuple):
    """What stands before the digits, and what behind them, to the end of the head."""

    before: bytes
    behind: bytes

    def body(self, data: bytes) -> bytes | None:
        """The body, when `data` is this head and all of its body, and nothing else."""
        before, behind = self
        if not data.startswith(before):
            return None
        start = len(before)
        end = data.find(b"\r", start, start + _DIGITS + 1)
        if end <= start or not data.startswith(behind, end):
            return None
        digits = data[start:end]
        begin = end + len(behind)
        if not digits.isdigit() or digits[0] == 48 or len(data) - begin != int(digits):
            return None
        return data[begin:]


def known(data: bytes) -> Again | None:
    """Of a message that went through the parser. None: it was not whole, or not alone, or its
    length is told in another way than the usual one."""
    end = data.find(b"\r\n\r\n") + 4
    head = data[:end] if end > 3 else b""
    lengths = list(_LENGTH.finditer(head))
    if len(lengths) != 1 or head.lower().count(b"content-length") != 1:
        return None
    start, stop = lengths[0].span(1)
    again = Again(head[:start], head[stop:])
    return None if again.body(data) is None else again

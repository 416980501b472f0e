"""The head of an answer on the lane: whether it is a plain one, and its bytes. Pure.

Owns that the bytes are those of the ordinary way, where the server puts them together from headers
(`tests/gateway/lane` compares them). What the server would refuse to send is not plain.
"""

import re
from collections.abc import Iterable, Sequence

from server.gateway.wire import Header

CHUNKED = b"transfer-encoding: chunked\r\n"
CLOSE = b"connection: close\r\n"
_OK = b"HTTP/1.1 200 OK\r\n"
_NOT_IN_NAMES = re.compile(rb'[\x00-\x1f\x7f()<>@,;:\[\]={} \t\\"]')
_NOT_IN_VALUES = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


def length_of(headers: Iterable[Header]) -> int | None:
    """What is declared of the body; None: nothing. Raises `ValueError` for what is no plain length.

    Names are lower case.
    """
    found = [value for name, value in headers if name == b"content-length"]
    if not found:
        return None
    if len(found) > 1 or not found[0].isdigit():
        raise ValueError("not one length")
    return int(found[0])


def written(headers: Sequence[Header], *, chunked: bool, closes: bool) -> bytes:
    """The head of a 200. Raises `ValueError` for a header that must not go out."""
    names, values = zip(*headers, strict=True)
    if _NOT_IN_VALUES.search(b"".join(values)) or _NOT_IN_NAMES.search(b"".join(names)):
        raise ValueError("not a header")
    parts = [_OK, *[b"%b: %b\r\n" % pair for pair in headers]]
    if closes:
        parts.append(CLOSE)
    if chunked:
        parts.append(CHUNKED)
    parts.append(b"\r\n")
    return b"".join(parts)

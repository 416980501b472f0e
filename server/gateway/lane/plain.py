"""Whether the head of a request is plain: nothing in it asks for more than to be passed on. Pure.

Owns the list of what keeps a request off the fast lane. Refuses nothing: what is not plain goes the
ordinary way, which knows what to say. The framing was checked by the parser already; here it is
only looked at whether there is any besides one length.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from server.gateway.intake.head import MAX_HEADER_BYTES, MAX_HEADERS
from server.gateway.keys.token import presented
from server.gateway.model import Operation
from server.gateway.operations import OPERATIONS
from server.gateway.wire import JSON, Header

LONGEST = 64 * 1024
"""A larger body takes its time anyway, and its connection may have to be slowed down."""

_PLAIN = {
    operation.path.encode(): operation
    for operation in OPERATIONS.values()
    if operation.body == "json" and operation.methods == ("POST",) and not operation.prefix
}
_NEVER = frozenset({b"expect", b"transfer-encoding", b"upgrade", b"trailer", b"te"})


@dataclass(frozen=True, slots=True)
class Plain:
    """A plain head. `length` of its body, the `key` that it presents, the id it gives itself."""

    operation: Operation
    headers: Sequence[Header]
    length: int
    key: str | None
    request_id: bytes | None


def read(method: bytes, url: bytes, headers: Sequence[Header]) -> Plain | None:
    """None when it is not plain. Names of headers are lower case."""
    operation = _PLAIN.get(url)
    if operation is None or method != b"POST" or len(headers) > MAX_HEADERS:
        return None
    length, kind, size = b"", b"", 0
    request_id: bytes | None = None
    for name, value in headers:
        size += len(name) + len(value)
        if name in _NEVER or (name == b"connection" and value.lower() != b"keep-alive"):
            return None
        if name == b"content-length":
            length = value
        elif name == b"content-type":
            if kind:
                return None
            kind = value
        elif name == b"x-request-id" and request_id is None:
            request_id = value
    if kind != JSON or not length.isdigit() or size > MAX_HEADER_BYTES:
        return None
    declared = int(length)
    if not 0 < declared <= LONGEST:
        return None
    return Plain(operation, headers, declared, presented(headers), request_id)

"""Headers and error bodies as they go over the wire: one mapping from `SparkError` to JSON and SSE.

Pure. Owns what is stripped in each direction and why. Refuses to know where the bytes go.
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from server.base.errors import SparkError

Header = tuple[bytes, bytes]

JSON = b"application/json"
REQUEST_ID = "spark_control.request_id"
"""Key of the request id in an ASGI scope, set by the outermost layer."""
NOTES = "spark_control.notes"
"""Key of the dict in an ASGI scope whose entries end up in the one log line of the request."""
CALLER = "spark_control.caller"
"""Key of the `Caller` in an ASGI scope, where a part of this program asks: no header can set it."""

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"trailers",
        b"transfer-encoding",
        b"upgrade",
    }
)
# The body is sent again whole (length), the engine is another host (host), keys and cookies are
# ours and not the engine's, an error frame must fit into the stream (accept-encoding), and an
# engine that allows every origin must not speak for us (origin).
_REQUEST_ONLY = frozenset(
    {
        b"accept-encoding",
        b"api-key",
        b"authorization",
        b"content-length",
        b"cookie",
        b"expect",
        b"host",
        b"origin",
        b"x-api-key",
        b"x-request-id",
    }
)
_RESPONSE_ONLY = frozenset(
    {b"alt-svc", b"api-version", b"date", b"server", b"set-cookie", b"x-request-id"}
)
_CORS = b"access-control-"
_UNAUTHORIZED = 401


_CONNECTION_ONLY = (b"keep-alive", b"close")
_REQUEST_DROPPED = _HOP_BY_HOP | _REQUEST_ONLY
_RESPONSE_DROPPED = _HOP_BY_HOP | _RESPONSE_ONLY
_IDENTITY = (b"accept-encoding", b"identity")


def header(headers: Iterable[Header], name: bytes) -> bytes | None:
    """The first value of a header; names in an ASGI scope are lower case."""
    for key, value in headers:
        if key == name:
            return value
    return None


def _named_by_connection(headers: Iterable[Header]) -> frozenset[bytes]:
    """Header names that `Connection:` declares to be of this hop only."""
    named: frozenset[bytes] = frozenset()
    for key, value in headers:
        if key == b"connection" and value.lower() not in _CONNECTION_ONLY:
            named |= {token.strip().lower() for token in value.split(b",")}
    return named


def request_headers(headers: Sequence[Header], request_id: str) -> list[Header]:
    """What the upstream is told of the client's headers; names in an ASGI scope are lower case."""
    return [*passed_on(headers), (b"x-request-id", request_id.encode("latin-1"))]


def passed_on(headers: Sequence[Header]) -> list[Header]:
    """`request_headers` without the id."""
    named = _named_by_connection(headers)
    dropped = _REQUEST_DROPPED | named if named else _REQUEST_DROPPED
    kept = [pair for pair in headers if pair[0] not in dropped]
    kept.append(_IDENTITY)
    return kept


_CREDENTIALS = frozenset({b"authorization", b"api-key", b"x-api-key"})


def foreign_credentials(headers: Iterable[Header], ours: bytes) -> list[Header]:
    """Credentials for an upstream whose API is not ours; keys that hold `ours` stay here."""
    return [(name, value) for name, value in headers if name in _CREDENTIALS and ours not in value]


def response_headers(headers: Sequence[Header]) -> list[Header]:
    """What the client is told of the upstream's headers: nothing of the hop, nothing of CORS."""
    kept: list[Header] = []
    for key, value in headers:
        lower = key.lower()
        if lower == b"connection" and value.lower() not in _CONNECTION_ONLY:
            lowered = [(key.lower(), value) for key, value in headers]
            dropped = _RESPONSE_DROPPED | _named_by_connection(lowered)
            return [p for p in lowered if p[0] not in dropped and not p[0].startswith(_CORS)]
        if lower not in _RESPONSE_DROPPED and not lower.startswith(_CORS):
            kept.append((lower, value))
    return kept


def queue_seconds(waited: float) -> Header:
    """How long a request waited before it was let in."""
    return b"x-spark-queue-seconds", f"{waited:.3f}".encode()


def error_body(
    error: SparkError, request_id: str | None, *, anthropic: bool = False
) -> dict[str, Any]:
    """`{"error": …}`. `/v1/messages` clients also look for `"type": "error"` beside it."""
    body: dict[str, Any] = {"error": error.to_dict(request_id)}
    return {"type": "error"} | body if anthropic else body


def error_headers(error: SparkError) -> list[Header]:
    """`Retry-After` in whole seconds, rounded up: asking early would only fail again. With a 401
    the scheme that is asked for, as RFC 9110 demands."""
    headers: list[Header] = []
    if error.status == _UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    if error.retry_after is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(error.retry_after))).encode()))
    return headers


def error_answer(
    error: SparkError, request_id: str | None, *, anthropic: bool = False
) -> tuple[int, list[Header], bytes]:
    """Status, headers and body of an error as JSON."""
    body = orjson.dumps(error_body(error, request_id, anthropic=anthropic))
    headers = [(b"content-type", JSON), (b"content-length", str(len(body)).encode())]
    return error.status, headers + error_headers(error), body


def error_frame(
    error: SparkError, request_id: str | None, *, named: bool = False, whole: bool = True
) -> bytes:
    """One SSE frame that ends a broken stream.

    `named` adds `event: error` for the APIs that name their events. When the upstream broke in
    the middle of a frame (`whole` is False) that frame is closed first, so that ours can be read.
    """
    body = orjson.dumps(error_body(error, request_id, anthropic=named))
    start = b"" if whole else b"\n\n"
    return start + (b"event: error\n" if named else b"") + b"data: " + body + b"\n\n"


_SANE_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")


def sane_request_id(value: bytes | None) -> str | None:
    """The caller's request id when it can stand in a log line and a header, else None."""
    if value is None or not _SANE_ID.fullmatch(value):
        return None
    return value.decode("ascii")

"""What a client is told when an upstream answered with an error status. Pure.

Owns which statuses pass, which become ours, and how much of an upstream's text may be repeated:
what a caller can act on (4xx), on one line, redacted; never what broke inside an engine (5xx).
"""

from typing import Any, TypeGuard

import orjson

from server.base.errors import (
    InvalidRequest,
    InvalidValue,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    SparkError,
    Unavailable,
    UnsupportedMediaType,
    UpstreamError,
    UpstreamTimeout,
)
from server.base.redact import one_line, redact

_LONGEST = 1000
_INTERNALS = ("Traceback (most recent call last)", 'File "/', "site-packages")
_CALLER = {
    400: InvalidRequest,
    404: NotFound,
    413: PayloadTooLarge,
    415: UnsupportedMediaType,
    422: InvalidValue,
    429: RateLimited,
}


def from_upstream(
    status: int, body: bytes, name: str, path: str, retry_after: float | None = None
) -> SparkError:
    """The error for an upstream's `status` (400 and above)."""
    if status in _CALLER:
        said, param = _said(body)
        message = said or f"The engine of {name} refused the request to {path} (status {status})."
        return _CALLER[status](message, param=param, retry_after=retry_after, source=name)
    if status in {408, 504}:
        return UpstreamTimeout(f"The engine of {name} took too long.", source=name)
    if status == 503:
        return Unavailable(
            f"The engine of {name} is not ready to answer.",
            retry_after=retry_after if retry_after is not None else 5.0,
            source=name,
        )
    if status in {401, 403}:
        return UpstreamError(
            f"The engine of {name} asks for a key that Spark Control does not have.", source=name
        )
    return UpstreamError(f"The engine of {name} failed with status {status}.", source=name)


def seconds(value: bytes | None) -> float | None:
    """A `Retry-After` in seconds; the date form is not worth the trouble and is None."""
    return float(value) if value is not None and value.isdigit() and len(value) < 7 else None


def _said(body: bytes) -> tuple[str, str | None]:
    """The message and the parameter in an error, when they are fit to be repeated. Its shape is
    OpenAI's, or FastAPI's `detail`: a text, an object with a message, a list of what is wrong."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "", None
    error = parsed.get("error", parsed) if isinstance(parsed, dict) else None
    if isinstance(error, dict) and "message" not in error and "detail" in error:
        error = error["detail"]
    if isinstance(error, list):
        error = _invalid(error)
    if isinstance(error, str):
        error = {"message": error}
    if not isinstance(error, dict):
        return "", None
    message, param = error.get("message"), error.get("param")
    if not isinstance(message, str) or any(mark in message for mark in _INTERNALS):
        return "", None
    return one_line(redact(message), limit=_LONGEST), param if isinstance(param, str) else None


def _invalid(found: list[Any]) -> dict[str, Any]:
    """The first of several: which field, and what is wrong with it. What was in it is not told."""
    first = found[0] if found else None
    if not isinstance(first, dict) or not isinstance(first.get("msg"), str):
        return {}
    place = first.get("loc")
    names = [str(one) for one in place if one not in {"body", "query"}] if _is_place(place) else []
    field = ".".join(names)[:100]
    return {
        "message": f"{field}: {first['msg']}" if field else first["msg"],
        "param": field or None,
    }


def _is_place(value: Any) -> TypeGuard[list[str | int]]:
    return isinstance(value, list) and all(isinstance(one, str | int) for one in value)

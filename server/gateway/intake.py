"""Reading a request: the bounded JSON body and the model it names.

Owns the limits of what a client may send. Refuses what is not JSON before any engine is asked.
"""

from typing import Any

import orjson
from starlette.types import Receive

from server.base.errors import (
    ClientClosed,
    InvalidRequest,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from server.gateway.wire import Header, header

_LONGEST_NAME = 512


def check_type(headers: list[Header]) -> None:
    """Only JSON: a form or plain text is what a web page of somebody else could send unasked."""
    value = header(headers, b"content-type") or b""
    media = value.split(b";", 1)[0].strip().lower()
    if media != b"application/json" and not (
        media.startswith(b"application/") and media.endswith(b"+json")
    ):
        raise UnsupportedMediaType(
            "The body must be JSON: send it with Content-Type: application/json."
        )


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than the {limit} bytes that are accepted here.")


async def read_body(headers: list[Header], receive: Receive, limit: int) -> bytes:
    """The whole body, at most `limit` bytes; a declared length above that is refused unread."""
    declared = header(headers, b"content-length")
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientClosed("The client left before its request was complete.")
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def parse(body: bytes) -> dict[str, Any]:
    """The body as a JSON object."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(
            f"The body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})."
        ) from None
    if not isinstance(parsed, dict):
        raise InvalidRequest("The body must be a JSON object.")
    return parsed


def model_of(parsed: dict[str, Any]) -> str:
    """The `model` field, which every relayed route needs."""
    name = parsed.get("model")
    if not isinstance(name, str) or not name.strip():
        raise InvalidRequest(
            "`model` must name the model to ask: GET /v1/models lists them.", param="model"
        )
    if len(name) > _LONGEST_NAME:
        raise InvalidRequest(f"`model` is longer than {_LONGEST_NAME} characters.", param="model")
    return name


def renamed(parsed: dict[str, Any], model: str) -> bytes:
    """The body with another model name, everything else as it was."""
    return orjson.dumps(parsed | {"model": model})

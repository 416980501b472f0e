"""What Spark Control itself says on a WebSocket, as far as its client can understand it. Pure.

The realtime API knows events: an `error` before an end, and `spark.queue` while it waits. OpenAI's
own clients pass over an event that they do not know. Others take the first message for
`session.created`, so `spark.queue` goes only to who is one of these or asks for it. All others hear
pings, which no client shows, with the same words.
"""

import math
from collections.abc import Iterable

import orjson

from server.base.errors import SparkError
from server.gateway.model import Operation, Waiting
from server.gateway.wire import Header, header

ASKED = b"x-spark-queue"
_PING_BYTES = 125


def realtime(operation: Operation, path: str) -> bool:
    """Whether OpenAI's events are spoken there."""
    return operation.path == "/v1/realtime" or (operation.named and path.endswith("/realtime"))


def takes_events(headers: Iterable[Header], subprotocols: Iterable[str]) -> bool:
    """A client of OpenAI's, by what it sends, or one that asks (`X-Spark-Queue: events`)."""
    headers = list(headers)
    asked = header(headers, ASKED)
    if asked is not None:
        return asked.strip().lower() == b"events"
    return (
        header(headers, b"openai-beta") is not None
        or b"openai/" in (header(headers, b"user-agent") or b"").lower()
        or "realtime" in subprotocols
    )


def queue_words(waiting: Waiting) -> str:
    """As the comments of a stream that waits."""
    eta = waiting.eta_seconds
    known = "" if eta is None else f" eta={max(0, math.ceil(eta))}"
    return f"queued position={waiting.position}{known}"


def ping(waiting: Waiting) -> bytes:
    return queue_words(waiting).encode()[:_PING_BYTES]


def queue_event(waiting: Waiting, request_id: str, number: int) -> str:
    eta = waiting.eta_seconds
    return orjson.dumps(
        {
            "type": "spark.queue",
            "event_id": f"event_{request_id}_{number}",
            "position": waiting.position,
            "eta_seconds": None if eta is None else round(max(0.0, eta), 1),
        }
    ).decode()


def error_event(error: SparkError, request_id: str) -> str:
    """As OpenAI's, with the fields of our errors beside."""
    body = error.to_dict(request_id) | {"event_id": None}
    if error.retry_after is not None:
        body["retry_after"] = max(1, math.ceil(error.retry_after))
    event = {"type": "error", "event_id": f"event_{request_id}_error", "error": body}
    return orjson.dumps(event).decode()

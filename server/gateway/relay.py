"""One call carried to an engine and its answer carried back, bytes unchanged and at once.

lease held ─ open upstream ─ head ─┬─ status >= 400 ── our error, nothing of theirs but what helps
                                   └─ relay chunks ─┬─ end
                                                    └─ broken: one SSE error frame, then the end
A client that leaves, a drain that ends, a shutdown: `Lease.end` interrupts wherever this is,
the upstream is closed at once, so that the GPU stops, and the lease is released.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive, Send

from server.base.errors import ClientClosed, SparkError
from server.gateway.inflight import Lease
from server.gateway.model import Operation, UpstreamClient, UpstreamRequest, UpstreamResponse
from server.gateway.reply import from_upstream, seconds
from server.gateway.wire import error_frame, header, response_headers

_ERROR_BYTES = 64 * 1024
_FRAME_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


@dataclass(slots=True)
class Exchange:
    """How far an answer got; what the log line and the metrics are made of."""

    started: bool = False
    whole: bool = True
    stream: bool = False
    finished: bool = False
    status: int = 0
    retried: bool = False


async def _watch(receive: Receive, lease: Lease) -> None:
    """The client is gone when its connection says so; nothing else comes after the body."""
    while (await receive())["type"] != "http.disconnect":
        pass
    lease.end(ClientClosed("The client left before the answer was complete."))


async def relay(
    client: UpstreamClient,
    request: UpstreamRequest,
    lease: Lease,
    *,
    operation: Operation,
    receive: Receive,
    send: Send,
    notes: dict[str, Any],
) -> Exchange:
    """Carry one call. Raises a `SparkError` when nothing was sent to the client yet."""
    exchange = Exchange()
    watcher = asyncio.create_task(_watch(receive, lease))
    response: UpstreamResponse | None = None
    try:
        with lease.endable():
            response = await client.open(request)
            exchange.retried = response.retried
            exchange.status = response.status
            if response.status >= 400:
                raise await _refused(response, request, operation, notes)
            await _pass_on(response, exchange, send)
    except SparkError as error:
        if not exchange.started:
            raise
        notes["error"] = error.code
        await _break_off(error, exchange, operation, lease.request_id, send)
    finally:
        if response is not None:
            response.close()
        lease.release()
        watcher.cancel()
        await asyncio.wait({watcher})
    return exchange


async def _refused(
    response: UpstreamResponse,
    request: UpstreamRequest,
    operation: Operation,
    notes: dict[str, Any],
) -> SparkError:
    body = await response.read(_ERROR_BYTES)
    notes["upstream_status"] = response.status
    if response.status >= 500:
        # For whoever runs the engine. Never for 4xx: those texts may repeat what a person wrote.
        notes["upstream_body"] = body[:2000].decode("utf-8", "replace")
    lowered = [(key.lower(), value) for key, value in response.headers]
    return from_upstream(
        response.status,
        body,
        request.name,
        operation.path,
        seconds(header(lowered, b"retry-after")),
    )


async def _pass_on(response: UpstreamResponse, exchange: Exchange, send: Send) -> None:
    headers = response_headers(response.headers)
    kind = header(headers, b"content-type") or b""
    exchange.stream = kind.startswith(b"text/event-stream")
    started = {"type": "http.response.start", "status": response.status, "headers": headers}
    exchange.started = True
    await send(started)
    async for chunk in response.chunks():
        exchange.whole = chunk.endswith(_FRAME_ENDS)
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    exchange.finished = True
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _break_off(
    error: SparkError,
    exchange: Exchange,
    operation: Operation,
    request_id: str,
    send: Send,
) -> None:
    """After the first byte the status is out: a stream gets one frame, anything else is cut.

    Cutting means to return without the end of the body: the server then closes the connection and
    the client sees an incomplete answer instead of a short one that looks whole.
    """
    if isinstance(error, ClientClosed) or not exchange.stream or exchange.finished:
        return
    frame = error_frame(error, request_id, named=operation.named_events, whole=exchange.whole)
    await send({"type": "http.response.body", "body": frame, "more_body": False})

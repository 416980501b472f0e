"""`/api/v1/events`: everything that changes, as it changes."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from server.base.errors import InvalidValue, Unavailable
from server.web.api.views import snapshot
from server.web.reply import API, PartsOf
from server.web.sse import KINDS, EventStream

MAX_READERS = 256


async def events(
    parts: PartsOf, types: Annotated[str | None, Query(max_length=100)] = None
) -> Response:
    """`types` is a comma-separated choice; the snapshot comes first in any case."""
    if parts.bus.subscribers >= MAX_READERS:
        raise Unavailable("Too many readers follow the events already.", retry_after=30)
    kinds = frozenset(kind.strip() for kind in types.split(",")) if types else None
    if kinds is not None and not kinds <= KINDS:
        unknown = ", ".join(sorted(kinds - KINDS))
        raise InvalidValue(
            f"unknown event types: {unknown}; there are {', '.join(sorted(KINDS))}", param="types"
        )
    return EventStream(
        parts.bus,
        lambda: snapshot(parts),
        heartbeat_seconds=parts.heartbeat_seconds,
        kinds=kinds,
    )


def routes() -> APIRouter:
    api = APIRouter(prefix=API, tags=["events"])
    api.add_api_route("/events", events, methods=["GET"], response_class=Response)
    return api

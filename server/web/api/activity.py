"""`/api/v1/activity`: the requests of the last minutes and those under way, from memory."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from server.gateway.activity import KEPT, Filter
from server.web.reply import API, PartsOf, RequesterOf, reply

Id = Annotated[str, Path(max_length=128)]
Text = Annotated[str, Query(max_length=512)]


async def every(
    parts: PartsOf,
    limit: Annotated[int, Query(ge=1, le=KEPT)] = 100,
    model: Text = "",
    client: Text = "",
    status: Annotated[str, Query(max_length=40)] = "",
) -> Response:
    """`in_flight` oldest first, `requests` newest first; the filters are for both."""
    wanted = Filter(model, client, status)
    activity = parts.activity
    return reply(
        {
            "in_flight": [row.to_dict() for row in activity.in_flight(wanted, limit)],
            "requests": [row.to_dict() for row in activity.rows(limit, wanted)],
        }
    )


async def cancel(parts: PartsOf, who: RequesterOf, request_id: Id) -> Response:
    """The caller gets a 403, and what works on its answer stops."""
    return reply(parts.activity.cancel(request_id, requested_by=who).to_dict(), 202)


def routes() -> APIRouter:
    api = APIRouter(prefix=f"{API}/activity", tags=["activity"])
    api.add_api_route("", every, methods=["GET"])
    api.add_api_route("/{request_id:path}/cancel", cancel, methods=["POST"], status_code=202)
    return api

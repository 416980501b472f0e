"""`/api/v1/sessions`: who is logged in, and the end of it."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from server.web.reply import API, PartsOf, reply

Id = Annotated[str, Path(max_length=40)]


async def every(parts: PartsOf) -> Response:
    return reply({"sessions": [one.to_dict() for one in parts.locking.every()]})


async def end(parts: PartsOf, session_id: Id) -> Response:
    """At once, also for what is streaming to it."""
    await parts.locking.end(session_id)
    return Response(status_code=204)


def routes() -> APIRouter:
    api = APIRouter(prefix=API, tags=["sessions"])
    api.add_api_route("/sessions", every, methods=["GET"])
    api.add_api_route("/sessions/{session_id}", end, methods=["DELETE"], status_code=204)
    return api

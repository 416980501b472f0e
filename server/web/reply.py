"""Answers of the JSON API: one way to write JSON, and who is asking."""

from collections.abc import Mapping
from typing import Annotated, Any, cast

import orjson
from fastapi import Depends, Request, Response

from server.base.redact import one_line
from server.web.parts import Parts

API = "/api/v1"


def reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON. Floats that JSON cannot write become null, as everything unknown does."""
    return Response(orjson.dumps(body), status, headers, "application/json")


async def parts_of(request: Request) -> Parts:
    """Not a plain function: FastAPI calls those in a thread, which costs more than the answer."""
    return cast("Parts", request.app.state.parts)


PartsOf = Annotated[Parts, Depends(parts_of)]


async def requester(request: Request) -> str:
    """Who asked, for the history of swaps: `cli`, `browser` or `api`, and the address."""
    agent = request.headers.get("user-agent", "")
    if agent.startswith("spark-control/"):
        kind = "cli"
    elif agent.startswith("Mozilla/"):
        kind = "browser"
    else:
        kind = "api"
    address = request.client.host if request.client else "unknown"
    return one_line(f"{kind} {address}", limit=80)


RequesterOf = Annotated[str, Depends(requester)]

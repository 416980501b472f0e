"""`/api/v1/swaps` and `/api/v1/unload`: asking for a change of model and following it."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from server.base.errors import InvalidValue, Unavailable
from server.swap.log import MOST_LINES
from server.swap.model import OnConflict, Past, State, SwapRecord
from server.web.api.events import MAX_READERS
from server.web.api.views import layout_view, log_view, serving_view
from server.web.log_stream import LogStream
from server.web.reply import API, PartsOf, RequesterOf, reply

FIELDS = (
    "id",
    "model",
    "previous_model",
    "evicted",
    "mode",
    "unloads",
    "state",
    "stage",
    "percent",
    "eta_seconds",
    "requested_by",
    "created_at",
    "started_at",
    "finished_at",
    "cancelled_by",
    "steps",
    "error",
    "findings",
    "log_lines",
)

Id = Annotated[str, Path(max_length=100)]


class SwapRequest(BaseModel):
    """`force` starts even where preflight says that it cannot fit."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(min_length=1, max_length=512)
    on_conflict: OnConflict = "queue"
    force: bool = False


class UnloadRequest(BaseModel):
    """Without a model all that is served is unloaded."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(default=None, min_length=1, max_length=512)


def _accepted(record: SwapRecord) -> Response:
    return reply(record.to_dict(), 202, {"location": f"/api/v1/swaps/{record.id}"})


async def request(parts: PartsOf, who: RequesterOf, body: SwapRequest) -> Response:
    record = await parts.swaps.request(
        body.model, on_conflict=body.on_conflict, force=body.force, requested_by=who
    )
    return _accepted(record)


async def unload(parts: PartsOf, who: RequesterOf, body: UnloadRequest | None = None) -> Response:
    return _accepted(await parts.swaps.unload(body.model if body else None, requested_by=who))


async def history(
    parts: PartsOf,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    before: Annotated[str, Query(max_length=100)] = "",
    state: Annotated[str, Query(max_length=200)] = "",
    model: Annotated[str, Query(max_length=512)] = "",
) -> Response:
    """Newest first. `state` is one or several with commas; `before` is the id of a newer one."""
    records = await parts.swaps.history(limit, Past(before, states(state), model))
    return reply({"swaps": [record.to_dict() for record in records]})


def states(text: str) -> frozenset[State]:
    """Raises `InvalidValue`."""
    known = {one.value: one for one in State}
    asked = [word.strip() for word in text.split(",") if word.strip()]
    odd = [word for word in asked if word not in known]
    if odd:
        raise InvalidValue(f"state: {odd[0][:40]!r} is none of {', '.join(known)}", param="state")
    return frozenset(known[word] for word in asked)


async def current(parts: PartsOf) -> Response:
    """The running swap, those that wait, and what is served meanwhile.

    When none is running the fields of a swap are there and null.
    """
    running = parts.swaps.current()
    body = dict.fromkeys(FIELDS) if running is None else running.to_dict()
    return reply(
        body
        | {
            "queue": [record.to_dict() for record in parts.swaps.queue()],
            "serving": serving_view(parts),
            "layout": layout_view(parts),
        }
    )


async def one(parts: PartsOf, swap_id: Id) -> Response:
    return reply((await parts.swaps.get(swap_id)).to_dict())


async def log(parts: PartsOf, swap_id: Id) -> Response:
    """The engine's lines that this swap has read, as plain text."""
    record = await parts.swaps.get(swap_id)
    kept = await parts.swaps.log(record.id)
    return reply({"id": record.id, "lines": list(kept.texts())})


async def logs(
    parts: PartsOf,
    swap_id: Id,
    *,
    after: Annotated[int, Query(ge=0)] = 0,
    run: Annotated[str, Query(max_length=100)] = "",
    lines: Annotated[int, Query(ge=1, le=MOST_LINES)] = MOST_LINES,
    follow: bool = False,
) -> Response:
    """The same from line `after` on, with colours; a `run` that is not this one's starts anew."""
    record = await parts.swaps.get(swap_id)
    if follow:
        if parts.bus.subscribers >= MAX_READERS:
            raise Unavailable("Too many readers follow already.", retry_after=30)
        return LogStream(parts, record, heartbeat_seconds=parts.heartbeat_seconds, most=lines)
    kept = await parts.swaps.log(record.id)
    return reply(log_view(record, kept, after if run in {"", kept.run} else 0, lines))


async def cancel(parts: PartsOf, who: RequesterOf, swap_id: Id) -> Response:
    return _accepted(await parts.swaps.cancel(swap_id, requested_by=who))


def routes() -> APIRouter:
    api = APIRouter(prefix=API, tags=["swaps"])
    api.add_api_route("/swaps", request, methods=["POST"], status_code=202)
    api.add_api_route("/swaps", history, methods=["GET"])
    api.add_api_route("/swaps/current", current, methods=["GET"])
    api.add_api_route("/swaps/{swap_id}", one, methods=["GET"])
    api.add_api_route("/swaps/{swap_id}/log", log, methods=["GET"])
    api.add_api_route("/swaps/{swap_id}/logs", logs, methods=["GET"])
    api.add_api_route("/swaps/{swap_id}/cancel", cancel, methods=["POST"], status_code=202)
    api.add_api_route("/unload", unload, methods=["POST"], status_code=202)
    return api

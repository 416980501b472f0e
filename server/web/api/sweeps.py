"""`/api/v1/sweeps`: measuring how much a service or model can do at once."""

import base64
import binascii
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from server.base.errors import Conflict, InvalidValue
from server.config.model import Service
from server.gateway.sweep.model import MOST, Wish
from server.gateway.sweep.service import LONGEST, REPEATS, SHORTEST
from server.web.api.services import find
from server.web.api.views import service_view
from server.web.parts import Parts
from server.web.reply import API, PartsOf, RequesterOf, reply

Id = Annotated[str, Path(max_length=100)]


class SweepRequest(BaseModel):
    """`payload` is base64: a JSON body for text kinds, a recording for speech."""

    model_config = ConfigDict(extra="forbid")

    target: str = Field(min_length=1, max_length=512)
    max: int | None = Field(default=None, ge=1, le=MOST)
    seconds: float = Field(default=5.0, ge=SHORTEST, le=LONGEST)
    repeats: int = Field(default=3, ge=1, le=REPEATS)
    quiet: float = Field(default=5.0, ge=0, le=LONGEST)
    latency: float | None = Field(default=None, gt=0)
    payload: str | None = None
    filename: str = Field(default="", max_length=200)

    def wish(self) -> Wish:
        return Wish(
            self.target,
            self.max,
            self.seconds,
            self.repeats,
            self.quiet,
            self.latency,
            None if self.payload is None else _decoded(self.payload),
            self.filename,
        )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise InvalidValue("payload: it must be base64", param="payload") from None


async def start(parts: PartsOf, who: RequesterOf, body: SweepRequest) -> Response:
    """It waits for a quiet window, makes room for anybody who comes, and changes no setting."""
    sweep = await parts.sweeping.start(body.wish(), requested_by=who)
    return reply(sweep.to_dict(), 202, {"location": f"{API}/sweeps/{sweep.id}"})


async def history(
    parts: PartsOf,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    target: Annotated[str, Query(max_length=512)] = "",
) -> Response:
    found = await parts.sweeping.history(100 if target else limit)
    chosen = [one for one in found if not target or one.target == target]
    return reply({"sweeps": [one.to_dict() for one in chosen[:limit]]})


async def one(parts: PartsOf, sweep_id: Id) -> Response:
    return reply((await parts.sweeping.get(sweep_id)).to_dict())


async def adopt(parts: Parts, sweep_id: str) -> Service:
    """Write the proposed cap of a sweep into `config.yaml`; the service as it is then."""
    sweep = await parts.sweeping.get(sweep_id)
    if sweep.knee is None:
        raise Conflict(f"The sweep {sweep.id} proposes nothing: {sweep.state}.")
    service = find(parts, sweep.target)
    changed = service.model_copy(update={"max_in_flight": sweep.knee.cap})
    await parts.settings.replace_service(service.name, changed)
    return changed


async def use(parts: PartsOf, sweep_id: Id) -> Response:
    """Write the proposed cap into `config.yaml`, as `max_in_flight` of the service."""
    return reply(service_view(parts, await adopt(parts, sweep_id)))


async def cancel(parts: PartsOf, sweep_id: Id) -> Response:
    return reply((await parts.sweeping.cancel(sweep_id)).to_dict(), 202)


def routes() -> APIRouter:
    api = APIRouter(prefix=f"{API}/sweeps", tags=["sweeps"])
    api.add_api_route("", start, methods=["POST"], status_code=202)
    api.add_api_route("", history, methods=["GET"])
    api.add_api_route("/{sweep_id}", one, methods=["GET"])
    api.add_api_route("/{sweep_id}/use", use, methods=["POST"])
    api.add_api_route("/{sweep_id}/cancel", cancel, methods=["POST"], status_code=202)
    return api

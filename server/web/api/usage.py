"""`/api/v1/usage`: what was used, by key, model, day or route. Read only."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from server.gateway.usage.model import ANONYMOUS, By, Place, Sums, grouped
from server.gateway.usage.service import KEPT_DAYS
from server.web.parts import Parts
from server.web.reply import API, PartsOf, reply


async def usage(
    parts: PartsOf,
    days: Annotated[int, Query(ge=1, le=KEPT_DAYS)] = 30,
    by: By = "key",
) -> Response:
    """Sums of the last days, today (UTC) included."""
    rows = await parts.usage.rows(days)
    return reply(
        {
            "days": days,
            "by": by,
            "rows": [
                _row(parts, by, name, sums) for name, sums in grouped(rows.items(), by).items()
            ],
            "total": _total(rows).to_dict(),
        }
    )


def _row(parts: Parts, by: By, name: str, sums: Sums) -> dict[str, Any]:
    """A key is told by its name beside its id; the name of none is `anonymous`."""
    told: dict[str, Any] = {by: name or None}
    if by == "key":
        told = {"key_id": None if name == ANONYMOUS else name, "key": _key_name(parts, name)}
    return told | sums.to_dict()


def _key_name(parts: Parts, key_id: str) -> str:
    return ANONYMOUS if key_id == ANONYMOUS else parts.keys.name_of(key_id) or key_id


def _total(rows: dict[Place, Sums]) -> Sums:
    total = Sums()
    for sums in rows.values():
        total.add(sums)
    return total


def routes() -> APIRouter:
    api = APIRouter(prefix=f"{API}/usage", tags=["usage"])
    api.add_api_route("", usage, methods=["GET"])
    return api

"""`/api/v1/backups`: backups of Spark Control itself: made, listed, handed out, checked, restored.

A restore is carried out by the next start. Passphrases come in a body or a header, never in an
address, and are kept nowhere.
"""

import base64
import binascii
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.base.errors import InvalidRequest, InvalidValue
from server.upkeep.backup.seal import LONGEST
from server.web.entry import ARCHIVES, RESTORE
from server.web.reply import API, PartsOf, reply

NO_STORE = {"cache-control": "no-store"}
HEADER = "x-backup-passphrase"
Id = Annotated[str, Path(max_length=64)]
Passphrase = Annotated[str, Field(max_length=LONGEST)]


class NewBackup(BaseModel):
    model_config = ConfigDict(extra="forbid")

    passphrase: Passphrase | None = None


class Restore(BaseModel):
    """`apply`: the next start restores it; else it is only looked at."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, Field(max_length=64)]
    passphrase: Passphrase | None = None
    apply: bool = False


async def every(parts: PartsOf) -> Response:
    """Newest first, with what waits to be restored and when the next one is made."""
    found = await parts.keeping.look()
    staged, restored = parts.keeping.staged(), parts.keeping.restored()
    return reply(
        {
            "backups": [one.to_dict() for one in found],
            "staged": None if staged is None else staged.to_dict(),
            "restored": None if restored is None else restored.to_dict(),
            "schedule": dict(parts.keeping.schedule()),
        }
    )


async def create(parts: PartsOf, body: NewBackup) -> Response:
    made = await parts.keeping.create(body.passphrase or None)
    return reply(made.to_dict(), 201, {"location": f"{API}/backups/{made.id}"})


async def download(parts: PartsOf, backup_id: Id) -> Response:
    """The archive."""
    backup = parts.keeping.get(backup_id)
    return FileResponse(
        parts.keeping.file(backup_id),
        media_type="application/gzip",
        filename=f"spark-control-{backup.name}",
        headers=NO_STORE,
    )


async def delete(parts: PartsOf, backup_id: Id) -> Response:
    await parts.keeping.delete(backup_id)
    return Response(status_code=204)


async def restore(
    request: Request, parts: PartsOf, apply: Annotated[bool, Query()] = False
) -> Response:
    """JSON names a backup that is kept here; an archive as the body is kept first. The answer has
    what a look into it found, and with `apply` what the next start will do."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media in ARCHIVES:
        kept = await parts.keeping.receive(_pieces(request))
        wish = Restore(id=kept.id, passphrase=_passphrase(request), apply=apply)
    else:
        wish = _wish(await request.body())
    if not wish.apply:
        report = await parts.keeping.check(wish.id, wish.passphrase or None)
        return reply({"id": wish.id, "staged": None} | report.to_dict())
    report, staged = await parts.keeping.stage(wish.id, wish.passphrase or None)
    return reply({"id": wish.id, "staged": staged.to_dict()} | report.to_dict(), 202)


async def unstage(parts: PartsOf) -> Response:
    """What waits to be restored is not."""
    await parts.keeping.unstage()
    return Response(status_code=204)


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    async for piece in request.stream():
        if piece:
            yield piece


def _passphrase(request: Request) -> str | None:
    """base64 of UTF-8, because a header holds no more than ASCII."""
    text = request.headers.get(HEADER)
    if not text:
        return None
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise InvalidRequest(f"{HEADER} must be base64 of UTF-8.", param=HEADER) from None


def _wish(body: bytes) -> Restore:
    try:
        return Restore.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise InvalidValue(f"{where}: {first['msg']}", param=where) from None


def routes() -> APIRouter:
    api = APIRouter(prefix=f"{API}/backups", tags=["backups"])
    api.add_api_route("", every, methods=["GET"])
    api.add_api_route("", create, methods=["POST"], status_code=201)
    api.add_api_route(RESTORE.removeprefix(f"{API}/backups"), restore, methods=["POST"])
    api.add_api_route(
        RESTORE.removeprefix(f"{API}/backups"), unstage, methods=["DELETE"], status_code=204
    )
    api.add_api_route("/{backup_id}", download, methods=["GET"])
    api.add_api_route("/{backup_id}", delete, methods=["DELETE"], status_code=204)
    return api

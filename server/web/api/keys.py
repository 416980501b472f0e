"""`/api/v1/keys`: API keys. A secret is in the answer that makes it, and nowhere else, ever."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from server.base.clock import Clock
from server.base.errors import InvalidValue
from server.config.words import ModelName
from server.gateway.keys.model import NAME, NAME_USE, Draft, Key, Minted, Scope
from server.gateway.limits.model import Limits
from server.gateway.model import SwapPolicy
from server.web.parts import Parts
from server.web.reply import API, PartsOf, reply

NO_STORE = {"cache-control": "no-store"}
Ref = Annotated[str, Path(max_length=64)]
Count = Annotated[int, Field(ge=1, le=10**12)]
Seconds = Annotated[float, Field(gt=0, le=10**9, allow_inf_nan=False)]


def _name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError(f"is not a valid name: use {NAME_USE}")
    return value


class LimitsBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    tokens_per_minute: Count | None = None
    tokens_per_day: Count | None = None
    audio_seconds_per_minute: Seconds | None = None
    audio_seconds_per_day: Seconds | None = None


class KeyBody(BaseModel):
    """Everything a person decides about a key. What is left out is as its default says."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, AfterValidator(_name)]
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=3)] = ["gateway"]
    models: Annotated[list[ModelName], Field(max_length=200)] = []
    priority: Annotated[int, Field(strict=True, ge=-100, le=100)] = 0
    max_in_flight: Annotated[int, Field(strict=True, ge=1, le=10_000)] | None = None
    swap: SwapPolicy | None = None
    limits: LimitsBody = LimitsBody()
    expires_at: AwareDatetime | None = None

    def draft(self, clock: Clock, old: datetime | None = None) -> Draft:
        """Raises `InvalidValue` for a new end that has passed already."""
        expires_at = None if self.expires_at is None else self.expires_at.astimezone(UTC)
        if expires_at is not None and expires_at != old and expires_at <= clock.now():
            raise InvalidValue(
                "expires_at is in the past.",
                param="expires_at",
                advice="Name a later time, or revoke the key.",
            )
        return Draft(
            name=self.name,
            scopes=frozenset(self.scopes),
            models=tuple(dict.fromkeys(self.models)),
            priority=self.priority,
            max_in_flight=self.max_in_flight,
            swap=self.swap,
            limits=Limits(**self.limits.model_dump()),
            expires_at=expires_at,
        )


class ChangedKey(KeyBody):
    """`name` may be left out: it stays."""

    name: Annotated[str, AfterValidator(_name)] | None = None  # type: ignore[assignment]


def _view(parts: Parts, key: Key) -> dict[str, Any]:
    return key.to_dict(parts.clock.now())


def _shown_once(parts: Parts, minted: Minted) -> dict[str, Any]:
    return _view(parts, minted.key) | {"key": minted.text}


async def every(parts: PartsOf) -> Response:
    """All keys, revoked ones too, without their secrets."""
    return reply({"keys": [_view(parts, key) for key in parts.keys.every()]})


async def add(parts: PartsOf, body: KeyBody) -> Response:
    minted = await parts.keys.create(body.draft(parts.clock))
    headers = NO_STORE | {"location": f"{API}/keys/{minted.key.id}"}
    return reply(_shown_once(parts, minted), 201, headers)


async def one(parts: PartsOf, key_id: Ref) -> Response:
    return reply(_view(parts, parts.keys.get(key_id)))


async def change(parts: PartsOf, key_id: Ref, body: ChangedKey) -> Response:
    """The whole of it but the secret; a `name` that is left out stays."""
    old = parts.keys.get(key_id)
    whole = body.model_copy(update={"name": body.name or old.name})
    key = await parts.keys.replace(old.id, whole.draft(parts.clock, old.draft.expires_at))
    return reply(_view(parts, key))


async def revoke(parts: PartsOf, key_id: Ref) -> Response:
    await parts.keys.revoke(key_id)
    return Response(status_code=204)


async def rotate(parts: PartsOf, key_id: Ref) -> Response:
    minted = await parts.keys.rotate(key_id)
    return reply(_shown_once(parts, minted), 200, NO_STORE)


def routes() -> APIRouter:
    api = APIRouter(prefix=f"{API}/keys", tags=["keys"])
    api.add_api_route("", every, methods=["GET"])
    api.add_api_route("", add, methods=["POST"], status_code=201)
    api.add_api_route("/{key_id}", one, methods=["GET"])
    api.add_api_route("/{key_id}", change, methods=["PUT"])
    api.add_api_route("/{key_id}", revoke, methods=["DELETE"], status_code=204)
    api.add_api_route("/{key_id}/rotate", rotate, methods=["POST"])
    return api

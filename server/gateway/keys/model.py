"""A key and what it may do. Frozen values."""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, Self, cast

from server.base.clock import iso, parse_iso
from server.gateway.keys.token import shown
from server.gateway.limits.model import Limits
from server.gateway.model import SwapPolicy

Scope = Literal["gateway", "read", "admin"]
SCOPES: tuple[Scope, ...] = ("gateway", "read", "admin")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@+-]{0,62}[A-Za-z0-9]|[A-Za-z0-9]")
NAME_USE = "letters, digits, and between them spaces and . _ @ + -, at most 64"

State = Literal["active", "expired", "revoked"]


@dataclass(frozen=True, slots=True)
class Draft:
    """What a person decides about a key. `models` are ids or aliases of models and names of
    services; empty: all. `swap`: None as the settings say. `expires_at`: None never."""

    name: str
    scopes: frozenset[Scope] = frozenset({"gateway"})
    models: tuple[str, ...] = ()
    priority: int = 0
    max_in_flight: int | None = None
    swap: SwapPolicy | None = None
    limits: Limits = field(default_factory=Limits)
    expires_at: datetime | None = None

    def rules(self) -> dict[str, Any]:
        """All but the name and the end, as it is saved and shown."""
        return {
            "scopes": [scope for scope in SCOPES if scope in self.scopes],
            "models": list(self.models),
            "priority": self.priority,
            "max_in_flight": self.max_in_flight,
            "swap": self.swap,
            "limits": self.limits.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class Key:
    """`digest` is all that is kept of the secret."""

    id: str
    draft: Draft
    digest: str
    created_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None

    @property
    def name(self) -> str:
        return self.draft.name

    def state(self, now: datetime) -> State:
        if self.revoked_at is not None:
            return "revoked"
        expires_at = self.draft.expires_at
        return "expired" if expires_at is not None and expires_at <= now else "active"

    def with_(self, **fields: Any) -> Self:
        return replace(self, **fields)

    def to_dict(self, now: datetime) -> dict[str, Any]:
        """For people: never the digest."""
        return {
            "id": self.id,
            "name": self.name,
            "prefix": shown(self.id),
            "state": self.state(now),
            **self.draft.rules(),
            "created_at": iso(self.created_at),
            "expires_at": iso(self.draft.expires_at),
            "last_used_at": iso(self.last_used_at),
            "revoked_at": iso(self.revoked_at),
        }

    def to_row(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "digest": self.digest,
            "created_at": iso(self.created_at),
            "expires_at": iso(self.draft.expires_at),
            "last_used_at": iso(self.last_used_at),
            "revoked_at": iso(self.revoked_at),
        }

    @classmethod
    def from_row(cls, row: dict[str, Any], rules: dict[str, Any]) -> Self:
        draft = Draft(
            name=row["name"],
            scopes=frozenset(cast("list[Scope]", rules["scopes"])),
            models=tuple(rules["models"]),
            priority=rules["priority"],
            max_in_flight=rules["max_in_flight"],
            swap=rules["swap"],
            limits=Limits(**rules["limits"]),
            expires_at=_moment(row["expires_at"]),
        )
        created_at = parse_iso(row["created_at"])
        last, revoked = _moment(row["last_used_at"]), _moment(row["revoked_at"])
        return cls(row["id"], draft, row["digest"], created_at, last, revoked)


@dataclass(frozen=True, slots=True)
class Minted:
    """A key at the one moment when its secret is known: `text` is shown once and kept nowhere."""

    key: Key
    text: str


def _moment(text: str | None) -> datetime | None:
    return None if text is None else parse_iso(text)

"""A session: what the browser that logged in holds, and what is kept of it. Pure.

The cookie is `<id>.<secret>`: the id finds the row and is in lists, the secret is 32 random bytes
of which a SHA-256 is kept (why that is enough: `server.gateway.keys.token`).
"""

import hmac
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Self

from server.base.clock import iso, parse_iso

COOKIE = "spark_session"
ID_BYTES, SECRET_BYTES = 6, 32
IDLE = timedelta(days=7)
LONGEST = timedelta(days=30)

_COOKIE = re.compile(r"([0-9a-f]{12})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Session:
    """`agent` and `address` are those of the login, for the list that a person looks at."""

    id: str
    digest: str
    created_at: datetime
    last_used_at: datetime
    address: str
    agent: str

    @property
    def expires_at(self) -> datetime:
        return min(self.last_used_at + IDLE, self.created_at + LONGEST)

    def used(self, now: datetime) -> Self:
        return replace(self, last_used_at=now)

    def to_row(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "digest": self.digest,
            "created_at": iso(self.created_at),
            "last_used_at": iso(self.last_used_at),
            "address": self.address,
            "agent": self.agent,
        }

    def to_dict(self) -> dict[str, Any]:
        """For people: never the digest."""
        shown = {key: value for key, value in self.to_row().items() if key != "digest"}
        return shown | {"expires_at": iso(self.expires_at)}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        return cls(
            id=row["id"],
            digest=row["digest"],
            created_at=parse_iso(row["created_at"]),
            last_used_at=parse_iso(row["last_used_at"]),
            address=row["address"],
            agent=row["agent"],
        )


def minted(
    id_bytes: bytes, secret_bytes: bytes, *, now: datetime, address: str, agent: str
) -> tuple[Session, str]:
    """A new session and the text of its cookie, which is kept nowhere."""
    secret = urlsafe_b64encode(secret_bytes).rstrip(b"=").decode()
    session = Session(id_bytes.hex(), _digest(secret), now, now, address, agent)
    return session, f"{session.id}.{secret}"


def split(cookie: str) -> tuple[str, str] | None:
    """Id and secret of a cookie's text, None when it cannot be one of ours."""
    found = _COOKIE.fullmatch(cookie)
    return (found[1], found[2]) if found else None


def is_secret_of(session: Session, secret: str) -> bool:
    return hmac.compare_digest(_digest(secret), session.digest)


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()

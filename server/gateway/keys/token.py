"""The text of a key, `sk-spark-<id>-<secret>`: made, taken apart, found in headers, compared. Pure.

The id is public: it is in lists and logs, and finds the row. The secret is 32 random bytes. It is
kept as one SHA-256, not as argon2 or the like: those exist to make guessing slow where a person
chose the secret, and nobody guesses 256 random bits, however fast a guess is. A slow digest would
only cost every request a tenth of a second. Digests are compared in constant time.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from hashlib import sha256
from typing import NamedTuple

from server.gateway.wire import Header

PREFIX = "sk-spark-"
ID_BYTES = 6
SECRET_BYTES = 32
SUBPROTOCOL = "openai-insecure-api-key."
"""What browsers put before the key in `Sec-WebSocket-Protocol`: they can set no header."""

_TOKEN = re.compile(r"sk-spark-([0-9a-f]{12})-([A-Za-z0-9_-]{43})")
_PREFIX = PREFIX.encode()
_SUBPROTOCOL = SUBPROTOCOL.encode()
_PLACES = frozenset({b"authorization", b"x-api-key", b"api-key", b"sec-websocket-protocol"})


class Token(NamedTuple):
    id: str
    secret: str


def minted(id_bytes: bytes, secret_bytes: bytes) -> Token:
    """From random bytes, `ID_BYTES` and `SECRET_BYTES` of them."""
    secret = urlsafe_b64encode(secret_bytes).rstrip(b"=").decode()
    return Token(id_bytes.hex(), secret)


def written(token: Token) -> str:
    return f"{PREFIX}{token.id}-{token.secret}"


def shown(key_id: str) -> str:
    """How lists name a key: enough to find it in a configuration, nothing to use it by."""
    return f"{PREFIX}{key_id}-…"


def parsed(text: str) -> Token | None:
    found = _TOKEN.fullmatch(text)
    return Token(found[1], found[2]) if found else None


def digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def is_secret_of(secret: str, kept: str) -> bool:
    return hmac.compare_digest(digest(secret), kept)


def is_ours(text: str) -> bool:
    """Whether it claims to be a key of this app. What does not is what clients make up because
    their SDK insists on some key."""
    return text.startswith(PREFIX)


def presented(headers: Iterable[Header]) -> str | None:
    """The key a request carries; of several the one that claims to be ours. None: none at all.

    `Authorization: Bearer`, `x-api-key` (Anthropic), `api-key` (Azure), or the WebSocket
    subprotocol `openai-insecure-api-key.<key>` (browsers). Other schemes, like the Basic of a
    proxy in front, are not ours to read.
    """
    found = b""
    for name, value in headers:
        if name not in _PLACES:
            continue
        key = _key_in(name, value)
        if key.startswith(_PREFIX):
            return key.decode("latin-1")
        found = found or key
    return found.decode("latin-1") if found else None


def _key_in(name: bytes, value: bytes) -> bytes:
    if name == b"authorization":
        return value[7:].strip() if value[:7].lower() == b"bearer " else b""
    if name == b"sec-websocket-protocol":
        offered = (one.strip() for one in value.split(b","))
        key = next((one for one in offered if one.startswith(_SUBPROTOCOL)), b"")
        return key.removeprefix(_SUBPROTOCOL)
    return value.strip()


def without_key(subprotocols: Iterable[str]) -> tuple[str, ...]:
    """The subprotocols that a WebSocket is really about: the key is not for the upstream."""
    return tuple(one for one in subprotocols if not one.startswith(SUBPROTOCOL))

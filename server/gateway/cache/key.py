"""Whether a request may be kept, and under which key. Pure.

The key is made of everything an answer depends on: what is asked for, which upstream answers (its
address and the model it is sent), and the content. Two texts of JSON that mean the same have the
same key; two forms with another boundary or file name as well.

Embeddings are shared by all callers: a vector says no more than the text that its caller sent.
Transcriptions are kept for each caller apart: a hit tells that somebody had this very recording.
A caller is a key; without one, an address.
"""

from hashlib import blake2b
from typing import Any

import orjson

from server.gateway.model import Caller, Route
from server.gateway.wire import Header, header

JSON_ROUTES = frozenset({"/v1/embeddings"})
FORM_ROUTES = frozenset({"/v1/audio/transcriptions", "/v1/audio/translations"})
ROUTES = JSON_ROUTES | FORM_ROUTES

# What says who asks, and not what: two callers' equal texts are one entry.
_ASIDE = frozenset({"user", "metadata", "safety_identifier"})


def wishes(headers: list[Header]) -> frozenset[str]:
    """The words of the caller's `Cache-Control`."""
    value = (header(headers, b"cache-control") or b"").decode("latin-1").lower()
    return frozenset(word.strip().partition("=")[0] for word in value.split(",") if word.strip())


def of_json(body: bytes) -> bytes | None:
    """The canonical form of a body that may be kept, None for one that may not."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(parsed, dict) or parsed.get("stream"):
        return None
    said: dict[str, Any] = {k: v for k, v in parsed.items() if k not in _ASIDE}
    return orjson.dumps(said, option=orjson.OPT_SORT_KEYS)


def certain(temperature: bytes | None, stream: bytes | None) -> bool:
    """Whether a form asks for what is the same every time."""
    if stream is not None and stream.lower() not in {b"", b"false", b"0", b"no"}:
        return False
    try:
        return temperature is None or temperature == b"" or float(temperature) == 0.0
    except ValueError:
        return False


def named(path: str, route: Route, caller: Caller, content: tuple[bytes, ...]) -> str:
    """The digest that an answer is kept under. `content` is all else that it depends on."""
    owner = "" if path in JSON_ROUTES else (caller.key_id or f"address {caller.address}")
    params = orjson.dumps(dict(route.params), option=orjson.OPT_SORT_KEYS)
    whole = blake2b(digest_size=32)
    for part in (
        path.encode(),
        owner.encode(),
        route.pool.encode(),
        route.model.encode(),
        params,
        *content,
    ):
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()

"""Streams that a restart interrupted: what their clients need to go on. Pure.

Owns what is written down of them: how far each was, and what its client chose; never a word that
was said, and of its token only a hash. Refuses what it did not write itself: a file that is none is
no streams.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, cast

import orjson

from server.audio.stream.faces.choice import Choice
from server.audio.stream.inlet import Encoding
from server.audio.stream.model import Setup

MOST = 10_000


@dataclass(frozen=True, slots=True)
class Saved:
    """`client` as in `kept.client_of`; `received` in seconds."""

    token: str
    client: str
    name: str
    sequence: int
    received: float
    choice: Choice


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def written(streams: Iterable[Saved]) -> bytes:
    return orjson.dumps([asdict(one) for one in streams][:MOST])


def read(text: bytes) -> dict[str, Saved]:
    """By the hash of the token."""
    try:
        rows = orjson.loads(text)
        return {row["token"]: _saved(row) for row in rows[:MOST]}
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return {}


def _saved(row: dict[str, Any]) -> Saved:
    choice = dict(row["choice"])
    setup = dict(choice.pop("setup"))
    setup["vocabulary"] = tuple(setup["vocabulary"])
    encoding = cast("Encoding", choice["encoding"])
    return Saved(
        str(row["token"]),
        str(row["client"]),
        str(row["name"]),
        int(row["sequence"]),
        float(row["received"]),
        Choice(Setup(**setup), encoding, int(choice["rate"])),
    )

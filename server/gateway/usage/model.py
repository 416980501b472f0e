"""Sums of use and what they are kept by. Pure values."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Literal, NamedTuple

from server.gateway.model import Passage

ANONYMOUS = "anonymous"
"""Stands for the id of a key where there was none."""
OTHER = "other"

By = Literal["key", "model", "day", "route"]


class Place(NamedTuple):
    """What one row of the table is about; `day` is `2026-11-21`, in UTC."""

    day: str
    key_id: str
    model: str
    route: str


@dataclass(slots=True)
class Sums:
    requests: int = 0
    errors: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    audio_seconds: float = 0.0
    gpu_seconds: float = 0.0
    bytes_in: int = 0
    bytes_out: int = 0

    def count(self, passage: Passage) -> None:
        self.requests += 1
        self.errors += passage.status >= 400 or bool(passage.error)
        self.cost(passage)

    def cost(self, passage: Passage) -> None:
        """What it has cost so far."""
        used = passage.used
        self.prompt_tokens += used.prompt_tokens or 0
        self.completion_tokens += used.completion_tokens or 0
        self.cached_tokens += used.cached_tokens or 0
        self.audio_seconds += used.audio_seconds or 0.0
        self.bytes_in += passage.bytes_in
        self.bytes_out += passage.bytes_out

    def add(self, other: "Sums") -> None:
        for name in FIELDS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def take(self, other: "Sums") -> None:
        """Less what was counted already."""
        for name in FIELDS:
            setattr(self, name, getattr(self, name) - getattr(other, name))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


FIELDS = tuple(field.name for field in fields(Sums))


def day_of(moment: datetime) -> str:
    """`moment` is aware UTC, as the clock gives it."""
    return moment.date().isoformat()


def grouped(rows: Iterable[tuple[Place, Sums]], by: By) -> dict[str, Sums]:
    """Sums by one part of their place; days oldest first, others by requests, most first."""
    part = {"key": 1, "model": 2, "day": 0, "route": 3}[by]
    found: dict[str, Sums] = {}
    for place, sums in rows:
        found.setdefault(place[part], Sums()).add(sums)
    if by == "day":
        return dict(sorted(found.items()))
    return dict(sorted(found.items(), key=lambda one: (-one[1].requests, one[0])))


def joined(rows: Mapping[Place, Sums], more: Mapping[Place, Sums]) -> dict[Place, Sums]:
    """Both, with what is about the same place added up; neither is changed."""
    found: dict[Place, Sums] = {}
    for side in (rows, more):
        for place, sums in side.items():
            found.setdefault(place, Sums()).add(sums)
    return found

"""Frozen values of a sweep and their JSON. Pure."""

from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Literal

from server.base.clock import iso, parse_iso

State = Literal["waiting", "running", "done", "aborted", "cancelled", "failed"]
"""`waiting` for a quiet window; `aborted`: somebody else needed the upstream; `failed`: it could
not be measured (it answers with errors, or there was no quiet window)."""

FINAL = frozenset({"done", "aborted", "cancelled", "failed"})

CEILINGS = {"asr": 3, "diarize": 3}
"""More at once is never measured with these kinds: it is what breaks them."""
DEFAULT_MOST = 8
MOST = 64


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for. `payload` is a body of the caller's own, `filename` its name."""

    target: str
    most: int | None = None
    seconds: float = 5.0
    repeats: int = 3
    quiet: float = 5.0
    latency: float | None = None
    payload: bytes | None = None
    filename: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One stretch of a sweep: `level` in flight. `rate` is requests per second; `latencies` are
    seconds, as they came. `failed` says what broke it, empty when nothing did."""

    level: int
    rate: float
    latencies: tuple[float, ...]
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % confidence interval. `low` and `high` are None when there are too
    few figures to tell."""

    mean: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """What was measured with `level` requests in flight."""

    level: int
    requests: int
    repeats: int
    rate: Interval
    latency: Interval
    slowest: float
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Knee:
    """The proposal. `certain` is False when a smaller cap may do as well, by the figures."""

    cap: int
    best: int
    certain: bool
    rising: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep as it stands. `done` of `runs` stretches are over."""

    id: str
    target: str
    kind: str
    upstream: str
    payload: str
    most: int
    seconds: float
    repeats: int
    requested_by: str
    created_at: datetime
    cap: int | None = None
    state: State = "waiting"
    message: str = ""
    done: int = 0
    runs: int = 0
    finished_at: datetime | None = None
    levels: tuple[Level, ...] = ()
    knee: Knee | None = None
    notes: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        return self.state in FINAL

    def with_(self, **changes: Any) -> "Sweep":
        return replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        body = {field.name: getattr(self, field.name) for field in fields(self)}
        return body | {
            "created_at": iso(self.created_at),
            "finished_at": iso(self.finished_at),
            "levels": [_level_to_dict(level) for level in self.levels],
            "knee": None if self.knee is None else _plain(self.knee),
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> "Sweep":
        finished = body["finished_at"]
        return cls(
            **body
            | {
                "created_at": parse_iso(body["created_at"]),
                "finished_at": parse_iso(finished) if finished else None,
                "levels": tuple(_level_from_dict(level) for level in body["levels"]),
                "knee": Knee(**body["knee"]) if body["knee"] else None,
                "notes": tuple(body["notes"]),
            }
        )


def _plain(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _level_to_dict(level: Level) -> dict[str, Any]:
    return _plain(level) | {"rate": _plain(level.rate), "latency": _plain(level.latency)}


def _level_from_dict(body: dict[str, Any]) -> Level:
    return Level(
        **body | {"rate": Interval(**body["rate"]), "latency": Interval(**body["latency"])}
    )

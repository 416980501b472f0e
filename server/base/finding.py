"""A finding: one thing a doctor or a preflight saw, with what to do about it."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` is stable and snake_case; `message` and `advice` for people; `host`: where seen."""

    code: str
    severity: Severity
    message: str
    advice: str = ""
    host: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

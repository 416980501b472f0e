"""What a key is limited to. Frozen values."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Limits:
    """None: no limit. A day is a day in UTC."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_day: int | None = None
    audio_seconds_per_day: float | None = None
    audio_seconds_per_minute: float | None = None

    def __bool__(self) -> bool:
        return self != NO_LIMITS

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


NO_LIMITS = Limits()

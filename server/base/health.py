"""Up, Down or Unknown(reason). Unknown never becomes false: a timeout is grey, not red."""

from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a probe answers. `reason` is a sentence for people, required unless Up."""

    health: Health
    reason: str = ""

    @classmethod
    def up(cls) -> "Verdict":
        return cls(Health.UP)

    @classmethod
    def down(cls, reason: str) -> "Verdict":
        return cls(Health.DOWN, reason)

    @classmethod
    def unknown(cls, reason: str) -> "Verdict":
        return cls(Health.UNKNOWN, reason)

"""How times are written for people. Pure: now is an argument.

A page shows how long ago something was. The text drawn here is right at the moment of drawing and
stands alone without JavaScript; with it, the page counts on from `at`.
"""

from dataclasses import dataclass
from datetime import datetime

from server.base.clock import iso


@dataclass(frozen=True, slots=True)
class Moment:
    """`at` in UTC ISO 8601, and the age in words."""

    at: str
    ago: str


def ago(seconds: float) -> str:
    """Coarse on purpose: `now`, `12 s ago`, `5 min ago`, `3 h ago`, `2 days ago`."""
    if seconds < 2:
        return "now"
    if seconds < 60:
        return f"{seconds:.0f} s ago"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min ago"
    if seconds < 48 * 3600:
        return f"{seconds // 3600:.0f} h ago"
    return f"{seconds // 86400:.0f} days ago"


def moment(at: datetime | None, now: datetime) -> Moment | None:
    if at is None:
        return None
    return Moment(iso(at) or "", ago((now - at).total_seconds()))

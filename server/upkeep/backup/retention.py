"""Which scheduled backups are kept. Pure.

The newest of each of the last `daily` days that have one, and the newest of each of the last
`weekly` weeks (ISO, UTC) that have one. Days and weeks without a backup do not count, so a machine
that was off for a month does not come back to an empty shelf. The newest is always kept.
"""

from collections.abc import Hashable, Iterable
from datetime import UTC, datetime


def kept(made: Iterable[tuple[str, datetime]], daily: int, weekly: int) -> frozenset[str]:
    """`made`: ids and when they were made. The ids that stay."""
    newest_first = sorted(made, key=lambda one: (one[1], one[0]), reverse=True)
    days: dict[Hashable, str] = {}
    weeks: dict[Hashable, str] = {}
    for name, at in newest_first:
        moment = at.astimezone(UTC)
        days.setdefault(moment.date(), name)
        weeks.setdefault(tuple(moment.isocalendar())[:2], name)
    newest = [name for name, _ in newest_first[:1]]
    return frozenset([*newest, *list(days.values())[:daily], *list(weeks.values())[:weekly]])


def due(newest: datetime | None, started: datetime, every_hours: float) -> datetime | None:
    """When the next scheduled one is to be made; None: never. The first one of a data directory
    comes after a tenth of the interval, when whoever set it up is likely to be done."""
    if every_hours <= 0:
        return None
    seconds = every_hours * 3600
    after, wait = (started, seconds / 10) if newest is None else (newest, seconds)
    return datetime.fromtimestamp(after.timestamp() + wait, UTC)

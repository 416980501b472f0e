"""What this program is and how it fares: version, uptime, disk, database, memory, lag. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from server.base.units import size
from server.web.pages.settings.section import SettingsPage


@dataclass(frozen=True, slots=True)
class Vitals:
    """What can be told of the process and its disk; None where it cannot."""

    version: str
    build: str
    python: str
    system: str
    uptime: str | None
    database: str
    folder: str
    disk_free: int | None
    disk_total: int | None
    database_bytes: int | None
    memory: int | None
    lag_median: float | None
    lag_worst: float | None
    open_files: int | None


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    health: str
    reason: str


@dataclass(frozen=True, slots=True)
class AboutCard:
    """Drawn anew on request: what it tells is measured when it is drawn."""

    template: ClassVar[str] = "settings/about-card.html"

    rows: tuple[tuple[str, str], ...]
    checks: tuple[Check, ...]
    tight: bool


@dataclass(frozen=True, slots=True)
class AboutPage(SettingsPage):
    template: ClassVar[str] = "settings/about.html"

    card: AboutCard


def about_card(vitals: Vitals, checks: Sequence[Check]) -> AboutCard:
    free, total = vitals.disk_free, vitals.disk_total
    rows = (
        ("Version", vitals.version),
        ("Pages", vitals.build or "not built"),
        ("Python", vitals.python),
        ("System", vitals.system),
        ("Running for", vitals.uptime or "–"),
        ("Data directory", vitals.folder),
        ("Free there", f"{size(free)} of {size(total)}" if total else "–"),
        ("Database", f"{vitals.database}, {size(vitals.database_bytes)}"),
        ("Memory in use", size(vitals.memory)),
        ("Event loop late by", _lag(vitals)),
        ("Open files", "–" if vitals.open_files is None else str(vitals.open_files)),
    )
    return AboutCard(rows, tuple(checks), free is not None and free < 1 << 30)


def quantile(buckets: Sequence[tuple[float, float]], share: float) -> float | None:
    """The upper bound of the bucket in which the `share` of all falls; `buckets` are (bound, how
    many up to it), rising. None: nothing measured."""
    total = buckets[-1][1] if buckets else 0
    if not total:
        return None
    return next(bound for bound, count in buckets if count >= share * total)


def _lag(vitals: Vitals) -> str:
    if vitals.lag_median is None or vitals.lag_worst is None:
        return "–"
    return f"{_ms(vitals.lag_median)} mostly, {_ms(vitals.lag_worst)} at times"


def _ms(seconds: float) -> str:
    return "over 1 s" if seconds > 1 else f"at most {seconds * 1000:.3g} ms"

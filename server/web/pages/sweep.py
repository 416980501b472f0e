"""A sweep on the page of its service: how far it is, its drawing, figures, proposal. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import ClassVar, Literal

from server.gateway.sweep.knee import rate, seconds
from server.gateway.sweep.model import CEILINGS, DEFAULT_MOST, MOST, Level, State, Sweep
from server.gateway.sweep.payload import KINDS
from server.web.pages.chart import Chart, chart
from server.web.pages.moment import Moment, moment

Tone = Literal["good", "busy", "bad", "warn", "idle"]

WORDS: Mapping[State, tuple[str, Tone]] = MappingProxyType(
    {
        "waiting": ("Waiting for a quiet moment", "idle"),
        "running": ("Measuring", "busy"),
        "done": ("Done", "good"),
        "aborted": ("Made room for others", "warn"),
        "cancelled": ("Cancelled", "idle"),
        "failed": ("Failed", "bad"),
    }
)


@dataclass(frozen=True, slots=True)
class LevelRow:
    level: int
    rate: str
    latency: str
    slowest: str
    requests: int
    failed: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class SweepCard:
    """`measurable` is False for a kind that has no request to repeat. `now` is what is set. `line`
    is what belongs into config.yaml; `usable` when a button may write it there."""

    template: ClassVar[str] = "sweep/card.html"

    target: str
    measurable: bool
    ceiling: int
    usual: int
    id: str
    label: str
    tone: Tone
    running: bool
    percent: int
    message: str
    payload: str
    by: str
    began: Moment | None
    chart: Chart | None
    rows: tuple[LevelRow, ...]
    notes: tuple[str, ...]
    cap: int | None
    now: str
    line: str
    usable: bool


def sweep_card(
    target: str, kind: str, sweep: Sweep | None, now: datetime, *, cap: int | None, words: str
) -> SweepCard:
    """`cap` is what the service is set to now, `words` say it; `sweep` its last one, None when
    there was none."""
    ceiling = CEILINGS.get(kind, MOST)
    knee = sweep.knee if sweep else None
    label, tone = WORDS[sweep.state] if sweep else ("", "idle")
    proposed = knee.cap if knee else None
    return SweepCard(
        target=target,
        measurable=kind in KINDS,
        ceiling=ceiling,
        usual=min(ceiling, DEFAULT_MOST),
        id=sweep.id if sweep else "",
        label=label,
        tone=tone,
        running=sweep is not None and not sweep.over,
        percent=round(100 * sweep.done / sweep.runs) if sweep and sweep.runs else 0,
        message=sweep.message if sweep else "",
        payload=sweep.payload if sweep else "",
        by=sweep.requested_by if sweep else "",
        began=moment(sweep.created_at, now) if sweep else None,
        chart=chart(sweep.levels, proposed) if sweep else None,
        rows=tuple(_row(one, proposed) for one in sweep.levels) if sweep else (),
        notes=sweep.notes if sweep else (),
        cap=proposed,
        now=words,
        line=f"max_in_flight: {proposed}" if proposed else "",
        usable=proposed is not None and proposed != cap,
    )


def _row(level: Level, chosen: int | None) -> LevelRow:
    measured = level.requests > 0
    return LevelRow(
        level.level,
        rate(level.rate) if measured else "–",
        seconds(level.latency.mean) if measured else "–",
        seconds(level.slowest) if measured else "–",
        level.requests,
        level.failed,
        level.level == chosen,
    )

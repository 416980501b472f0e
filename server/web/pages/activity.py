"""The requests of the last minutes, as rows. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal
from urllib.parse import urlencode

from server.base.units import duration, size
from server.gateway.activity import Filter, Row
from server.web.pages.frame import Page
from server.web.pages.moment import Moment, moment

Tone = Literal["good", "busy", "bad", "warn", "idle"]
SHOWN = 100


@dataclass(frozen=True, slots=True)
class ActivityRow:
    """`figures` is what is known of its times and amounts, in words."""

    id: str
    at: Moment | None
    client: str
    model: str
    route: str
    upstream: str
    label: str
    tone: Tone
    figures: tuple[str, ...]
    stoppable: bool


@dataclass(frozen=True, slots=True)
class ActivityList:
    """`query` is the filter as it stands in an address."""

    template: ClassVar[str] = "activity/list.html"

    query: str
    filtered: bool
    under_way: tuple[ActivityRow, ...]
    ended: tuple[ActivityRow, ...]


@dataclass(frozen=True, slots=True)
class ActivityPage(Page):
    template: ClassVar[str] = "activity/page.html"

    wanted: Filter
    rows: ActivityList


def activity_list(
    under_way: Sequence[Row], ended: Sequence[Row], wanted: Filter, now: datetime
) -> ActivityList:
    return ActivityList(
        query=query(wanted),
        filtered=wanted != Filter(),
        under_way=tuple(activity_row(row, now) for row in under_way),
        ended=tuple(activity_row(row, now) for row in ended),
    )


def query(wanted: Filter) -> str:
    pairs = {"model": wanted.model, "client": wanted.client, "status": wanted.status}
    return urlencode({key: value for key, value in pairs.items() if value})


def activity_row(row: Row, now: datetime) -> ActivityRow:
    label, tone = _state(row)
    return ActivityRow(
        id=row.id,
        at=moment(row.at, now),
        client=row.client if row.client == row.address else f"{row.client} {row.address}".strip(),
        model=row.model or row.asked or "–",
        route=row.route,
        upstream=row.upstream,
        label=label,
        tone=tone,
        figures=tuple(_figures(row)),
        stoppable=row.phase != "ended",
    )


def _state(row: Row) -> tuple[str, Tone]:
    if row.phase != "ended":
        return row.phase, "busy" if row.phase == "running" else "idle"
    tone: Tone = "good" if row.status < 400 else "warn" if row.status < 500 else "bad"
    if row.error == "client_closed":
        tone = "idle"
    elif row.error and row.status < 400:
        # The status was out before the answer ended: it says nothing of how it went.
        return f"{row.status}, cut off: {row.error}", "warn"
    return f"{row.status} {row.error}".strip(), tone


def _figures(row: Row) -> list[str]:
    figures = []
    if row.cached:
        figures.append("kept answer")
    if row.waited is not None and row.waited >= 0.01:
        figures.append(f"waited {seconds(row.waited)}")
    if row.first_token is not None:
        figures.append(f"first token {seconds(row.first_token)}")
    elif row.first_byte is not None:
        figures.append(f"first byte {seconds(row.first_byte)}")
    figures.append(f"{'so far' if row.phase != 'ended' else 'took'} {seconds(row.total)}")
    if row.tokens is not None:
        rate = "" if row.tokens_per_second is None else f" at {row.tokens_per_second:.0f}/s"
        figures.append(f"{row.tokens} tokens{rate}")
    figures.append(f"{size(row.bytes_in)} in, {size(row.bytes_out)} out")
    if row.attempts > 1:
        figures.append(f"{row.attempts} attempts")
    return figures


def seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else duration(value)

"""`events`: the stream of `/api/v1/events`, one line per event, for as long as one likes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import click

from server.cli.inert import one_line
from server.cli.options import Session, verb
from server.cli.output import json_line

KINDS = ("swap", "host", "service", "model", "job", "notice", "snapshot")


@click.command()
@click.option("--type", "kinds", multiple=True, type=click.Choice(KINDS), help="Only these.")
@click.option("--count", type=click.IntRange(1), help="Stop after this many.")
@verb
def events(session: Session, kinds: tuple[str, ...], count: int | None) -> None:
    """Follow what happens. The first event is the snapshot of how things are now."""
    shown = 0
    options = {"headers": {"Accept": "text/event-stream"}, "timeout": None}
    with (
        session.client() as client,
        client.stream("GET", "/api/v1/events", **options) as response,
    ):
        for kind, data in read_events(response.iter_lines()):
            if kinds and kind not in kinds:
                continue
            show(session, kind, data)
            shown += 1
            if count is not None and shown >= count:
                return


def read_events(lines: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """(type, decoded data) of each event; comments and other fields are skipped."""
    kind, data = "message", list[str]()
    for text in lines:
        if text == "":
            if data:
                yield kind, _decode("\n".join(data))
            kind, data = "message", []
            continue
        field, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            kind = value
        elif field == "data":
            data.append(value)


def _decode(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def show(session: Session, kind: str, data: Any) -> None:
    if session.json:
        json_line({"type": kind, "data": data})
    else:
        click.echo(f"{one_line(kind):<9} {describe(kind, data)}")


def describe(kind: str, data: Any) -> str:
    """A short sentence for the kinds that people follow, the data itself for the others."""
    if not isinstance(data, dict):
        return one_line(data, 160)
    if kind == "swap":
        parts = [data.get("id"), data.get("model"), data.get("state"), data.get("stage")]
        percent = data.get("percent")
        parts.append(f"{percent} %" if isinstance(percent, (int, float)) else None)
        return one_line(" ".join(str(part) for part in parts if part not in {None, ""}))
    if kind == "snapshot":
        return one_line(", ".join(sorted(map(str, data))), 160)
    if kind == "notice":
        return one_line(data.get("message", data), 400)
    return one_line(json.dumps(data, ensure_ascii=False), 160)

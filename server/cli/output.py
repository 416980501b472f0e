"""Drawing on the terminal: JSON, tables, findings, bars. Everything from outside passes `inert`.

Owns how things look; decides nothing and asks nobody.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from server.cli.inert import inert, inert_json, one_line

_COLOURS = {
    "ok": "green",
    "up": "green",
    "serving": "green",
    "done": "green",
    "warning": "yellow",
    "rolled_back": "yellow",
    "error": "red",
    "down": "red",
    "failed": "red",
}


def line(text: object = "", *, err: bool = False) -> None:
    """One line or a few, safe to print."""
    click.echo(inert(text), err=err)


def show_json(body: Any) -> None:
    click.echo(inert_json(json.dumps(body, indent=2, ensure_ascii=False)))


def json_line(body: Any) -> None:
    click.echo(inert_json(json.dumps(body, ensure_ascii=False, separators=(",", ":"))))


def word(value: object) -> str:
    """A state, coloured where the terminal has colours."""
    text = one_line(value)
    colour = _COLOURS.get(text)
    return click.style(text, fg=colour) if colour else text


def dash(value: object) -> str:
    """Unknown is drawn as a dash, never as zero or as nothing."""
    return "\N{EN DASH}" if value is None or value == "" else one_line(value)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns as wide as their widest cell; states keep their colour."""
    drawn = [[_cell(value) for value in row] for row in rows]
    widths = [
        max(len(click.unstyle(row[i])) for row in [list(header), *drawn])
        for i in range(len(header))
    ]
    for row in [[click.style(name, dim=True) for name in header], *drawn]:
        cells = [
            cell + " " * (width - len(click.unstyle(cell)))
            for cell, width in zip(row, widths, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return dash(", ".join(map(str, value)))
    text = dash(value)
    return word(text) if text in _COLOURS else text


def findings(items: Iterable[Mapping[str, Any]]) -> None:
    """Draw what a doctor or a preflight saw, each with what to do about it."""
    for item in items:
        severity = one_line(item.get("severity", "unknown"))
        where = f"{one_line(item['host'])}: " if item.get("host") else ""
        padding = " " * (7 - len(severity))
        click.echo(f"{word(severity)}{padding}  {where}{one_line(item.get('message', ''))}")
        if item.get("advice"):
            click.echo(f"         → {one_line(item['advice'])}")


def bar(percent: float, width: int = 28) -> str:
    """`█████▋······`, in eighths."""
    eighths = round(max(0.0, min(100.0, percent)) / 100 * width * 8)
    full, rest = divmod(eighths, 8)
    text = "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
    return text.ljust(width, "·")


def on_terminal() -> bool:
    """Whether progress may be redrawn in place (it goes to stderr)."""
    return sys.stderr.isatty()

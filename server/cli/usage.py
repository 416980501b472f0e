"""`usage`: what was used of the gateway, by key, model, day or route."""

from __future__ import annotations

from typing import Any

import click

from server.base.units import size
from server.cli.client import path
from server.cli.options import Session, verb
from server.cli.output import show_json, table
from server.cli.progress import number

HEADER = (
    *("REQUESTS", "ERRORS", "PROMPT", "ANSWER", "CACHED"),
    *("AUDIO S", "GPU S", "SENT", "RECEIVED"),
)
COUNTS = ("requests", "errors", "prompt_tokens", "completion_tokens", "cached_tokens")
SECONDS = ("audio_seconds", "gpu_seconds")
BYTES = ("bytes_in", "bytes_out")


@click.command()
@click.option(
    "--by",
    type=click.Choice(["key", "model", "day", "route"]),
    default="key",
    show_default=True,
    help="What to sum by.",
)
@click.option("--days", type=click.IntRange(1, 400), default=30, show_default=True)
@verb
def usage(session: Session, by: str, days: int) -> None:
    """Requests, tokens, audio, GPU seconds of the last days."""
    with session.client() as client:
        answer = client.get_object(path("usage"), days=days, by=by)
        found = client.as_list(answer, "rows")
    if session.json:
        show_json(answer)
        return
    total = answer.get("total")
    rows = [[row.get(by), *_figures(row)] for row in found]
    if isinstance(total, dict):
        rows.append(["total", *_figures(total)])
    table((by.upper(), *HEADER), rows)


def _figures(row: dict[str, Any]) -> list[object]:
    return [
        *(row.get(name) for name in COUNTS),
        *(_seconds(row.get(name)) for name in SECONDS),
        *(size(number(row.get(name))) for name in BYTES),
    ]


def _seconds(value: Any) -> str | None:
    amount = number(value)
    return None if amount is None else f"{amount:.0f}"

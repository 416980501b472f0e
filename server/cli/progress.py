"""Watching a swap: one line redrawn in place on a terminal, one line per stage anywhere else.

Owns the loop that asks `GET /api/v1/swaps/{id}` until the swap has ended. A swap goes on without
its watcher, so a lost connection is waited out, not taken for a failure.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from typing import Any

import click

from server.base.units import duration
from server.cli.client import Client, path
from server.cli.errors import UnreachableError
from server.cli.inert import one_line
from server.cli.output import bar, on_terminal

FINAL = frozenset({"serving", "unloaded", "rolled_back", "failed", "cancelled"})
POLL_SECONDS = 0.3
PATIENCE_SECONDS = 60.0


class Drawing:
    """Progress on stderr, so that stdout stays the answer."""

    def __init__(self, live: bool, echo: Callable[..., None] = click.echo) -> None:
        self._live = live
        self._echo = echo
        self._shown = ""

    def show(self, record: dict[str, Any]) -> None:
        state = one_line(record.get("state", "?"), 20)
        stage = one_line(record.get("stage") or "", 40)
        what = state if stage in {"", state} else f"{state}: {stage}"
        if self._live:
            percent = number(record.get("percent")) or 0.0
            eta = number(record.get("eta_seconds"))
            left = "" if eta is None else f"  about {duration(eta)} left"
            self._redraw(f"{bar(percent)} {percent:5.1f} %  {what}{left}")
        elif what != self._shown:
            self._echo(what, err=True)
            self._shown = what

    def note(self, text: str) -> None:
        """Something that is not progress, such as a lost connection."""
        if self._live:
            self._redraw(text)
        elif text != self._shown:
            self._echo(text, err=True)
            self._shown = text

    def clear(self) -> None:
        if self._live and self._shown:
            self._echo("\r\x1b[K", nl=False, err=True)
            self._shown = ""

    def _redraw(self, text: str) -> None:
        width = shutil.get_terminal_size((100, 24)).columns
        self._echo(f"\r{text[: width - 1]}\x1b[K", nl=False, err=True)
        self._shown = text


def number(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def watch(
    client: Client,
    swap_id: str,
    *,
    drawing: Drawing | None = None,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Draw until the swap has ended; returns its last record."""
    drawing = drawing or Drawing(on_terminal())
    lost_since: float | None = None
    try:
        while True:
            try:
                record = client.get_object(path("swaps", swap_id))
                lost_since = None
            except UnreachableError:
                lost_since = lost_since if lost_since is not None else monotonic()
                if monotonic() - lost_since > PATIENCE_SECONDS:
                    raise
                drawing.note("connection lost; the swap goes on without us, asking again …")
                sleep(1.0)
                continue
            drawing.show(record)
            if record.get("state") in FINAL:
                return record
            sleep(POLL_SECONDS)
    finally:
        drawing.clear()

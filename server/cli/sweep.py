"""`sweep`: measure how much a service or model can do at once, and what cap that proposes."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from server.cli.client import Client, path
from server.cli.errors import FAILURE, INTERRUPTED, USAGE, CliError
from server.cli.inert import one_line
from server.cli.options import Session, verb
from server.cli.output import bar, line, on_terminal, show_json, table
from server.cli.progress import Drawing, number

FINAL = frozenset({"done", "aborted", "cancelled", "failed"})
POLL_SECONDS = 0.3
LARGEST = 700_000
HEADER = ("AT ONCE", "REQUESTS/S", "95 %", "MEDIAN", "SLOWEST", "REQUESTS", "THROUGHPUT")


@click.command()
@click.argument("target", metavar="SERVICE|MODEL")
@click.option("--max", "most", type=click.IntRange(1, 64), help="How many at once, at most.")
@click.option("--seconds", default=5.0, show_default=True, help="How long each level is measured.")
@click.option("--repeats", default=3, show_default=True, type=click.IntRange(1, 20))
@click.option("--quiet", default=5.0, show_default=True, help="Seconds without other requests.")
@click.option("--latency", type=float, help="Propose no cap with a median above these seconds.")
@click.option(
    "--payload",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What to send: a recording for speech, a JSON body for the rest.",
)
@click.option("--no-wait", is_flag=True, help="Only ask for it; print its id.")
@verb
def sweep(
    session: Session,
    target: str,
    *,
    most: int | None,
    seconds: float,
    repeats: int,
    quiet: float,
    latency: float | None,
    payload: Path | None,
    no_wait: bool,
) -> int:
    """Find out how much at once brings the most.

    Waits until nobody uses SERVICE (or MODEL), then keeps 1, 2, 3, … requests in flight for a few
    seconds each, in mixed order. Ends as soon as anybody else needs it. Ctrl-C cancels it. Changes
    no setting.
    """
    body: dict[str, Any] = {
        "target": target,
        "max": most,
        "seconds": seconds,
        "repeats": repeats,
        "quiet": quiet,
        "latency": latency,
        **_file(payload),
    }
    given = {key: value for key, value in body.items() if value is not None}
    with session.client() as client:
        record = client.as_object(client.post(path("sweeps"), given))
        if no_wait:
            show_json(record) if session.json else line(record.get("id"))
            return 0
        try:
            record = watch(client, record)
        except KeyboardInterrupt:
            client.post(path("sweeps", str(record.get("id")), "cancel"))
            line("Cancelled.", err=True)
            return INTERRUPTED
    show_json(record) if session.json else explain(record)
    return 0 if record.get("state") == "done" else FAILURE


def _file(payload: Path | None) -> dict[str, str]:
    if payload is None:
        return {}
    content = payload.read_bytes()
    if len(content) > LARGEST:
        raise CliError(f"{payload.name} is larger than {LARGEST} bytes: use a shorter one", USAGE)
    return {"payload": base64.b64encode(content).decode("ascii"), "filename": payload.name}


def watch(
    client: Client, record: dict[str, Any], sleep: Callable[[float], None] = time.sleep
) -> dict[str, Any]:
    """Draw until the sweep is over; returns its last record."""
    drawing = Drawing(on_terminal())
    try:
        while record.get("state") not in FINAL:
            runs, done = number(record.get("runs")) or 0.0, number(record.get("done")) or 0.0
            percent = 100 * done / runs if runs else 0.0
            message = one_line(record.get("message") or "", 60)
            drawing.show(
                {"state": record.get("state"), "stage": message, "percent": round(percent, 1)}
            )
            sleep(POLL_SECONDS)
            record = client.get_object(path("sweeps", str(record.get("id"))))
    finally:
        drawing.clear()
    return record


def explain(record: dict[str, Any]) -> None:
    """The figures as a table with a small drawing, then what they mean."""
    levels = [one for one in record.get("levels") or () if isinstance(one, dict)]
    knee = record.get("knee") if isinstance(record.get("knee"), dict) else {}
    best = max((_mean(one.get("rate")) for one in levels), default=0.0)
    if levels:
        table(HEADER, [row(one, best, chosen=_cap(knee)) for one in levels])
    line(record.get("message"))
    for note in record.get("notes") or ():
        line(note)
    cap = _cap(knee)
    if cap is not None:
        line(f"For config.yaml, in services, at {one_line(record.get('target'))}:")
        line(f"  max_in_flight: {cap}")


def _cap(knee: Any) -> int | None:
    cap = knee.get("cap") if isinstance(knee, dict) else None
    return cap if isinstance(cap, int) else None


def row(level: dict[str, Any], best: float, *, chosen: int | None) -> list[object]:
    rate = level.get("rate")
    mean = _mean(rate)
    if not level.get("requests"):
        return [level.get("level"), None, None, None, None, 0, level.get("failed")]
    mark = " ◀" if level.get("level") == chosen else ""
    return [
        level.get("level"),
        f"{mean:.3g}",
        _interval(rate),
        _time(_mean(level.get("latency"))),
        _time(number(level.get("slowest")) or 0.0),
        level.get("requests"),
        (bar(100 * mean / best, 20) if best else "") + mark,
    ]


def _mean(interval: Any) -> float:
    return (number(interval.get("mean")) if isinstance(interval, dict) else None) or 0.0


def _interval(interval: Any) -> str | None:
    low, high = (number(interval.get(key)) for key in ("low", "high"))
    return None if low is None or high is None else f"{max(0.0, low):.3g} to {high:.3g}"


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"

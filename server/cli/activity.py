"""`activity`: the requests of the last minutes and those under way."""

from __future__ import annotations

from typing import Any

import click

from server.base.units import duration
from server.cli.client import path
from server.cli.options import Session, verb
from server.cli.output import dash, line, show_json, table
from server.cli.progress import number

HEADER = ("AT", "STATE", "CLIENT", "MODEL", "UPSTREAM", "WAITED", "FIRST", "TOOK", "TOKENS", "/S")


@click.command()
@click.option("--limit", default=30, show_default=True, type=click.IntRange(1, 1000))
@click.option("--model", help="Only those for this model or service.")
@click.option("--client", help="Only those of this key or address.")
@click.option("--status", help="Only those that ended like this: 200, 4xx, queue_full …")
@click.option("--cancel", metavar="ID", help="End this request, waiting or running.")
@verb
def activity(
    session: Session,
    limit: int,
    *,
    model: str | None,
    client: str | None,
    status: str | None,
    cancel: str | None,
) -> None:
    """The requests under way, and the last ones, newest first."""
    with session.client() as asked:
        if cancel is not None:
            answer = asked.post(path("activity", cancel, "cancel"))
            show_json(answer) if session.json else line(f"Ended {cancel}.")
            return
        answer = asked.get_object(
            path("activity"), limit=limit, model=model, client=client, status=status
        )
    if session.json:
        show_json(answer)
        return
    under_way = asked.as_list(answer, "in_flight")
    requests = asked.as_list(answer, "requests")
    if not under_way and not requests:
        line("No requests yet.")
        return
    table(HEADER, [row(one) for one in [*under_way, *requests]])
    for one in under_way:
        line(f"{dash(one.get('id'))}: {dash(one.get('phase'))}; --cancel ends it")


def row(one: dict[str, Any]) -> list[object]:
    """One request as cells. What is not known stays a dash."""
    rate = number(one.get("tokens_per_second"))
    return [
        one.get("at"),
        one.get("status") or one.get("phase"),
        one.get("client"),
        one.get("model") or one.get("asked"),
        one.get("upstream"),
        _seconds(one.get("waited")),
        _seconds(one.get("first_token") or one.get("first_byte")),
        _seconds(one.get("total")),
        one.get("tokens"),
        None if rate is None else f"{rate:.0f}",
    ]


def _seconds(value: object) -> str | None:
    amount = number(value)
    if amount is None:
        return None
    return f"{amount * 1000:.0f} ms" if amount < 1 else duration(amount)

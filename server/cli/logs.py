"""`logs`: the newest lines of the engine, of any container on a host, of a configured service."""

from __future__ import annotations

from typing import Any

import click

from server.cli.client import Client, path
from server.cli.errors import CliError
from server.cli.names import HOST, SERVICE, SWAP
from server.cli.options import Session, verb
from server.cli.output import line, show_json


@click.command()
@click.argument("host", required=False, shell_complete=HOST)
@click.option("--container", help="On HOST; default: the engine's own.")
@click.option("--service", shell_complete=SERVICE, help="Of a configured service.")
@click.option("--swap", "swap_id", shell_complete=SWAP, help="What that swap has read.")
@click.option("--lines", default=200, show_default=True, type=click.IntRange(1, 10000))
@verb
def logs(session: Session, host: str | None, **place: Any) -> None:
    """The newest log lines of the engine, a container on HOST, or a service."""
    named = [value for value in (host, place["service"], place["swap_id"]) if value is not None]
    if len(named) > 1:
        raise click.UsageError("Choose one: a HOST, --service or --swap.")
    if place["container"] is not None and host is None:
        raise click.UsageError("--container needs the HOST it runs on.")
    with session.client() as client:
        answer = _fetch(client, host, **place)
    if session.json:
        show_json(answer)
        return
    for text in texts(answer):
        line(text)


def _fetch(
    client: Client,
    host: str | None,
    *,
    container: str | None,
    service: str | None,
    swap_id: str | None,
    lines: int,
) -> Any:
    if service is not None:
        return client.get(path("services", service, "logs"), lines=lines)
    if host is None and swap_id is None:
        swap_id, host = _engine(client)
    if swap_id is not None:
        answer = client.get_object(path("swaps", swap_id, "log"))
        return answer | {"lines": texts(answer)[-lines:]}
    return client.get(path("hosts", str(host), "logs"), container=container, lines=lines)


def _engine(client: Client) -> tuple[str | None, str | None]:
    """The swap under way, else the host where the model is served."""
    body = client.get_object(path("swaps", "current"))
    if body.get("id"):
        return str(body["id"]), None
    serving = body.get("serving")
    if not isinstance(serving, dict) or not serving.get("host"):
        raise CliError("Nothing is being served or swapped in. Say where: a HOST or --service.")
    return None, str(serving["host"])


def texts(answer: Any) -> list[str]:
    lines = answer.get("lines") if isinstance(answer, dict) else None
    return [str(text) for text in lines] if isinstance(lines, list) else []

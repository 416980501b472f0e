"""`logs`: the newest lines of a container on a host, or of a configured service."""

from __future__ import annotations

from typing import Any

import click

from server.cli.client import path
from server.cli.names import HOST, SERVICE
from server.cli.options import Session, verb
from server.cli.output import line, show_json


@click.command()
@click.argument("host", required=False, shell_complete=HOST)
@click.option("--container", help="Default: the engine's own.")
@click.option("--service", shell_complete=SERVICE, help="Of a configured service instead.")
@click.option("--lines", default=200, show_default=True, type=click.IntRange(1, 10000))
@verb
def logs(
    session: Session, host: str | None, *, container: str | None, service: str | None, lines: int
) -> None:
    """The newest log lines of a container on HOST, or of --service NAME."""
    if (host is None) == (service is None):
        raise click.UsageError("Say where: a HOST, or --service NAME.")
    if service is not None and container is not None:
        raise click.UsageError("--container belongs to a HOST; a service knows its container.")
    with session.client() as client:
        if service is not None:
            answer = client.get(path("services", service, "logs"), lines=lines)
        else:
            place = path("hosts", str(host), "logs")
            answer = client.get(place, container=container, lines=lines)
    if session.json:
        show_json(answer)
        return
    for text in texts(answer):
        line(text)


def texts(answer: Any) -> list[str]:
    """`{"lines": […]}` or `{"log": "…"}`."""
    if isinstance(answer, dict):
        answer = answer.get("lines", answer.get("log", ""))
    if isinstance(answer, list):
        return [str(item) for item in answer]
    return str(answer).splitlines()

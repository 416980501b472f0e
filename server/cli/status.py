"""`status`: one look at everything: what is served, what is being swapped, hosts, services."""

from __future__ import annotations

from typing import Any

import click

from server.base.units import duration
from server.cli.client import path
from server.cli.hosts import HEADER, row
from server.cli.inert import one_line
from server.cli.options import Session, verb
from server.cli.output import dash, line, show_json, table
from server.cli.progress import FINAL, number


@click.command()
@verb
def status(session: Session) -> None:
    """What is served, what is being swapped, how the hosts are."""
    with session.client() as client:
        swap = client.get(path("swaps", "current"))
        hosts = client.get_list(path("hosts"), "hosts")
        services = client.get_list(path("services"), "services")
    if session.json:
        show_json({"swap": swap, "hosts": hosts, "services": services})
        return
    _serving(swap if isinstance(swap, dict) else {})
    line()
    table(HEADER, [row(host) for host in hosts])
    if services:
        line()
        table(
            ["SERVICE", "STATE", "KIND", "HOST", "PORT", "WHY"],
            [
                [s.get(k) for k in ("name", "health", "kind", "host", "port", "reason")]
                for s in services
            ],
        )


def _serving(body: dict[str, Any]) -> None:
    """The running swap (fields null when there is none), what is served, `queue`, as sentences."""
    serving, queue = body.get("serving"), body.get("queue")
    layout = body.get("layout")  # an older server tells only the newest
    served = layout if isinstance(layout, list) else [serving]
    for one in filter(lambda found: isinstance(found, dict), served):
        model, host = one_line(one.get("model")), dash(one.get("host"))
        line(f"Serving {model} on {host} since {dash(one.get('since'))}")
    if not any(isinstance(one, dict) for one in served):
        line("Nothing is being served")
    if body.get("id") and body.get("state") not in FINAL:
        eta = number(body.get("eta_seconds"))
        left = "" if eta is None else f", about {duration(eta)} left"
        line(
            f"Swapping to {dash(body.get('model') or 'nothing (unload)')}: "
            f"{dash(body.get('stage') or body.get('state'))}, "
            f"{dash(body.get('percent'))} %{left}"
        )
    waiting = [item for item in queue if isinstance(item, dict)] if isinstance(queue, list) else []
    if waiting:
        line("Waiting: " + ", ".join(dash(item.get("model")) for item in waiting))

"""`services`: what stands beside the engine, and telling one to start, stop or restart."""

from __future__ import annotations

import time
from typing import Any

import click

from server.cli.client import Client, path
from server.cli.errors import FAILURE
from server.cli.names import SERVICE
from server.cli.options import Session, common, verb
from server.cli.output import line, show_json, table

POLL_SECONDS = 0.3
HEADER = ("SERVICE", "STATE", "KIND", "HOST", "PORT", "UNDER WAY", "WAITING", "SINCE", "WHY")
CELLS = ("name", "health", "kind", "host", "port", "in_flight", "waiting", "since", "reason")
PAST = {"start": "Started", "stop": "Stopped", "restart": "Restarted"}


@click.group()
@common
def services() -> None:
    """List services; start, stop and restart one."""


@services.command("list")
@verb
def list_services(session: Session) -> None:
    """Every service: how it is, since when, what it does."""
    with session.client() as client:
        answer = client.get(path("services"))
        found = client.as_list(answer, "services")
    if session.json:
        show_json(answer)
        return
    table(HEADER, [[one.get(key) for key in CELLS] for one in found])


@services.command("start")
@click.argument("name", shell_complete=SERVICE)
@click.option("--no-wait", is_flag=True, help="Ask, and do not wait until it is done.")
@verb
def start(session: Session, name: str, *, no_wait: bool) -> int:
    """Start the container of the service NAME."""
    return _tell(session, name, "start", wait=not no_wait)


@services.command("stop")
@click.argument("name", shell_complete=SERVICE)
@click.option("--no-wait", is_flag=True, help="Ask, and do not wait until it is done.")
@verb
def stop(session: Session, name: str, *, no_wait: bool) -> int:
    """Stop the container of the service NAME; its requests under way fail."""
    return _tell(session, name, "stop", wait=not no_wait)


@services.command("restart")
@click.argument("name", shell_complete=SERVICE)
@click.option("--no-wait", is_flag=True, help="Ask, and do not wait until it is done.")
@verb
def restart(session: Session, name: str, *, no_wait: bool) -> int:
    """Stop and start the container of the service NAME."""
    return _tell(session, name, "restart", wait=not no_wait)


def _tell(session: Session, name: str, what: str, *, wait: bool) -> int:
    """The exit status."""
    with session.client() as client:
        body = client.post(path("services", name, what))
        if wait:
            body = _ended(client, name, body)
    told = _act(body)
    if session.json:
        show_json(body)
    elif told.get("error"):
        line(" ".join(filter(None, (str(told["error"]), str(told.get("advice") or "")))), err=True)
    else:
        line(f"{PAST[what]} {name}." if wait else f"Asked {name} to {what}.")
    return FAILURE if told.get("error") else 0


def _ended(client: Client, name: str, body: Any) -> Any:
    """It ends by itself: the server gives docker two minutes."""
    while (told := _act(body)) and not told.get("ended_at"):
        time.sleep(POLL_SECONDS)
        body = client.get_object(path("services", name))
    return body


def _act(body: Any) -> dict[str, Any]:
    act = body.get("act") if isinstance(body, dict) else None
    return act if isinstance(act, dict) else {}

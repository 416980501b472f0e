"""`hosts`: the Sparks that Spark Control looks after, and the doctor for each of them."""

from __future__ import annotations

from typing import Any

import click

from server.base.units import size
from server.cli.client import path
from server.cli.errors import FAILURE
from server.cli.inert import inert
from server.cli.names import HOST
from server.cli.options import Session, common, verb
from server.cli.output import dash, findings, line, show_json, table
from server.cli.progress import number


@click.group()
@common
def hosts() -> None:
    """List, add, remove, check hosts; accept a new host key."""


@hosts.command("list")
@verb
def list_hosts(session: Session) -> None:
    """Every host: is it reachable, how busy, how full."""
    with session.client() as client:
        answer = client.get(path("hosts"))
        found = client.as_list(answer, "hosts")
    if session.json:
        show_json(answer)
        return
    table(HEADER, [row(host) for host in found])
    for host in found:
        if host.get("reason"):
            line(f"{host.get('name')}: {host['reason']}")
    for problem in _object(answer).get("problems") or ():
        line(f"config.yaml: {problem}", err=True)


HEADER = ("HOST", "STATE", "ADDRESS", "GPU", "TEMP", "POWER", "MEMORY FREE", "OF", "LABELS")


def row(host: dict[str, Any]) -> list[object]:
    """One host as cells. What it did not report stays unknown."""
    sample = _object(host.get("sample"))
    memory = _object(sample.get("memory"))
    gpus = sample.get("gpus")
    gpu = _object(gpus[0]) if isinstance(gpus, list) and gpus else {}
    return [
        host.get("name"),
        host.get("health"),
        f"{dash(host.get('user'))}@{dash(host.get('address'))}:{dash(host.get('port'))}",
        _unit(gpu.get("utilization"), "%"),
        _unit(gpu.get("temperature"), "°C"),
        _unit(gpu.get("power"), "W"),
        size(number(memory.get("available"))),
        size(number(memory.get("total"))),
        host.get("labels") or None,
    ]


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _unit(value: Any, unit: str) -> str | None:
    amount = number(value)
    return None if amount is None else f"{amount:.0f} {unit}"


@hosts.command("add")
@click.argument("name")
@click.argument("address")
@click.option("--port", default=22, show_default=True, type=click.IntRange(1, 65535))
@click.option("--user", default="ubuntu", show_default=True, help="SSH user on the host.")
@click.option("--cluster-address", help="Its address on the fast link between Sparks.")
@click.option("--label", "labels", multiple=True, help="May be given more than once.")
@verb
def add(session: Session, name: str, address: str, **settings: Any) -> None:
    """Add the host NAME at ADDRESS."""
    body = {"name": name, "address": address, **settings, "labels": list(settings["labels"])}
    with session.client() as client:
        answer = client.post(path("hosts"), {k: v for k, v in body.items() if v is not None})
    if session.json:
        show_json(answer)
    else:
        line(f"Added {name}. See whether all is well there: spark-control hosts check {name}")


@hosts.command("remove")
@click.argument("name", shell_complete=HOST)
@verb
def remove(session: Session, name: str) -> None:
    """Forget the host NAME. Nothing is changed on the host itself."""
    with session.client() as client:
        answer = client.delete(path("hosts", name))
    show_json(answer) if session.json else line(f"Removed {name}.")


@hosts.command("check")
@click.argument("name", shell_complete=HOST)
@verb
def check(session: Session, name: str) -> int:
    """Check SSH, host key, docker, driver, disk and interfaces of NAME."""
    with session.client() as client:
        answer = client.as_object(client.post(path("hosts", name, "check")))
        found = client.as_list(answer, "findings")
    show_json(answer) if session.json else findings(found)
    return 0 if answer.get("ok") is True else FAILURE


@hosts.command("accept-key")
@click.argument("name", shell_complete=HOST)
@click.option("--yes", is_flag=True, help="Do not ask.")
@verb
def accept_key(session: Session, name: str, yes: bool) -> None:
    """Trust the key that NAME showed when it was refused.

    Compare the fingerprint with the one on the host itself first:
    ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub
    """
    with session.client() as client:
        change = _object(client.get_object(path("hosts", name)).get("host_key_change"))
        if not change.get("offered"):
            line(f"{name} showed no key that was refused: there is nothing to accept.")
            return
        if not yes:
            line(f"trusted until now: {dash(change.get('pinned'))}", err=True)
            line(f"shown by {name}:   {change['offered']}", err=True)
            click.confirm(f"Trust the new key of {inert(name)}?", abort=True, err=True)
        body = {"fingerprint": change["offered"]}
        answer = client.post(path("hosts", name, "accept-key"), body)
    show_json(answer) if session.json else line(f"The key of {name} is trusted now.")

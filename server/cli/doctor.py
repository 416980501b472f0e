"""`doctor`: everything that can be checked, at once, each with what to do about it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click

from server.cli.client import Client, path
from server.cli.errors import FAILURE, CliError
from server.cli.options import Session, verb
from server.cli.output import findings, line, show_json


@click.command()
@verb
def doctor(session: Session) -> int:
    """Check Spark Control and every host, with what to do."""
    with session.client() as client:
        seen = readiness(client)
        names = [str(host.get("name")) for host in client.get_list(path("hosts"), "hosts")]
    with ThreadPoolExecutor(max_workers=8) as pool:
        for found in pool.map(lambda name: check_host(session, name), names):
            seen += found
    bad = any(item.get("severity") in {"error", "unknown"} for item in seen)
    if session.json:
        show_json({"findings": seen})
    else:
        findings(seen)
        line()
        line("Something needs attention." if bad else "Nothing is broken.")
    return FAILURE if bad else 0


def readiness(client: Client) -> list[dict[str, Any]]:
    """`/readyz` as findings: one for each thing Spark Control depends on."""
    answer = client.readiness()
    fine = answer.get("status") == "ready"
    verdict = "Spark Control is ready" if fine else "Spark Control is not ready"
    found = [_finding("ready", "ok" if fine else "error", verdict)]
    for check in client.as_list(answer.get("checks", []), "checks"):
        name, health = check.get("name"), check.get("health")
        bad = "error" if check.get("required", True) else "warning"
        message = f"{name}: {check.get('reason') or health}"
        found.append(_finding(f"ready_{name}", "ok" if health == "up" else bad, message))
    return found


def check_host(session: Session, name: str) -> list[dict[str, Any]]:
    """The doctor of one host. That a host cannot be checked is a finding too."""
    try:
        with session.client() as client:
            return client.as_list(client.post(path("hosts", name, "check")), "findings")
    except CliError as error:
        return [_finding("not_checked", "error", error.message) | {"host": name}]


def _finding(code: str, severity: str, message: str) -> dict[str, Any]:
    return {"code": code, "severity": severity, "message": message, "advice": "", "host": None}

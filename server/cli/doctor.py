"""`doctor`: everything that can be checked, at once, each with what to do about it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click

from server.cli.client import Client, path
from server.cli.errors import FAILURE, CliError, RefusedError
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
    bad = any(item.get("severity") == "error" for item in seen)
    if session.json:
        show_json({"findings": seen})
    else:
        findings(seen)
        line()
        line("Something needs attention." if bad else "Nothing is broken.")
    return FAILURE if bad else 0


def readiness(client: Client) -> list[dict[str, Any]]:
    """`/readyz` as findings: one for each thing Spark Control depends on."""
    try:
        answer = client.get("/readyz")
    except RefusedError as error:
        return [_finding("not_ready", "error", error.message)]
    checks = answer.get("checks") if isinstance(answer, dict) else None
    found = [_finding("ready", "ok", "Spark Control is ready")]
    for name, state in checks.items() if isinstance(checks, dict) else ():
        fine = state in {"ok", "up", True}
        found.append(_finding(f"ready_{name}", "ok" if fine else "error", f"{name}: {state}"))
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

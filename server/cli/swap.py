"""`swap`, `unload`, `swaps`, `cancel`: changing the model, watching it, and what happened before.

The exit code is the outcome: 0 only when the wanted model serves (or the unload is done).
"""

from __future__ import annotations

from typing import Any

import click

from server.base.units import duration
from server.cli.client import Client, path
from server.cli.errors import FAILURE, INTERRUPTED
from server.cli.inert import one_line
from server.cli.names import MODEL, SWAP
from server.cli.options import Session, verb
from server.cli.output import dash, findings, line, show_json, table, word
from server.cli.progress import FINAL, number, watch


@click.command()
@click.argument("model", shell_complete=MODEL)
@click.option("--force", is_flag=True, help="Start even where preflight says it cannot fit.")
@click.option(
    "--on-conflict",
    type=click.Choice(["queue", "replace", "reject"]),
    default="queue",
    show_default=True,
    help="When another swap is under way.",
)
@click.option("--no-wait", is_flag=True, help="Only ask for it; print the id of the swap.")
@click.option("--cancel-on-interrupt", is_flag=True, help="Ctrl-C cancels the swap.")
@verb
def swap(
    session: Session,
    model: str,
    *,
    force: bool,
    on_conflict: str,
    no_wait: bool,
    cancel_on_interrupt: bool,
) -> int:
    """Load MODEL beside what is served, or in its place.

    Draws stage, percent and the time left until MODEL has answered. Ctrl-C stops the drawing and
    leaves the swap running.
    """
    body = {"model": model, "on_conflict": on_conflict, "force": force}
    with session.client() as client:
        record = client.as_object(client.post(path("swaps"), body))
        return follow(session, client, record, no_wait=no_wait, cancel=cancel_on_interrupt)


@click.command()
@click.argument("model", required=False, shell_complete=MODEL)
@click.option("--no-wait", is_flag=True, help="Only ask for it; print the id of the swap.")
@verb
def unload(session: Session, model: str | None, no_wait: bool) -> int:
    """Stop MODEL; without MODEL all that is served."""
    body = {} if model is None else {"model": model}
    with session.client() as client:
        record = client.as_object(client.post(path("unload"), body))
        return follow(session, client, record, no_wait=no_wait, cancel=False)


@click.command()
@click.argument("swap_id", required=False, metavar="[ID]", shell_complete=SWAP)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@verb
def swaps(session: Session, swap_id: str | None, limit: int) -> None:
    """The history of swaps, newest first; with ID that one in full."""
    with session.client() as client:
        if swap_id is not None:
            record = client.get_object(path("swaps", swap_id))
            show_json(record) if session.json else explain(record)
            return
        records = client.get_list(path("swaps"), "swaps", limit=limit)
    if session.json:
        show_json(records)
        return
    columns = ("id", "created_at", "model", "state", "requested_by")
    rows = [[record.get(key) for key in columns] for record in records]
    table(["ID", "ASKED", "MODEL", "STATE", "BY"], rows)


@click.command()
@click.argument("swap_id", required=False, metavar="[ID]", shell_complete=SWAP)
@verb
def cancel(session: Session, swap_id: str | None) -> None:
    """Cancel the swap ID; without ID the one under way."""
    with session.client() as client:
        wanted = swap_id or current_id(client)
        if wanted is None:
            line("No swap is under way.")
            return
        record = client.post(path("swaps", wanted, "cancel"))
    if session.json:
        show_json(record)
    else:
        line(f"Asked {wanted} to stop. See how it ends: spark-control swaps {wanted}")


def current_id(client: Client) -> str | None:
    """The id of the swap under way, if there is one."""
    body = client.get(path("swaps", "current"))
    if not isinstance(body, dict) or not body.get("id") or body.get("state") in FINAL:
        return None
    return str(body["id"])


def follow(
    session: Session, client: Client, record: dict[str, Any], *, no_wait: bool, cancel: bool
) -> int:
    """Watch a swap to its end and turn the end into an exit code."""
    swap_id = str(record.get("id", ""))
    if no_wait:
        show_json(record) if session.json else line(swap_id)
        return 0
    try:
        record = watch(client, swap_id)
    except KeyboardInterrupt:
        if not cancel:
            line(
                f"The swap goes on. See it: spark-control swaps {swap_id}; "
                f"stop it: spark-control cancel {swap_id}",
                err=True,
            )
            return INTERRUPTED
        client.post(path("swaps", swap_id, "cancel"))
        line("Cancelling …", err=True)
        record = watch(client, swap_id)
        show_json(record) if session.json else summarise(record)
        return INTERRUPTED
    show_json(record) if session.json else summarise(record)
    return 0 if record.get("state") in {"serving", "unloaded"} else FAILURE


def summarise(record: dict[str, Any]) -> None:
    """How it ended; for a failure the cause, the advice and the log."""
    state, model = str(record.get("state")), one_line(record.get("model") or "the model")
    previous = one_line(record.get("previous_model") or "the previous model")
    took = sum(number(step.get("seconds")) or 0.0 for step in steps(record))
    ends = {
        "serving": f"{model} is serving ({duration(took)})",
        "unloaded": f"{one_line(record['unloads'])} is not served any more"
        if record.get("unloads")
        else "Nothing is being served any more",
        "rolled_back": f"{model} did not start; {previous} is serving again",
        "failed": f"{model} did not start, and {previous} is not serving again"
        if record.get("previous_model")
        else f"{model} did not start, and nothing is being served",
        "cancelled": f"The swap to {model} was cancelled",
    }
    failed = state not in {"serving", "unloaded"}
    line(ends.get(state, f"The swap ended as {state}") + ".", err=failed)
    if failed:
        why(record)


def why(record: dict[str, Any]) -> None:
    error = record.get("error")
    if not isinstance(error, dict):
        return
    for label, key in (("what", "message"), ("cause", "cause"), ("what to do", "advice")):
        if error.get(key):
            line(f"  {label}: {error[key]}", err=True)
    if excerpt := str(error.get("log_excerpt") or "").strip("\n"):
        line("  log:", err=True)
        for text in excerpt.splitlines():
            line(f"    {text}", err=True)


def explain(record: dict[str, Any]) -> None:
    """One swap in full: times, steps, findings, error."""
    for label in ("id", "model", "previous_model", "state", "stage", "requested_by"):
        click.echo(f"{label.replace('_', ' '):<15} {word(dash(record.get(label)))}")
    for label in ("created_at", "finished_at", "cancelled_by"):
        click.echo(f"{label.replace('_', ' '):<15} {dash(record.get(label))}")
    if taken := steps(record):
        line()
        rows = [
            [s.get("name"), s.get("host"), s.get("state"), duration(number(s.get("seconds")))]
            for s in taken
        ]
        table(["STEP", "HOST", "STATE", "TOOK"], rows)
    seen = record.get("findings")
    if isinstance(seen, list) and seen:
        line()
        findings(item for item in seen if isinstance(item, dict))
    why(record)


def steps(record: dict[str, Any]) -> list[dict[str, Any]]:
    found = record.get("steps")
    return [s for s in found if isinstance(s, dict)] if isinstance(found, list) else []

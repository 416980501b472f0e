"""`keys`: API keys of programs. A new key is printed once, on stdout, by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from server.cli.client import path
from server.cli.inert import inert
from server.cli.names import KEY, MODEL
from server.cli.options import Session, common, verb
from server.cli.output import dash, line, show_json, table

SCOPES = click.Choice(["gateway", "read", "admin"])
POLICIES = click.Choice(["auto", "ask", "never"])
ONCE = "This is the only time it is shown."


@click.group()
@common
def keys() -> None:
    """List, create, show, revoke and rotate API keys."""


HEADER = ("NAME", "KEY", "STATE", "SCOPES", "MODELS", "EXPIRES", "LAST USED")


@keys.command("list")
@click.option("--all", "everything", is_flag=True, help="Revoked ones too.")
@verb
def list_keys(session: Session, everything: bool) -> None:
    """Every key: what it may do, when it was last used."""
    with session.client() as client:
        answer = client.get(path("keys"))
        found = client.as_list(answer, "keys")
    if session.json:
        show_json(answer)
        return
    table(HEADER, [_row(key) for key in found if everything or key.get("state") != "revoked"])


def _row(key: dict[str, Any]) -> list[object]:
    return [
        key.get("name"),
        key.get("prefix"),
        key.get("state"),
        key.get("scopes"),
        key.get("models") or "all",
        key.get("expires_at"),
        key.get("last_used_at"),
    ]


@keys.command("create")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, type=SCOPES, help="Default: gateway.")
@click.option(
    "--model", "models", multiple=True, shell_complete=MODEL, help="May use only these; else all."
)
@click.option("--priority", type=click.IntRange(-100, 100), help="Higher goes first.")
@click.option("--max-in-flight", type=click.IntRange(1), help="Requests at once.")
@click.option("--swap", type=POLICIES, help="What asking for a model that is not loaded does.")
@click.option("--requests-per-minute", type=click.IntRange(1))
@click.option("--tokens-per-minute", type=click.IntRange(1))
@click.option("--tokens-per-day", type=click.IntRange(1))
@click.option("--audio-seconds-per-minute", type=click.FloatRange(0, min_open=True))
@click.option("--audio-seconds-per-day", type=click.FloatRange(0, min_open=True))
@click.option("--days", type=click.IntRange(1, 36500), help="Days until it expires.")
@verb
def create(session: Session, name: str, days: int | None, **options: Any) -> None:
    """Make a key called NAME and print it, once."""
    limits = {field: options.pop(field) for field in LIMITS}
    body = {field: _plain(value) for field, value in options.items()}
    body |= {"name": name, "limits": _given(limits)}
    if days is not None:
        body["expires_at"] = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    with session.client() as client:
        answer = client.as_object(client.post(path("keys"), _given(body)))
    _show_new(session, answer)


LIMITS = (
    "requests_per_minute",
    "tokens_per_minute",
    "tokens_per_day",
    "audio_seconds_per_minute",
    "audio_seconds_per_day",
)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    """What was said; the rest is left to the server's defaults."""
    return {name: value for name, value in fields.items() if value not in (None, [], {})}


def _show_new(session: Session, answer: dict[str, Any]) -> None:
    if session.json:
        show_json(answer)
        return
    line(dash(answer.get("key")))
    line(ONCE, err=True)


@keys.command("show")
@click.argument("key", shell_complete=KEY)
@verb
def show(session: Session, key: str) -> None:
    """KEY (its name or id) in full, without the secret."""
    with session.client() as client:
        answer = client.get_object(path("keys", key))
    if session.json:
        show_json(answer)
        return
    limits = answer.pop("limits", None)
    fields = answer | (limits if isinstance(limits, dict) else {})
    for field, value in fields.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        line(f"{field.replace('_', ' '):<22} {dash(shown)}")


@keys.command("revoke")
@click.argument("key", shell_complete=KEY)
@click.option("--yes", is_flag=True, help="Do not ask.")
@verb
def revoke(session: Session, key: str, yes: bool) -> None:
    """Refuse KEY from now on, for good."""
    with session.client() as client:
        if not yes:
            click.confirm(f"Revoke {inert(key)}, for good?", abort=True, err=True)
        answer = client.delete(path("keys", key))
    show_json(answer) if session.json else line(f"{key} is refused from now on.")


@keys.command("rotate")
@click.argument("key", shell_complete=KEY)
@click.option("--yes", is_flag=True, help="Do not ask.")
@verb
def rotate(session: Session, key: str, yes: bool) -> None:
    """Give KEY a new secret and print it, once; the old one is refused from now on."""
    with session.client() as client:
        if not yes:
            click.confirm(f"Refuse the old secret of {inert(key)}?", abort=True, err=True)
        answer = client.as_object(client.post(path("keys", key, "rotate")))
    _show_new(session, answer)

"""`backup` and `restore`: backups of Spark Control itself.

A passphrase comes from a prompt, a file or `SPARK_CONTROL_BACKUP_PASSPHRASE`, never from the
command line, where everybody on the machine could read it. `restore --data` works on a data
directory that no app has open; it is the one verb beside `serve` that touches files itself.
"""

from __future__ import annotations

import base64
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from server.cli.client import Client, path
from server.cli.errors import FAILURE, USAGE, CliError
from server.cli.inert import inert
from server.cli.options import Session, common, verb
from server.cli.output import dash, findings, line, show_json, table

VARIABLE = "SPARK_CONTROL_BACKUP_PASSPHRASE"
FILE = click.Path(path_type=Path, dir_okay=False)
PIECE = 1 << 20
KEPT = re.compile(r"(manual|scheduled|uploaded)-[0-9a-z]+")
HEADER = ("ID", "KIND", "MADE", "SIZE", "SSH KEY", "VERSION", "PROBLEM")
LATER = "The next start of Spark Control puts it in place; what is there now is set aside."


@click.group()
@common
def backup() -> None:
    """Make, list, download and delete backups of Spark Control."""


@backup.command("list")
@verb
def list_backups(session: Session) -> None:
    """Every backup that is kept, newest first, and when the next one is made."""
    with session.client() as client:
        answer = client.get_object(path("backups"))
        found = client.as_list(answer, "backups")
    if session.json:
        show_json(answer)
        return
    table(HEADER, [_row(one) for one in found])
    schedule, staged = answer.get("schedule"), answer.get("staged")
    if isinstance(schedule, dict):
        line(f"The next one is made at {dash(schedule.get('next_at'))}.", err=True)
    if isinstance(restored := answer.get("restored"), dict):
        aside = restored.get("set_aside")
        line(f"{restored.get('id')} was restored; what was there is in {aside}.", err=True)
    if isinstance(staged, dict):
        line(f"{staged.get('id')} waits to be restored. {LATER}", err=True)


def _row(one: dict[str, Any]) -> list[object]:
    return [
        one.get("id"),
        one.get("kind"),
        one.get("made_at"),
        one.get("size"),
        "sealed" if one.get("secrets") else "left out",
        one.get("version"),
        one.get("problem"),
    ]


@backup.command("create")
@click.option("--no-secrets", is_flag=True, help="Leave the SSH key out; asks for no passphrase.")
@click.option("--passphrase-file", type=FILE, help="Its first line is the passphrase.")
@verb
def create(session: Session, no_secrets: bool, passphrase_file: Path | None) -> None:
    """Make a backup now."""
    passphrase = None if no_secrets else _passphrase(passphrase_file, confirm=True)
    with session.client() as client:
        answer = client.as_object(client.post(path("backups"), {"passphrase": passphrase}))
    if session.json:
        show_json(answer)
        return
    line(answer.get("id"))
    for sentence in answer.get("left_out") or []:
        line(sentence, err=True)


@backup.command("download")
@click.argument("backup_id", metavar="ID")
@click.option("--output", "-o", type=FILE, help="Where to; default its own name, here.")
@verb
def download(session: Session, backup_id: str, output: Path | None) -> None:
    """Write the backup ID into a file, which must not be there yet."""
    target = output or Path(f"spark-control-{backup_id}.tar.gz".replace("/", "-"))
    with session.client() as client, client.stream("GET", path("backups", backup_id)) as answer:
        try:
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise CliError(f"{target}: {error.strerror}", FAILURE) from None
        with os.fdopen(descriptor, "wb") as file:
            for piece in answer.iter_bytes():
                file.write(piece)
    line(target)


@backup.command("delete")
@click.argument("backup_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@verb
def delete(session: Session, backup_id: str, yes: bool) -> None:
    """Delete the backup ID, for good."""
    with session.client() as client:
        if not yes:
            click.confirm(f"Delete {inert(backup_id)}, for good?", abort=True, err=True)
        answer = client.delete(path("backups", backup_id))
    show_json(answer) if session.json else line(f"{backup_id} is deleted.")


@click.command()
@click.argument("file", metavar="[FILE|ID]", required=False)
@click.option("--check", "only_check", is_flag=True, help="Look into it and change nothing.")
@click.option("--cancel", is_flag=True, help="Give up the restore that waits for the next start.")
@click.option("--passphrase-file", type=FILE, help="Its first line is the passphrase.")
@click.option("--no-secrets", is_flag=True, help="Keep the SSH key that is there.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Restore into this data directory, which no app has open.",
)
@verb
def restore(
    session: Session,
    file: str | None,
    *,
    only_check: bool,
    cancel: bool,
    passphrase_file: Path | None,
    no_secrets: bool,
    data: Path | None,
) -> int:
    """Restore the backup in FILE, or the one called ID.

    Everything in it is proven first. The next start of Spark Control puts it in place; with --data
    it is put in place at once.
    """
    if cancel:
        with session.client() as client:
            client.delete(path("backups", "restore"))
        line("Nothing waits to be restored.")
        return 0
    if file is None:
        raise CliError("Name the FILE of a backup, or the ID of one that is kept.", USAGE)
    passphrase = None if no_secrets else _passphrase(passphrase_file, confirm=False)
    if data is not None:
        answer = _offline(Path(file), data, passphrase, only_check=only_check)
    else:
        with session.client() as client:
            answer = _asked(client, file, passphrase, apply=not only_check)
    fine = answer.get("ok") is True
    if session.json:
        show_json(answer)
    else:
        findings(answer.get("findings") or [])
        if fine and not only_check:
            line()
            line(LATER if data is None else f"Restored into {data}.")
    return 0 if fine else FAILURE


def _asked(client: Client, file: str, passphrase: str | None, *, apply: bool) -> dict[str, Any]:
    place = Path(file)
    where = path("backups", "restore")
    if KEPT.fullmatch(file) and not place.exists():
        body = {"id": file, "passphrase": passphrase, "apply": apply}
        return client.as_object(client.post(where, body))
    try:
        size = place.stat().st_size
    except OSError as error:
        raise CliError(f"{place}: {error.strerror}", FAILURE) from None
    headers = {"Content-Type": "application/gzip", "Content-Length": str(size)}
    if passphrase:
        headers["X-Backup-Passphrase"] = base64.b64encode(passphrase.encode()).decode()
    return client.as_object(
        client.send(where, _pieces(place), headers=headers, params={"apply": str(apply).lower()})
    )


def _pieces(place: Path) -> Iterator[bytes]:
    try:
        with place.open("rb") as file:
            while piece := file.read(PIECE):
                yield piece
    except OSError as error:
        raise CliError(f"{place}: {error.strerror}", FAILURE) from None


def _offline(file: Path, data: Path, passphrase: str | None, *, only_check: bool) -> dict[str, Any]:
    from server.base.errors import SparkError  # noqa: PLC0415 - slow to import
    from server.upkeep.backup.offline import restore_into  # noqa: PLC0415

    try:
        return restore_into(file, data, passphrase, os.environ, only_check=only_check).to_dict()
    except SparkError as error:
        advice = f"\n  what to do: {error.advice}" if error.advice else ""
        raise CliError(error.message + advice, FAILURE) from None


def _passphrase(file: Path | None, *, confirm: bool) -> str | None:
    """From the file, the environment, or whoever sits there. None: none was given."""
    if file is not None:
        try:
            with file.open(encoding="utf-8") as lines:
                return lines.readline().rstrip("\r\n") or None
        except (OSError, UnicodeDecodeError):
            raise CliError(f"{file} cannot be read.", FAILURE) from None
    given = os.environ.get(VARIABLE)
    if given or not sys.stdin.isatty():
        return given or None
    words = "Passphrase for the SSH key (empty: leave it out)"
    text: str = click.prompt(
        words, hide_input=True, default="", show_default=False, err=True,
        confirmation_prompt=confirm,
    )  # fmt: skip
    return text or None

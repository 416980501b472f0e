"""`password`: set the dashboard's password, beside the app or without it. Never on a command line:
there everybody on the machine could read it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from server.cli.errors import CliError


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Data directory (SPARK_CONTROL_DATA; default ./data).",
)
def password(data: Path | None) -> int:
    """Set the password of the dashboard.

    It is typed twice, or is the first line of standard input. It is asked for where auth.mode is
    password in config.yaml. Sessions go on; end them on the page Settings, Access. Whoever lost the
    password sets a new one with this.
    """
    from server.auth.password import Password, check_new  # noqa: PLC0415 - slow to import
    from server.base.errors import SparkError  # noqa: PLC0415

    chosen = data or Path(os.environ.get("SPARK_CONTROL_DATA") or "data")
    if not chosen.is_dir():
        raise CliError(
            f"There is no data directory {chosen}: name it with --data, or start the app once."
        )
    given = _asked() if sys.stdin.isatty() else _read()
    try:
        check_new(given)
        Password(chosen / "password").write(given)
    except SparkError as error:
        raise CliError(" ".join(filter(None, (error.message, error.advice)))) from None
    click.echo("The password is set. It is asked for where auth.mode is password.")
    return 0


def _asked() -> str:
    first: str = click.prompt("New password", hide_input=True)
    if first != click.prompt("The same again", hide_input=True):
        raise CliError("The two are not the same; nothing was changed.")
    return first


def _read() -> str:
    return sys.stdin.readline(2000).rstrip("\r\n")

"""What every verb shares: where Spark Control is, whether to print JSON, and one way to fail.

`--url` and `--json` are accepted before and after the verb.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import click

from server.cli.client import DEFAULT_URL, Client

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Session:
    """What the options said. `client()` opens nothing until it is used."""

    url: str = DEFAULT_URL
    json: bool = False

    def client(self) -> Client:
        return Client(self.url)


def _set(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    session = ctx.ensure_object(Session)
    if value is not None and value is not False and param.name is not None:
        setattr(session, param.name, value)


def common(command: F) -> F:
    """Add `--url` and `--json` to a verb or a group of verbs."""
    command = click.option(
        "--json", is_flag=True, expose_value=False, callback=_set, help="Print JSON."
    )(command)
    return click.option(
        "--url",
        metavar="URL",
        expose_value=False,
        callback=_set,
        envvar="SPARK_CONTROL_URL" if command.__name__ == "cli" else None,
        help=f"Address of Spark Control (SPARK_CONTROL_URL; default {DEFAULT_URL}).",
    )(command)


def verb(command: F) -> F:
    """A verb that gets the session as its first argument."""

    @wraps(command)
    def call(*args: Any, **kwargs: Any) -> Any:
        session = click.get_current_context().ensure_object(Session)
        return command(session, *args, **kwargs)

    return common(call)  # type: ignore[return-value]

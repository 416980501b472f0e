"""Completion of names: asks the running Spark Control, quickly, and is silent when it cannot."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from server.cli.client import DEFAULT_URL, Client, path
from server.cli.errors import CliError
from server.cli.options import Session

QUICK_SECONDS = 1.0

Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def names(collection: str, field: str = "name") -> Completer:
    """Complete from `GET /api/v1/<collection>`, by the value of `field`."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        session = ctx.find_object(Session)
        url = os.environ.get("SPARK_CONTROL_URL") or DEFAULT_URL
        if session is not None and session.url != DEFAULT_URL:
            url = session.url
        items: list[dict[str, Any]] = []
        try:
            with Client(url, read_seconds=QUICK_SECONDS) as client:
                items = client.get_list(path(collection), collection)
        except CliError:
            return []  # a completion that prints errors would spoil the line being typed
        known = (str(item.get(field, "")) for item in items)
        return [name for name in known if name.startswith(incomplete) and name.isprintable()]

    return complete


MODEL = names("models", "id")
HOST = names("hosts")
SERVICE = names("services")
SWAP = names("swaps", "id")
KEY = names("keys")

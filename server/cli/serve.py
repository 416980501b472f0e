"""`serve`: the app itself. The server is imported only here, when it is really wanted."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import click


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=9999, show_default=True, type=click.IntRange(0, 65535), help="Port; 0: any."
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Data directory (SPARK_CONTROL_DATA; default ./data).",
)
def serve(host: str, port: int, data: Path | None) -> int:
    """Run Spark Control."""
    gc.disable()  # an import makes next to no garbage; looking for it costs an eighth of the start
    from server.daemon import run  # noqa: PLC0415 - the server is slow to import

    gc.freeze()  # what was imported stays: no later collection has to walk over it
    gc.enable()
    chosen = data or Path(os.environ.get("SPARK_CONTROL_DATA") or "data")
    return run(chosen, host, port)

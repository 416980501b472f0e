"""`sim`: the simulated cluster alone. The simulator is imported only here."""

from __future__ import annotations

from pathlib import Path

import click

FAILURES = ("none", "oom", "load", "crash", "hang")


@click.command()
@click.option(
    "--hosts", default=2, show_default=True, type=click.IntRange(1, 256), help="Simulated Sparks."
)
@click.option(
    "--dir",
    "directory",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the hosts live; also a data directory for `serve --data`.",
)
@click.option(
    "--load-seconds",
    default=10.0,
    show_default=True,
    type=click.FloatRange(0, 86400),
    help="How long a model takes to load.",
)
@click.option(
    "--fail",
    default="none",
    show_default=True,
    type=click.Choice(FAILURES),
    help="How every engine fails.",
)
@click.option(
    "--audio",
    default="canned",
    show_default=True,
    type=click.Choice(("canned", "reference")),
    help="Who hears and speaks: canned answers, or the reference engine.",
)
def sim(hosts: int, directory: Path, load_seconds: float, fail: str, audio: str) -> None:
    """Run a simulated cluster: SSH servers and engines on loopback addresses.

    Prints one line of JSON when it is ready: where config.yaml is, and the control address that
    changes a host's scenario while it runs.
    """
    from server.sim.command import run  # noqa: PLC0415 - the simulator is slow to import

    run(hosts, directory, load_seconds, fail, audio)

"""`engine`: the reference engine, its weights, and a voice on the command line.

The engine is imported only in the verb that runs it: its models load libraries of their own.
"""

from __future__ import annotations

import wave
from pathlib import Path
from typing import TYPE_CHECKING

import click

from server.base.errors import SparkError
from server.cli.errors import CliError

if TYPE_CHECKING:
    from server.engine.weights.shelf import Shelf

WEIGHTS = click.option(
    "--weights",
    type=click.Path(path_type=Path, file_okay=False),
    default=None,
    help="Folder of the unpacked weights (SPARK_CONTROL_WEIGHTS; default a cache folder).",
)


SECONDS = click.FloatRange(1, 36_000)
MEGABYTES = click.IntRange(1, 4096)
PLACES = click.IntRange(0, 1000)


@click.group()
def engine() -> None:
    """The reference engine: a small speech service on the CPU."""


@engine.command()
@WEIGHTS
def fetch(weights: Path | None) -> None:
    """Fetch the weights that the extra cannot bring, and check all of them."""
    from server.engine.weights.fetch import fetch as bring  # noqa: PLC0415
    from server.engine.weights.ready import check  # noqa: PLC0415

    shelf = _shelf(weights)
    try:
        bring(shelf, lambda text: click.echo(text, err=True))
        check(shelf)
    except SparkError as error:
        raise _told(error) from error
    click.echo(f"the weights are complete and checked: {shelf.folder}")


@engine.command()
@click.argument("text")
@click.option("--voice", default="af_heart", show_default=True, help="A voice of Kokoro.")
@click.option("--speed", default=1.0, show_default=True, type=click.FloatRange(0.5, 2.0))
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The WAV file to write.",
)
@WEIGHTS
def say(text: str, voice: str, speed: float, output: Path, weights: Path | None) -> None:
    """Write TEXT, spoken, into a WAV file."""
    from server.engine.encode import pcm16  # noqa: PLC0415
    from server.engine.speech import RATE, Speech  # noqa: PLC0415

    try:
        samples = Speech.open(_shelf(weights)).say(text, voice, speed=speed)
    except SparkError as error:
        raise _told(error) from error
    try:
        with wave.open(str(output), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(pcm16(samples))
    except OSError as error:
        raise CliError(f"{output} could not be written: {error.strerror}") from error
    click.echo(f"{len(samples) / RATE:.1f} s in {output}")


@engine.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8900, show_default=True, type=click.IntRange(0, 65535), help="Port; 0: any."
)
@click.option(
    "--max-seconds", default=1800.0, show_default=True, type=SECONDS, help="Longest recording."
)
@click.option(
    "--max-upload-mb", default=256, show_default=True, type=MEGABYTES, help="Largest upload."
)
@click.option(
    "--waiting", default=8, show_default=True, type=PLACES, help="Who may wait for each model."
)
@WEIGHTS
def audio(weights: Path | None, host: str, port: int, **limits: float) -> int:
    """Serve transcriptions, voices and speakers until told to stop.

    Prints one line of JSON with its address when it listens; /health is 200 once the models are
    loaded.
    """
    from server.engine.limits import Limits  # noqa: PLC0415
    from server.engine.serve import run  # noqa: PLC0415

    megabytes, waiting = int(limits["max_upload_mb"]), int(limits["waiting"])
    try:
        return run(
            host, port, _shelf(weights), Limits(limits["max_seconds"], megabytes << 20, waiting)
        )
    except SparkError as error:
        raise _told(error) from error


def _shelf(weights: Path | None) -> Shelf:
    from server.engine.weights.shelf import Shelf  # noqa: PLC0415

    return Shelf(weights)


def _told(error: SparkError) -> CliError:
    return CliError(f"{error.message} {error.advice or ''}".strip())

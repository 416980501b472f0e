"""The root of the command line: finds verbs lazily and turns every ending into an exit code.

Only the file of the verb that was asked for is imported, so that help and completion stay quick.
Owns the list of verbs with the line that help and docs/cli.md show for each.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import NamedTuple

import click

from server import __version__
from server.cli.errors import FAILURE, INTERRUPTED, CliError
from server.cli.inert import inert
from server.cli.options import common


class Verb(NamedTuple):
    module: str
    help: str


VERBS = {
    "serve": Verb("serve", "Run Spark Control."),
    "sim": Verb("sim", "Run a simulated cluster: SSH servers and engines on loopback addresses."),
    "engine": Verb("engine", "The reference engine: a small speech service on the CPU."),
    "status": Verb("status", "What is served, what is being swapped, how the hosts are."),
    "hosts": Verb("hosts", "List, add, remove, check hosts; accept a new host key."),
    "services": Verb("services", "List services; start, stop and restart one."),
    "models": Verb("models", "List, show, add, remove, tune and preflight models."),
    "swap": Verb("swap", "Load MODEL beside what is served, or in its place."),
    "unload": Verb("swap", "Stop MODEL; without MODEL all that is served."),
    "swaps": Verb("swap", "The history of swaps, newest first; with ID that one in full."),
    "cancel": Verb("swap", "Cancel the swap ID; without ID the one under way."),
    "keys": Verb("keys", "List, create, show, revoke and rotate API keys."),
    "password": Verb("password", "Set the password of the dashboard."),
    "usage": Verb("usage", "Requests, tokens, audio, GPU seconds of the last days."),
    "activity": Verb("activity", "The requests under way, and the last ones, newest first."),
    "sweep": Verb("sweep", "Find out how much at once brings the most."),
    "backup": Verb("backup", "Make, list, download and delete backups of Spark Control."),
    "restore": Verb("backup", "Restore the backup in FILE, or the one called ID."),
    "logs": Verb("logs", "The newest log lines of the engine, a container on HOST, or a service."),
    "doctor": Verb("doctor", "Check Spark Control and every host, with what to do."),
    "events": Verb("events", "Follow what happens."),
    "completion": Verb("completion", "Print the completion script of SHELL."),
}


class Root(click.Group):
    """Knows the names of its verbs without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = import_module(f"server.cli.{VERBS[cmd_name].module}")
        command = getattr(module, cmd_name)
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, verb.help) for name, verb in VERBS.items()])


@click.command("spark-control", cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="spark-control")
@common
def cli() -> None:
    """Spark Control: swap models on your DGX Sparks and watch the machines.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 Spark Control could not be reached,
    130 interrupted.
    """


def main(argv: list[str] | None = None) -> int:
    """The `spark-control` program. Returns the exit code; prints one message when it fails."""
    try:
        result = cli.main(args=argv, prog_name="spark-control", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except CliError as error:
        click.echo(f"spark-control: {inert(error.message)}", err=True)
        return error.code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has left. Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    return result if isinstance(result, int) else 0


if __name__ == "__main__":
    sys.exit(main())

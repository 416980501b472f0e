"""Every verb of the command line has its row in `docs/cli.md`, exactly as the program says it."""

import re
from collections.abc import Iterator
from pathlib import Path

import click

from server.cli import errors
from server.cli.main import VERBS, cli

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
COMMON = {"--url", "--json", "--help"}


def verbs() -> Iterator[tuple[str, click.Command]]:
    """Each verb that does something, by its full name."""
    context = click.Context(cli)
    for name in VERBS:
        command = cli.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            for inner, sub in command.commands.items():
                yield f"{name} {inner}", sub
        else:
            yield name, command


def row(name: str, command: click.Command) -> str:
    """`| `verb ARG` | what it does | its options |`."""
    context = click.Context(command)
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    usage = " ".join([name, *(a.make_metavar(context) for a in arguments)]).replace("|", r"\|")
    options = [p.opts[0] for p in command.params if isinstance(p, click.Option)]
    shown = " ".join(f"`{option}`" for option in options if option not in COMMON)
    return f"| `{usage}` | {command.get_short_help_str(200)} | {shown} |"


def test_every_verb_has_its_row() -> None:
    """What the page says is what `--help` says: usage, purpose, options."""
    lines = PAGE.read_text("utf-8").splitlines()
    missing = [wanted for wanted in (row(*verb) for verb in verbs()) if wanted not in lines]
    assert not missing, "paste into docs/cli.md:\n" + "\n".join(missing)


def test_no_row_speaks_of_a_verb_that_is_gone() -> None:
    """What the page names exists."""
    wanted = {row(*verb) for verb in verbs()}
    text = PAGE.read_text("utf-8").partition("## Verbs")[2].partition("\n## ")[0]
    gone = [line for line in text.splitlines() if line.startswith("| `") and line not in wanted]
    assert not gone, "remove from docs/cli.md:\n" + "\n".join(gone)


def test_every_verb_is_described_alike_in_the_list_and_in_its_own_help() -> None:
    """`spark-control --help` is drawn without importing the verbs; it must not drift from them."""
    context = click.Context(cli)
    for name, verb in VERBS.items():
        command = cli.get_command(context, name)
        assert command is not None
        assert command.get_short_help_str(200).rstrip(".") == verb.help.rstrip("."), name


def test_every_exit_code_has_its_row() -> None:
    """Scripts hold on to them."""
    text = PAGE.read_text("utf-8")
    codes = [0, errors.FAILURE, errors.USAGE, errors.UNREACHABLE, errors.INTERRUPTED]
    for code in codes:
        assert re.search(rf"^\| {code} \|", text, re.MULTILINE), f"exit code {code}"

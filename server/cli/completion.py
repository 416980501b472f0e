"""`completion`: the script that a shell reads to complete verbs, options, models and hosts."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

PROGRAM = "spark-control"
VARIABLE = "_SPARK_CONTROL_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    bash:  spark-control completion bash > ~/.local/share/bash-completion/completions/spark-control
    zsh:   spark-control completion zsh > "${fpath[1]}/_spark-control"
    fish:  spark-control completion fish > ~/.config/fish/completions/spark-control.fish
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"No completion is known for {shell}.")
    # `source()` would start a bash to ask its version; the template needs nothing of it.
    script = found(click.Group(), {}, PROGRAM, VARIABLE)
    click.echo(script.source_template % script.source_vars())

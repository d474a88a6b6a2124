"""`mesovid completion`: lets the shell complete commands, options and model names."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash:  eval "$(mesovid completion bash)"
    zsh:   eval "$(mesovid completion zsh)"
    fish:  mesovid completion fish | source
    """
    from mesovid.cli import cli

    complete = get_completion_class(shell)
    assert complete is not None  # click has a class for each of the choices
    click.echo(complete(cli, {}, "mesovid", "_MESOVID_COMPLETE").source())

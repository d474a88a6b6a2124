"""`mesovid run`: a whole job from one file."""

from __future__ import annotations

import shlex
import sys

import click

from mesovid.cli.process import Ended
from mesovid.errors import SettingsError
from mesovid.recipes import Recipe, Step, arguments_of, fill, find, parse_assignments, shipped


@click.command()
@click.argument("name", metavar="[NAME|PATH]", required=False)
@click.option(
    "--set",
    "pairs",
    multiple=True,
    metavar="KEY=VALUE",
    help=(
        "Change a setting of the recipe, or an option: train.epochs=5. Options that may be given "
        "several times: once for each."
    ),
)
@click.option("--dry-run", is_flag=True, help="Check the recipe and print its commands.")
@click.option(
    "--keep-going", is_flag=True, help="Go on after a step in which some inputs failed (status 1)."
)
def command(name: str | None, pairs: tuple[str, ...], dry_run: bool, keep_going: bool) -> None:
    """Run a recipe: several mesovid commands from one file. Without a name, list the recipes.

    Every step is checked before the first one starts. Each command resumes by itself, so running a
    recipe again continues it.
    """
    if name is None:
        for recipe in shipped():
            click.echo(f"{recipe.name:20} {recipe.description}")
        return
    recipe = fill(find(name), parse_assignments(pairs))
    jobs = [_checked(recipe, number, step) for number, step in enumerate(recipe.steps, start=1)]
    for number, (command, words) in enumerate(jobs, start=1):
        line = f"mesovid {recipe.steps[number - 1].command} {shlex.join(words)}"
        click.echo(f"[{number}/{len(jobs)}] {line}", err=not dry_run)
        if (
            not dry_run
            and (status := _run("mesovid", command, words))
            and not (status == 1 and keep_going)
        ):
            click.echo(
                f"mesovid: step {number} ended with status {status}; run the recipe again to "
                "continue",
                err=True,
            )
            sys.exit(status)


def _checked(recipe: Recipe, number: int, step: Step) -> tuple[click.Command, list[str]]:
    """The step's click command and its words, both found right by click itself."""
    from mesovid.cli import cli

    where = f"recipe {recipe.name}, step {number} ({step.command})"
    path = step.command.split()
    command: click.Command | None = cli
    for part in path:
        command = (
            command.get_command(click.Context(command), part)
            if isinstance(command, click.Group)
            else None
        )
        if command is None:
            raise SettingsError(f"{where}: no such command")
    assert command is not None  # a step's command is not empty: the loop ran, or cli itself
    options = {
        name[2:]: option
        for option in command.params
        for name in option.opts
        if name.startswith("--")
    }
    if unknown := [key for key in step.options if key not in options]:
        raise SettingsError(
            f"{where}: unknown option {unknown[0]!r}; known: {', '.join(sorted(options))}"
        )
    switches = {
        name: next((off[2:] for off in option.secondary_opts), None)
        for name, option in options.items()
        if isinstance(option, click.Option) and option.is_flag
    }
    words = arguments_of(step, switches)
    try:
        command.make_context(step.command, list(words))
    except click.UsageError as error:
        raise SettingsError(f"{where}: {error.format_message()}") from error
    return command, words


def _run(name: str, command: click.Command, words: list[str]) -> int:
    """The exit status of a command run in this process."""
    try:
        with command.make_context(name, list(words)) as ctx:
            command.invoke(ctx)
    except Ended:
        raise
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except click.exceptions.Exit as end:
        return end.exit_code
    return 0

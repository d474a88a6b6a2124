"""The command line: one click command a file, loaded when it is called for."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from mesovid import __version__
from mesovid.cli.process import endings, finish, prepare
from mesovid.errors import MesovidError

# command -> one-line help; a command `x` is the object `command` of module mesovid.cli.x
COMMANDS = {
    "scan": "Say of videos and pictures whether a face in them is faked.",
    "report": "Make pages or tables of results that were recorded earlier.",
    "extract": "Build a dataset of aligned faces from a collection of videos.",
    "dataset": "Show, check and merge datasets.",
    "train": "Train a detector on datasets.",
    "evaluate": "Measure models on datasets.",
    "predict": "Score faces that are already cropped.",
    "degrade": "Write damaged copies of videos, to see what a detector withstands.",
    "explain": "Show why faces get their scores, and what a network makes of them.",
    "models": "List, show, import and calibrate models.",
    "serve": "Serve a page and an API on this computer.",
    "explore": "Write a site that judges faces in the visitor's browser.",
    "run": "Run a recipe: several commands from one file.",
    "completion": "Print the completion script of a shell.",
}


class LazyGroup(click.Group):
    """A group whose commands are imported only when they run, so that help answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"mesovid.cli.{name}").command
        return command

    def make_context(self, *words: Any, **options: Any) -> click.Context:
        with endings():
            return super().make_context(*words, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with endings():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mesovid")
@click.option(
    "--debug", is_flag=True, help="Say on stderr what is done, with the traceback of every error."
)
def cli(debug: bool) -> None:
    """Is a face in this video faked?"""
    from mesovid import logs

    if debug:
        logs.ask()
    logs.configure()


def main() -> None:
    """Run the command line as a process of its own.

    An error that mesovid foresaw, a full disk, a closed pipe and a signal end in one line at most
    and an exit status: that of the error, 141 when nobody reads stdout any more, 130 after Ctrl-C,
    143 after SIGTERM.
    """
    prepare()
    end: BaseException | None = None
    try:
        with endings():
            cli(prog_name="mesovid")
    except (MesovidError, SystemExit) as error:
        end = error
    sys.exit(finish(end))

"""Help shows every option once, under headings that hold few enough to be read."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from mesovid.cli import cli
from mesovid.cli.sections import REST, Sections

MANY = 8  # options, from which headings help
LEFT = 2  # options that need no heading


def commands(group: click.Group = cli, *path: str) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)
        else:
            yield " ".join([*path, name]), command


def options(command: click.Command) -> list[click.Option]:
    return [each for each in command.params if isinstance(each, click.Option)]


ALL = list(commands())


@pytest.mark.parametrize(("name", "command"), ALL, ids=[name for name, _ in ALL])
def test_every_option_stands_once_in_help(name: str, command: click.Command) -> None:
    text = CliRunner().invoke(cli, [*name.split(), "--help"]).output
    for option in options(command):
        flag = max(option.opts, key=len)
        assert len(re.findall(rf"^  (?:-\w, )?{flag}(?![\w-])", text, re.M)) == 1, flag


@pytest.mark.parametrize(
    "command",
    [command for _, command in ALL if len(options(command)) > MANY],
    ids=lambda command: str(command.name),
)
def test_many_options_are_in_sections(command: click.Command) -> None:
    assert isinstance(command, Sections)
    found = [command.section_of(option) for option in options(command)]
    left = [each.opts[0] for each in options(command) if command.section_of(each) == REST]
    assert len(left) <= LEFT, f"name them in sections= of the command: {left}"
    assert max(found.count(name) for name in found) <= 16


def test_the_order_is_that_of_the_sections() -> None:
    @click.command(cls=Sections, sections={"Last things": ("--end",), "First": ("-b",)})
    @click.option("--other")
    @click.option("-b", "--begin")
    @click.option("--end")
    def command() -> None: ...

    lines = CliRunner().invoke(command, ["--help"]).output.splitlines()
    kept = [line.split()[0] for line in lines if line.startswith("  -") or line.endswith(":")]
    assert kept == ["Last", "--end", "First:", "-b,", "Other", "--other", "--help"]


def test_a_section_of_an_option_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="no option --gone to list"):
        Sections("scan", params=[click.Option(["--here"])], sections={"A": ("--gone", "--here")})

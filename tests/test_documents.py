"""What README and the documents tell people to type exists: every command and every option."""

from __future__ import annotations

import pkgutil
import re
import shlex
from pathlib import Path

import click
import pytest

from mesovid.cli import cli
from mesovid.recipes import find

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [
        *(ROOT / folder / "README.md" for folder in ("", "benchmarks", "trained_models")),
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").glob("*.md"),
    ]
)
SKIPPED = ("...", "…")  # stands for what the reader fills in


def commands(page: Path) -> list[str]:
    """The mesovid commands in a page's blocks of code and between backticks."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"(?m)^ {4}(?:\$ )?(.*)$", text) + re.findall(r"`([^`\n]+)`", text)
    found = []
    for block in blocks:
        for part in re.split(r"\||&&|;", block):
            words = part.split("#")[0].strip()
            if re.match(r"(\.venv/bin/)?mesovid [a-z]", words):
                found.append(words)
    return found


CASES = [(page.relative_to(ROOT).as_posix(), words) for page in PAGES for words in commands(page)]


def test_there_is_something_to_check() -> None:
    assert len(CASES) > 30


@pytest.mark.parametrize(
    ("page", "words"), CASES, ids=[f"{page}: {words}" for page, words in CASES]
)
def test_every_command_can_be_typed(page: str, words: str) -> None:
    name, *rest = shlex.split(words)[1:]
    command = cli.get_command(click.Context(cli), name)
    assert command is not None, f"{page}: no command {name}"
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.get_command(click.Context(command), rest[0])
        assert found is not None, f"{page}: no command {name} {rest[0]}"
        command, rest = found, rest[1:]
    arguments = [word for word in rest if word not in SKIPPED]
    if name == "run" and arguments and not arguments[0].startswith("-"):
        find(arguments[0])  # raises for a recipe that is not there
    context = click.Context(command, info_name=name)
    command.make_parser(context).parse_args(args=arguments)  # raises for an unknown option


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    paths = re.findall(
        r"`((?:mesovid|benchmarks|pipelines|docs|tests|trained_models)/[\w./-]*)`", text
    )
    assert not [path for path in paths if not (ROOT / path).exists()]
    for name in re.findall(r"`(mesovid(?:\.[a-z_]\w*)+)`", text):
        pkgutil.resolve_name(name)  # raises for a module or a name in it that is not there

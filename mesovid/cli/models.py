"""`mesovid models`: the detectors at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import click

from mesovid.cli.options import complete_models


@click.group(invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List, show and import models."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_models)


@command.command("list")
def list_models() -> None:
    """List the models that ship with mesovid."""
    from mesovid.models.card import available

    for card in available():
        click.echo(f"{card.name:16} {card.architecture:16} {card.summary}")


@command.command("show")
@click.argument("name", metavar="NAME|PATH", shell_complete=complete_models)
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True)
def show(name: str, format_: str) -> None:
    """Print the card of a model: what it is, what it was trained on, how good it is and where it fails."""
    from mesovid.models.card import read_card

    card = read_card(name)
    if format_ == "json":
        click.echo(json.dumps(card.to_dict(), indent=1, ensure_ascii=False))
    else:
        click.echo("\n".join(_lines(card.to_dict())))


def _lines(value: object, indent: int = 0) -> list[str]:
    """An object as indented `key: value` lines, without the punctuation of JSON."""
    space = "  " * indent
    if isinstance(value, dict):
        lines = []
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                lines += [f"{space}{key}:", *_lines(item, indent + 1)]
            else:
                lines.append(f"{space}{key}: {_plain(item)}")
        return lines
    if isinstance(value, list):
        if all(not isinstance(item, (dict, list)) for item in value):
            return [space + ", ".join(_plain(item) for item in value)]
        return [line for item in value for line in _lines(item, indent)]
    return [space + _plain(value)]


def _plain(value: object) -> str:
    if value is None or value in ({}, []):
        return "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@command.command("import")
@click.argument("file", type=click.Path())
@click.option("--architecture", required=True, help="Network that the weights belong to, such as meso4.")
@click.option("--output", type=click.Choice(["fake", "real"]), required=True, help="What the network's output is the probability of.")  # fmt: skip
@click.option(
    "--activation", type=click.Choice(["relu", "elu", "leaky_relu"]), default="relu", show_default=True
)
@click.option("--name", help="Name of the model. Default: the file's.")
@click.option("--to", "folder", type=click.Path(file_okay=False), default=".", show_default=True, help="Folder for the model's three files.")  # fmt: skip
def import_(
    file: str,
    architecture: str,
    output: Literal["fake", "real"],
    activation: Literal["relu", "elu", "leaky_relu"],
    name: str | None,
    folder: str,
) -> None:
    """Take weights that were trained elsewhere: .h5 by layer order, or .hdf5 and .keras files of a known architecture.

    Only arrays are read; nothing in the file is run.
    """
    from mesovid.models.export import import_model

    card = import_model(
        file, architecture=architecture, output=output, activation=activation, name=name, folder=folder
    )
    click.echo(
        f"imported {card.name}; scan with it: mesovid scan --model {Path(folder) / card.name}.json ..."
    )


@command.command("publish")
@click.argument("model", metavar="NAME|PATH")
@click.option("--to", "folder", type=click.Path(file_okay=False), required=True, help="Folder for the model's three files.")  # fmt: skip
@click.option("--scoreboard", type=click.Path(dir_okay=False), help="Put the figures of this scoreboard into the card.")  # fmt: skip
@click.option("--summary", help="What the model is, in one line.")
@click.option("--licence", help="Terms of the model and of its training data.")
@click.option("--limits", help="Where the model must not be trusted.")
def publish(
    model: str,
    folder: str,
    scoreboard: str | None,
    summary: str | None,
    licence: str | None,
    limits: str | None,
) -> None:
    """Copy a trained model to a folder, with the figures of `mesovid evaluate --scoreboard` in its card."""
    from mesovid.models.publish import publish

    card = publish(model, folder, scoreboard=scoreboard, summary=summary, licence=licence, limits=limits)
    click.echo(
        f"{card.name}: {len(card.figures)} figures; show them: mesovid models show {Path(folder) / card.name}.json"
    )

"""Turns settings into click options and back.

Each default and range is written once, in `mesovid.settings`.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from mesovid.cli.sections import Option
from mesovid.errors import DatasetError, SettingsError
from mesovid.settings import Geometry, ScanSettings, Settings, check, choices

PAPER = "paper"  # the geometry of Afchar et al. 2018, by name
GEOMETRY_HELP = (
    f"How faces are cut out: as a model or dataset has it, or `{PAPER}`, and single values, say "
    "scale=2.5. Default: as the default model has it."
)

Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def settings_options(
    cls: type[Settings], *, skip: tuple[str, ...] = (), complete: dict[str, Completer] | None = None
) -> Callable[[Callable[..., Any]], Any]:
    """A decorator that gives a command one option for each field of `cls` but those in `skip`;
    `complete` names the shell completion of a field.

    The command receives one keyword argument `<snake_case of cls>` (say `sample_settings`) in place
    of the single values.
    """
    fields = [
        field for field in dataclasses.fields(cls) if field.name not in skip and field.metadata
    ]
    argument = "".join("_" + c.lower() if c.isupper() else c for c in cls.__name__).lstrip("_")

    def decorate(function: Callable[..., Any]) -> Any:
        @functools.wraps(function)
        def command(**values: Any) -> Any:
            given = {field.name: values.pop(field.name) for field in fields}
            try:
                values[argument] = cls(**given)
            except SettingsError as error:
                raise click.UsageError(str(error)) from error
            return function(**values)

        for field in reversed(fields):
            section = cls.heading_of(field.name)
            command = _option(field, section, (complete or {}).get(field.name))(command)
        return command

    return decorate


def class_options(function: Callable[..., Any]) -> Any:
    """Give a command the options of class folders and tables, as its keyword argument `options`."""

    @click.option(
        "--label",
        "labels",
        multiple=True,
        metavar="[NAME=]LABEL",
        help=(
            "What the class or class folder NAME means: real, fake, or skip to leave it out; "
            "without NAME, the label of everything."
        ),
    )
    @click.option(
        "--follow-links", is_flag=True, help="Also follow links that lead out of a folder."
    )
    @functools.wraps(function)
    def command(labels: tuple[str, ...], follow_links: bool, **values: Any) -> Any:
        from mesovid.dataset.labels import parse_labels
        from mesovid.dataset.sources import Options

        values["options"] = Options(labels=parse_labels(labels), follow_links=follow_links)
        return function(**values)

    return command


def complete_models(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of shipped models, for the shell."""
    from mesovid.models.card import available

    return [card.name for card in available() if card.name.startswith(incomplete)]


def geometry_of(texts: tuple[str, ...]) -> Geometry:
    """The default model's geometry, or a named one, with single values changed.

    UsageError for a name or value that is none.
    """
    named = [text for text in texts if "=" not in text or Path(text).exists()]
    values = known_geometry(named[-1] if named else ScanSettings().model).to_dict()
    for text in texts:
        if text not in named:
            key, _, value = text.partition("=")
            values[key.strip().replace("-", "_")] = _value(value.strip())
    try:
        return Geometry.from_dict(values)
    except (SettingsError, TypeError) as error:
        raise click.UsageError(f"--geometry: {error}") from error


def known_geometry(name: str) -> Geometry:
    """The geometry of `paper`, of a dataset's folder, or of a model given by name or path."""
    if name == PAPER:
        return Geometry()
    from mesovid.dataset.manifest import CARD, read_dataset
    from mesovid.models.card import read_card

    if (Path(name) / CARD).is_file():
        geometry = read_dataset(name).geometry
        if geometry is None:
            raise DatasetError(f"{name} does not say its geometry")
        return geometry
    return read_card(name).geometry


def _value(text: str) -> Any:
    """A number or truth value where the text is one, else the text; `Geometry` checks it."""
    words = {"true": True, "yes": True, "false": False, "no": False}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def refuse_inside(output: str, sources: Sequence[str]) -> None:
    """Raise UsageError where a folder to be written lies inside one that is read.

    A second run would read the files of the first.
    """
    for source in sources:
        if Path(output).resolve().is_relative_to(Path(source).resolve()):
            raise click.UsageError(
                f"the folder {output} must not lie inside of the collection {source}"
            )


def _option(
    field: dataclasses.Field[Any], section: str | None, complete: Completer | None
) -> Callable[[Callable[..., Any]], Any]:
    flag = "--" + field.name.replace("_", "-")
    kind = _plain_type(field.type)
    options: dict[str, Any] = {
        "cls": Option,
        "section": section,
        "help": field.metadata["help"],
        "default": field.default,
        "show_default": field.default is not None,
        "metavar": field.metadata["metavar"],
        "shell_complete": complete,
    }
    if kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", field.name, **options | {"metavar": None})
    if allowed := choices(field):
        options["type"] = click.Choice(allowed)
    else:
        options["type"] = kind
        options["callback"] = functools.partial(_checked, field)
    return click.option(flag, field.name, **options)


def _checked(
    field: dataclasses.Field[Any], _ctx: click.Context, param: click.Parameter, value: Any
) -> Any:
    try:
        check(field, value)
    except SettingsError as error:
        raise click.BadParameter(str(error), param=param) from error
    return value


def _plain_type(hint: Any) -> Any:
    """`int` of `int | None`."""
    if isinstance(hint, types.UnionType):
        (hint,) = (part for part in typing.get_args(hint) if part is not types.NoneType)
    return hint

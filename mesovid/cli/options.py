"""Turns settings into click options and back, so that each default and range is written once, in `mesovid.settings`."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable
from typing import Any

import click

from mesovid.errors import SettingsError
from mesovid.settings import Settings, check

Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def settings_options(
    cls: type[Settings], *, skip: tuple[str, ...] = (), complete: dict[str, Completer] | None = None
) -> Callable[[Callable[..., Any]], Any]:
    """A decorator that gives a command one option for each field of `cls` but those in `skip`; `complete` names
    the shell completion of a field.

    The command receives one keyword argument `<snake_case of cls>` (say `sample_settings`) in place of the single values.
    """
    hints = typing.get_type_hints(cls)
    fields = [field for field in dataclasses.fields(cls) if field.name not in skip and field.metadata]
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
            command = _option(field, hints[field.name], (complete or {}).get(field.name))(command)
        return command

    return decorate


def complete_models(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of shipped models, for the shell."""
    from mesovid.models.card import available

    return [card.name for card in available() if card.name.startswith(incomplete)]


def _option(
    field: dataclasses.Field[Any], hint: Any, complete: Completer | None
) -> Callable[[Callable[..., Any]], Any]:
    flag = "--" + field.name.replace("_", "-")
    kind = _plain_type(hint)
    options: dict[str, Any] = {
        "help": field.metadata["help"],
        "default": field.default,
        "show_default": field.default is not None,
        "metavar": field.metadata["metavar"],
        "shell_complete": complete,
    }
    if kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", field.name, **options | {"metavar": None})
    if field.metadata["choices"]:
        options["type"] = click.Choice(field.metadata["choices"])
    else:
        options["type"] = kind
        options["callback"] = functools.partial(_checked, field)
    return click.option(flag, field.name, **options)


def _checked(field: dataclasses.Field[Any], _ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    try:
        check(field, value)
    except SettingsError as error:
        raise click.BadParameter(str(error), param=param) from error
    return value


def _plain_type(hint: Any) -> Any:
    """`int` of `int | None`; `str` of a Literal of strings."""
    if isinstance(hint, types.UnionType):
        (hint,) = (part for part in typing.get_args(hint) if part is not types.NoneType)
    return str if typing.get_origin(hint) is typing.Literal else hint

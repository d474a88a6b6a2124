"""Recipes: several mesovid commands in one TOML file.

The command line can change their settings.

description = "Train Meso-4 on your own collection."

[set]                      # what `--set name=value` may change; "" must be given
source = ""
out = "runs/meso4"

[options.extract]          # what every step of a command is given, but for what it says itself
workers = 2

[[steps]]
command = "extract"        # as on the command line; "dataset show" for a command of a group
arguments = ["{source}"]   # {name} is replaced by the setting
options = { output = "{out}/dataset", frames = 32 }
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mesovid import assets
from mesovid.errors import InputError, SettingsError

_SETTING = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Step:
    """One mesovid command."""

    command: str
    arguments: tuple[str, ...]
    options: Mapping[str, Any]  # long option names without their dashes


@dataclass(frozen=True, slots=True)
class Recipe:
    """A named sequence of steps, its settings filled in by `fill`."""

    name: str
    description: str
    settings: Mapping[str, Any]
    steps: tuple[Step, ...]


def shipped() -> list[Recipe]:
    """The recipes that come with mesovid, by name."""
    return [_parse(path) for path in sorted(assets.pipelines().glob("*.toml"))]


def find(name: str) -> Recipe:
    """The shipped recipe of that name, or the one in that file.

    InputError when there is none or it is malformed.
    """
    path = assets.pipelines() / f"{name}.toml"
    if path.is_file():
        return _parse(path)
    if Path(name).is_file():
        return _parse(Path(name))
    known = ", ".join(recipe.name for recipe in shipped())
    raise InputError(f"no recipe {name!r}; known: {known}; or give the path of a .toml file")


def fill(recipe: Recipe, given: Mapping[str, str | list[str]]) -> Recipe:
    """Put settings into the steps.

    `given` wins over the recipe: it has names of settings, or `command.option` for one option.

    SettingsError for a name that the recipe does not have, for a setting with several values, and
    for one that must be given and is not.
    """
    settings, steps = dict(recipe.settings), list(recipe.steps)
    for name, value in given.items():
        command, _, option = name.rpartition(".")
        places = [number for number, step in enumerate(steps) if step.command == command]
        if name in settings:
            if isinstance(value, list):
                raise SettingsError(f"setting {name!r} is given {len(value)} times; give it once")
            settings[name] = value
        elif places:
            for number in places:
                steps[number] = replace(
                    steps[number], options={**steps[number].options, option: value}
                )
        else:
            commands = ", ".join(sorted({f"{step.command}.<option>" for step in steps}))
            raise SettingsError(
                f"recipe {recipe.name} has no setting {name!r}; known: {', '.join(settings)}, "
                f"{commands}"
            )
    if missing := [name for name, value in settings.items() if value == ""]:
        raise SettingsError(f"recipe {recipe.name} needs a value: --set {missing[0]}=...")
    return replace(
        recipe,
        settings=settings,
        steps=tuple(_filled(step, settings, recipe.name) for step in steps),
    )


def arguments_of(step: Step, flags: Mapping[str, str | None]) -> list[str]:
    """The step as command line words.

    `flags` maps each switch (an option without value) to its opposite, or None.
    """
    words: list[str] = []
    for name, value in step.options.items():
        if name in flags:
            off = flags[name]
            words += [f"--{name}"] if _is_on(value, name) else [f"--{off}"] if off else []
        else:
            for item in value if isinstance(value, list) else [value]:
                words += [f"--{name}", str(item)]
    # a value that begins with a dash is not an option
    return [*words, "--", *step.arguments] if step.arguments else words


def _is_on(value: Any, name: str) -> bool:
    if str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    raise SettingsError(f"{name} is {value!r}; it must be true or false")


def _filled(step: Step, settings: Mapping[str, Any], recipe: str) -> Step:
    def put(value: Any) -> Any:
        if isinstance(value, list):
            return [put(item) for item in value]
        return (
            _SETTING.sub(lambda match: str(_known(match[1])), value)
            if isinstance(value, str)
            else value
        )

    def _known(name: str) -> Any:
        if name not in settings:
            raise SettingsError(f"recipe {recipe} uses {{{name}}}, which its [set] does not have")
        return settings[name]

    options = {name: put(value) for name, value in step.options.items()}
    return replace(step, arguments=tuple(put(item) for item in step.arguments), options=options)


def _parse(path: Path) -> Recipe:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: not a recipe: {error}") from error
    _refuse_unknown(path, content, {"description", "set", "options", "steps"})
    steps = content.get("steps")
    if not isinstance(steps, list) or not steps:
        raise InputError(f"{path}: a recipe needs at least one [[steps]]")
    settings, common = _table(path, "set", content), _table(path, "options", content)
    shared = {command: _table(path, command, common) for command in common}
    parsed = tuple(_step(path, step, shared) for step in steps)
    _refuse_unknown(path, common, {step.command for step in parsed})
    return Recipe(path.stem, str(content.get("description", "")), settings, parsed)


def _step(path: Path, content: Any, shared: Mapping[str, Mapping[str, Any]]) -> Step:
    if not isinstance(content, dict):
        raise InputError(f"{path}: a step must be a table, begun by [[steps]]")
    _refuse_unknown(path, content, {"command", "arguments", "options"})
    command, arguments = content.get("command"), content.get("arguments", [])
    if not isinstance(command, str) or not isinstance(arguments, list):
        raise InputError(f"{path}: a step needs a command (text); arguments are a list")
    options = {**shared.get(command, {}), **_table(path, "options", content)}
    return Step(command, tuple(str(item) for item in arguments), options)


def _table(path: Path, name: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The table of that name, empty where there is none."""
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise InputError(f"{path}: {name} must be a table, not {table!r}")
    return table


def _refuse_unknown(path: Path, content: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(content) - known):
        raise InputError(f"{path}: unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}")


def parse_assignments(pairs: Sequence[str]) -> dict[str, str | list[str]]:
    """`name=value` pairs as a dictionary.

    A name that comes again has a list. SettingsError for a pair without `=`.
    """
    if wrong := [pair for pair in pairs if "=" not in pair]:
        raise SettingsError(f"{wrong[0]!r} is not of the form name=value")
    found: dict[str, list[str]] = {}
    for name, _, value in (pair.partition("=") for pair in pairs):
        found.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in found.items()}

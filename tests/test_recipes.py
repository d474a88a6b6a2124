"""Recipes are checked before they start, run in order, and yield to the command line."""

from __future__ import annotations

import json
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner

from mesovid import assets
from mesovid.cli import cli
from mesovid.cli.train import command as train
from mesovid.errors import InputError, MesovidError, SettingsError
from mesovid.recipes import Step, arguments_of, fill, find, parse_assignments, shipped
from mesovid.settings import AugmentSettings, NetworkSettings, TrainSettings

RECIPE = """
description = "Try things."
[set]
videos = ""
frames = 8
[[steps]]
command = "scan"
arguments = ["{videos}"]
options = { frames = "{frames}", quiet = true, verbose = false, from-file = ["a-{frames}", "b"] }
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "try.toml"
    path.write_text(RECIPE)
    return path


def test_settings_are_put_into_steps(recipe: Path) -> None:
    (step,) = fill(find(str(recipe)), {"videos": "clips", "frames": "4"}).steps
    assert step.arguments == ("clips",)
    assert step.options["frames"] == "4"
    assert step.options["from-file"] == ["a-4", "b"]


def test_one_option_of_a_command_can_be_set(recipe: Path) -> None:
    (step,) = fill(find(str(recipe)), {"videos": "clips", "scan.model": "mine"}).steps
    assert step.options["model"] == "mine"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "--set videos="),
        ({"video": "x"}, "no setting 'video'; known: videos, frames, scan.<option>"),
        ({"videos": "x", "train.epochs": "3"}, "no setting 'train.epochs'"),
        ({"videos": ["x", "y"]}, "'videos' is given 2 times"),
    ],
)
def test_wrong_settings_are_refused(
    recipe: Path, given: dict[str, str | list[str]], says: str
) -> None:
    with pytest.raises(SettingsError, match=says):
        fill(find(str(recipe)), given)


def test_steps_share_options(tmp_path: Path) -> None:
    path = tmp_path / "twice.toml"
    path.write_text(
        "[options.scan]\nframes = 8\nquiet = true\n"
        "[[steps]]\ncommand = 'scan'\n"
        "[[steps]]\ncommand = 'scan'\noptions = { frames = 4 }\n"
        "[[steps]]\ncommand = 'models list'\n"
    )
    usual, own, other = find(str(path)).steps
    assert usual.options == {"frames": 8, "quiet": True}
    assert own.options == {"frames": 4, "quiet": True}
    assert not other.options


def test_words_of_a_step() -> None:
    step = Step(
        "scan",
        ("-dash.mp4",),
        {"quiet": True, "verbose": "false", "remove-roll": False, "start": -1, "list": ["a", "b"]},
    )
    flags = {"quiet": None, "verbose": None, "remove-roll": "no-remove-roll"}
    expected = "--quiet --no-remove-roll --start -1 --list a --list b -- -dash.mp4"
    assert arguments_of(step, flags) == expected.split()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("steps = 3", "at least one"),
        ("[[steps]]\ncomand = 'scan'", "unknown key 'comand'; known: arguments, command, options"),
        ("[[steps]]\ncommand = 3", "needs a command"),
        ("what is this", "not a recipe"),
        (
            "[options.train]\nepochs = 1\n[[steps]]\ncommand='scan'",
            "unknown key 'train'; known: scan",
        ),
        ("options.scan = 3\n[[steps]]\ncommand='scan'", "scan must be a table, not 3"),
        ("set = 3\n[[steps]]\ncommand='scan'", "set must be a table, not 3"),
        ("steps = [3]", r"a step must be a table, begun by \[\[steps\]\]"),
        ("[sett]\na = 1\n[[steps]]\ncommand='scan'", "unknown key 'sett'"),
    ],
)
def test_malformed_recipes_are_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        find(str(path))


def test_unknown_recipe_names_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"no recipe 'scan-fodler'; known: .*scan-folder"):
        find("scan-fodler")


def test_pairs_need_an_equals_sign() -> None:
    assert parse_assignments(["a=b=c"]) == {"a": "b=c"}
    assert parse_assignments(["a=1", "b=", "a=2"]) == {"a": ["1", "2"], "b": ""}
    with pytest.raises(SettingsError, match="not of the form"):
        parse_assignments(["a"])


def dry(path: Path | str, *pairs: str) -> str:
    words = ["run", str(path), "--dry-run", *(word for pair in pairs for word in ("--set", pair))]
    result = CliRunner().invoke(cli, words)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_dry_run_prints_the_commands(recipe: Path) -> None:
    assert dry(recipe, "videos=my clips").strip() == (
        "[1/1] mesovid scan --frames 8 --quiet --from-file a-8 --from-file b -- 'my clips'"
    )


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ("scan.frmes=3", r"step 1 \(scan\): unknown option 'frmes'; known: .*frames"),
        ("frames=0", "frames is 0; it must be at least 1"),
        ("scan.quiet=maybe", "must be true or false"),
    ],
)
def test_options_are_checked_before_anything_runs(recipe: Path, pair: str, says: str) -> None:
    with pytest.raises(MesovidError, match=says):
        dry(recipe, "videos=x", pair)


RECIPES = sorted(
    path.relative_to(assets.pipelines()).with_suffix("").as_posix()
    for path in assets.pipelines().rglob("*.toml")
)


@pytest.mark.parametrize("name", RECIPES)
def test_shipped_recipes_are_right(name: str) -> None:
    needed = [f"{key}=value" for key, value in find(name).settings.items() if value == ""]
    assert "mesovid" in dry(name, *needed)


@pytest.mark.parametrize(
    ("model", "recipe"),
    [
        ("meso4", "meso4"),
        ("mesoinception4", "mesoinception4"),
        ("mesolite", "mesolite-levels"),
    ],
)
def test_a_shipped_models_recipe_ends_with_the_settings_of_its_card(
    model: str, recipe: str
) -> None:
    dried = dry(f"shipped/{recipe}")
    trainings = [line for line in dried.splitlines() if " mesovid train " in line]
    words = shlex.split(trainings[-1])[3:]
    given = train.make_context("train", words).params
    recorded = json.loads((assets.trained_models() / f"{model}.json").read_text())["training"]
    for part, settings in (
        ("train", TrainSettings),
        ("augment", AugmentSettings),
        ("network", NetworkSettings),
    ):
        names = {field.name for field in fields(settings)} - {"device", "workers"}
        # a card does not know what was added after it
        recorded_names = names & recorded[part].keys()
        assert {name: given[name] for name in recorded_names} == {
            name: recorded[part][name] for name in recorded_names
        }
    assert given["weights"] == tuple(
        f"{name}={weight:g}" for name, weight in recorded["weights"].items()
    )
    assert len(given["starts"]) == len(recorded["start"])
    assert bool(given["teacher"]) == bool(recorded["teacher"])


def test_run_lists_recipes_with_their_descriptions() -> None:
    output = CliRunner().invoke(cli, ["run"]).output
    assert all(recipe.name in output and recipe.description in output for recipe in shipped())


def test_a_failing_step_stops_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "scan.toml"
    steps = (
        '[[steps]]\ncommand = "models show"\narguments = ["nobody"]\n'
        '[[steps]]\ncommand = "models list"\n'
    )
    path.write_text(steps)
    result = CliRunner().invoke(cli, ["run", str(path)])
    assert result.exit_code != 0
    assert "[2/2]" not in result.output

"""Settings check themselves, and the command line repeats what they say."""

from __future__ import annotations

import dataclasses
import inspect
import math

import click
import pytest
from click.testing import CliRunner

from mesovid import settings
from mesovid.cli.options import settings_options
from mesovid.errors import SettingsError
from mesovid.models.card import available
from mesovid.settings import (
    AugmentSettings,
    FaceSettings,
    Geometry,
    NetworkSettings,
    SampleSettings,
    ScanSettings,
    Settings,
    TrainSettings,
)


@pytest.mark.parametrize(
    ("cls", "values", "says"),
    [
        (SampleSettings, {"frames": 0}, "frames is 0; it must be at least 1"),
        (SampleSettings, {"fps": 5.0, "every": 2}, "exclude each other"),
        (SampleSettings, {"start": 5.0, "end": 5.0}, "must come after start"),
        (ScanSettings, {"threshold": 1.5}, "at most 1"),
        (ScanSettings, {"threshold": math.nan}, "at least 0"),
        (ScanSettings, {"aggregate": "mode"}, "one of mean, median"),
        (FaceSettings, {"min_face": 3.0}, "min-face is 3.0; it must be at least 12"),
    ],
)
def test_values_out_of_range_are_refused(cls: type, values: dict[str, object], says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        cls(**values)


def test_settings_survive_json() -> None:
    geometry = Geometry(scale=2.2, border="black")
    assert Geometry.from_dict(geometry.to_dict()) == geometry


def test_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match=r"'scael'.*scale"):
        Geometry.from_dict({"scael": 2})


def test_dropped_options_are_read_at_the_value_that_is_left() -> None:
    assert NetworkSettings.from_dict({"activation": "elu", "batch_norm": True}).activation == "elu"
    assert TrainSettings.from_dict(TrainSettings.dropped) == TrainSettings()
    with pytest.raises(SettingsError, match="batch-norm is False; this mesovid has only True"):
        NetworkSettings.from_dict({"batch_norm": False})


def test_cards_that_hold_dropped_options_are_read() -> None:
    kept = {"network", "train", "augment"}
    for card in available():
        assert card.network == NetworkSettings(activation="relu", dropout=card.network.dropout)
        if card.architecture != "panel":
            assert kept < card.training.keys()
            assert TrainSettings.from_dict(card.training["train"]).keep == "last"
            assert AugmentSettings.from_dict(card.training["augment"]).augment


def test_no_dropped_option_is_an_option() -> None:
    classes = [cls for _, cls in inspect.getmembers(settings, inspect.isclass)]
    for cls in classes:
        if issubclass(cls, Settings):
            fields = [field.name for field in dataclasses.fields(cls) if field.metadata]
            names = set(fields)
            assert not names & cls.dropped.keys()
            assert cls.headings.keys() <= names
            assert not fields or cls.heading_of(fields[0]), cls


@click.command()
@settings_options(SampleSettings)
@settings_options(Geometry, skip=("size",))
def sampled(sample_settings: SampleSettings, geometry: Geometry) -> None:
    click.echo(
        f"{sample_settings.frames} {sample_settings.fps} {geometry.remove_roll} {geometry.border}"
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "32 None True reflect"),
        (["--fps", "2.5", "--no-remove-roll", "--border", "black"], "32 2.5 False black"),
    ],
)
def test_options_become_settings(words: list[str], says: str) -> None:
    result = CliRunner().invoke(sampled, words)
    assert (result.exit_code, result.output.strip()) == (0, says)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--frames", "0"], "--frames': frames is 0; it must be at least 1"),
        (["--frames", "many"], "'many' is not a valid integer"),
        (["--fps", "1", "--every", "2"], "exclude each other"),
        (["--border", "mirror"], "'mirror' is not one of"),
        (["--size", "2"], "--size"),
    ],
)
def test_wrong_options_are_usage_errors(words: list[str], says: str) -> None:
    result = CliRunner().invoke(sampled, words)
    assert result.exit_code == 2
    assert says in result.output


def test_help_shows_meaning_and_default() -> None:
    output = CliRunner().invoke(sampled, ["--help"]).output
    assert "evenly spread in time" in output
    assert "[default: 32]" in output

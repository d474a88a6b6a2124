"""A model is calibrated on validation videos: same weights, other probabilities, another rule."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from test_evaluate import SIZE, write_dataset, write_model

from mesovid.cli import cli
from mesovid.dataset.manifest import read_dataset
from mesovid.errors import DatasetError, MesovidError, ModelError, SettingsError
from mesovid.evaluation.calibrate import calibrate
from mesovid.models.card import Figure, logit, read_card
from mesovid.models.classifier import load_model
from mesovid.models.inputs import sigmoid
from mesovid.settings import CalibrateSettings


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = write_model(tmp_path_factory.mktemp("model"))
    replace(read_card(path), figures=(Figure("set", "video AUC", 0.8),)).write(path.parent)
    return path


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "mine", split="valid")


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, ["models", "calibrate", *map(str, words)])


def test_the_weights_stay_and_the_probabilities_change(
    model: Path, valid: Path, tmp_path: Path
) -> None:
    result = run(model, valid, "--to", tmp_path, "--name", "held")
    assert result.exit_code == 0, result.output
    before, after = load_model(model), load_model(tmp_path / "held.json")
    card = after.card
    assert (card.name, card.sha256) == ("held", before.card.sha256)
    assert card.calibration.method == "platt"
    grey = np.stack([np.full((SIZE, SIZE, 3), value, np.uint8) for value in (0, 90, 140, 255)])
    expected = sigmoid(card.calibration.scale * logit(before(grey)) + card.calibration.shift)
    assert after(grey) == pytest.approx(expected, abs=1e-6)
    assert card.uncertain is None or card.uncertain[1] == card.threshold
    assert "3 real and 3 fake validation videos: at most 5% of the real ones" in card.rule
    assert f"held: threshold {card.threshold:g}; {card.rule}" in result.output
    assert card.figures == ()
    assert card.training["calibrated"]["datasets"][0]["name"] == "mine"
    assert card.training["calibrated"]["crops"] == 32


def test_calibrating_again_starts_from_the_network_not_from_the_last_calibration(
    model: Path, valid: Path, tmp_path: Path
) -> None:
    datasets = [read_dataset(valid)]
    once, _ = calibrate(model, datasets, tmp_path / "once")
    twice, _ = calibrate(tmp_path / "once", datasets, tmp_path / "twice", name="again")
    assert (once.name, twice.name) == ("bright-calibrated", "again")
    assert twice.calibration == once.calibration
    with pytest.raises(SettingsError, match="name is 'again', which the model has"):
        calibrate(tmp_path / "twice", datasets, tmp_path / "third", name="again")


def test_fewer_false_alarms_raise_the_threshold(model: Path, valid: Path, tmp_path: Path) -> None:
    run(model, valid, "--to", tmp_path / "strict", "--false-alarms", "0")
    run(model, valid, "--to", tmp_path / "lax", "--false-alarms", "1")
    strict, lax = read_card(tmp_path / "strict"), read_card(tmp_path / "lax")
    assert strict.threshold > lax.threshold == 0.5


def test_a_crop_that_cannot_be_read_is_said(model: Path, tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data", split="valid")
    (data / "valid/real/real/a/000001_0.png").write_bytes(b"no picture")
    result = run(model, data, "--to", tmp_path / "out")
    assert result.exit_code == 0
    assert "left out: valid/real/real/a/000001_0.png" in result.stderr
    assert read_card(tmp_path / "out").training["calibrated"]["crops"] == 31


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("panel", ModelError, "panel is a panel; its rule is learned by `mesovid models panel`"),
        ("nobody", ModelError, "no model 'nobody'"),
        ("meso4", DatasetError, "do not fit meso4"),
    ],
)
def test_models_that_do_not_fit_are_refused(
    name: str, error: type[MesovidError], says: str, valid: Path, tmp_path: Path
) -> None:
    result = run(name, valid, "--to", tmp_path / "out")
    assert isinstance(result.exception, error)
    assert says in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_data_that_does_not_do_is_refused(model: Path, valid: Path, tmp_path: Path) -> None:
    dev = write_dataset(tmp_path / "dev")
    with pytest.raises(DatasetError, match="has no split valid but dev; calibration needs"):
        calibrate(model, [read_dataset(dev)], tmp_path / "out")
    with pytest.raises(DatasetError, match="split dev is for measuring; calibrate on valid"):
        calibrate(model, [read_dataset(dev)], tmp_path / "out", settings=split("dev"))
    whole = read_dataset(valid)
    for label, missing in (("real", "fake"), ("fake", "real")):
        crops = tuple(crop for crop in whole.crops if crop.label == label)
        with pytest.raises(DatasetError, match=f"no {missing} face among the 1[62] validation"):
            calibrate(model, [replace(whole, crops=crops)], tmp_path / "out")
    with pytest.raises(DatasetError, match="one dataset is given twice"):
        calibrate(model, [whole, whole], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", ["nan", "1.5", "-1"])
def test_a_fraction_that_is_none_is_refused(
    model: Path, valid: Path, tmp_path: Path, value: str
) -> None:
    result = run(model, valid, "--to", tmp_path / "out", "--false-alarms", value)
    assert result.exit_code == 2
    assert "false-alarms" in result.output


def split(name: str) -> CalibrateSettings:
    return CalibrateSettings(split=name)


def test_a_model_that_learned_elsewhere_may_be_calibrated_on_train(
    model: Path, valid: Path, tmp_path: Path
) -> None:
    learned = write_dataset(tmp_path / "mine", split="train")
    card, _ = calibrate(model, [read_dataset(learned)], tmp_path / "a", settings=split("train"))
    usual, _ = calibrate(model, [read_dataset(valid)], tmp_path / "b")
    assert card.calibration == usual.calibration
    assert card.training["calibrated"]["split"] == "train"


def test_folders_without_a_split_are_taken_whole(model: Path, valid: Path, tmp_path: Path) -> None:
    folders = tmp_path / "folders"
    for file in (valid / "valid").rglob("*.png"):
        label, *rest = file.relative_to(valid / "valid").parts
        copy = folders / label / "_".join(rest)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    result = run(model, folders, "--to", tmp_path / "out")
    assert result.exit_code == 0, (result.output, result.exception)
    recorded = json.loads((tmp_path / "out/bright-calibrated.json").read_text())["training"][
        "calibrated"
    ]
    assert recorded["crops"] == 32

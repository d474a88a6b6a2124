"""A published card tells what was measured, and only of the very same weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mesovid.cli import cli
from mesovid.errors import ModelError
from mesovid.models.card import read_card
from mesovid.models.classifier import load_model
from mesovid.models.publish import publish


def scoreboard(path: Path, sha256: str) -> Path:
    """One set with 2 real and 2 fake videos, as `mesovid evaluate --scoreboard` writes it."""

    def estimate(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 0.1, "high": value + 0.1}

    def call(name: str, fake: bool) -> dict[str, object]:
        return {
            "name": name,
            "fake": fake,
            "called_fake": estimate(0.3),
            "uncertain": estimate(0.2),
        }

    videos = {"reals": 2, "fakes": 2, "auc": estimate(0.8), "calibration_error": estimate(0.15)}
    entry = {
        "set": "Mine dev",
        "name": "meso4",
        "sha256": sha256,
        "dataset": {"digest": "abc" * 20},
        "videos": videos,
        "methods": [],
        "pairs": None,
        "verdicts": [call("real", False), call("Deepfakes", True)],
    }
    other = {**entry, "name": "meso4-calibrated", "set": "Mine, of a model of the same weights"}
    path.with_suffix(".json").write_text(json.dumps({"schema": 1, "entries": [entry, other]}))
    return path


def test_figures_of_the_scoreboard_are_in_the_card(tmp_path: Path) -> None:
    board = scoreboard(tmp_path / "board.md", read_card("meso4").sha256["onnx"])
    words = [
        "models",
        "publish",
        "meso4",
        "--to",
        str(tmp_path / "out"),
        "--scoreboard",
        str(board),
        "--limits",
        "Few.",
    ]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0
    card = load_model(tmp_path / "out" / "meso4.json").card  # loads: the weights came along
    assert card.limits == "Few."
    assert "Mine, of a model of the same weights" not in {each.data for each in card.figures}
    found = {
        (figure.metric, figure.subset): figure.value
        for figure in card.figures
        if figure.data == "Mine dev"
    }
    assert found == {
        ("video AUC", "all"): 0.8,
        ("calibration error", "all"): 0.15,
        ("share called fake", "real"): 0.3,
        ("share uncertain", "real"): 0.2,
        ("share called fake", "Deepfakes"): 0.3,
        ("share uncertain", "Deepfakes"): 0.2,
    }


def test_publishing_again_replaces_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = scoreboard(tmp_path / "board.md", read_card("meso4").sha256["onnx"])
    first = publish("meso4", tmp_path / "out", scoreboard=board)
    assert publish(tmp_path / "out", tmp_path / "out", scoreboard=board).figures == first.figures
    monkeypatch.chdir(tmp_path)
    # the same folder otherwise named
    assert publish(tmp_path / "out", "out", scoreboard=board).figures == first.figures


def test_figures_of_other_weights_are_refused(tmp_path: Path) -> None:
    board = scoreboard(tmp_path / "board.md", "0" * 64)
    with pytest.raises(ModelError, match="no figures of meso4 with these weights"):
        publish("meso4", tmp_path / "out", scoreboard=board)
    assert not (tmp_path / "out").exists()


def test_what_is_no_scoreboard_is_refused(tmp_path: Path) -> None:
    (tmp_path / "board.json").write_text("[]")
    with pytest.raises(ModelError, match="holds no scoreboard"):
        publish("meso4", tmp_path / "out", scoreboard=tmp_path / "board.md")


def test_a_model_can_be_made_more_careful_and_never_less(tmp_path: Path) -> None:
    before = read_card("mesolite")
    assert before.uncertain is not None
    low, high = before.uncertain
    card = publish("mesolite", tmp_path, real_below=low / 2)
    assert card.uncertain == (low / 2, high)
    assert card.rule.endswith(f"; real only below {low / 2:g}, lowered since")
    assert card.clears_below == before.clears_below  # of the first time
    other = publish("meso4", tmp_path, real_below=0.1)
    assert other.clears_below is None  # it does not say of what
    other = publish("meso4", tmp_path, real_below=0.1, finds="swapped faces")
    assert other.clears_below == (read_card("meso4").uncertain or (0, 0))[0]
    for wrong in (low + 0.01, -0.1, float("nan")):
        with pytest.raises(ModelError, match="must lie between 0 and that"):
            publish("mesolite", tmp_path, real_below=wrong)

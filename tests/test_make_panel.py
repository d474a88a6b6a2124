"""A panel's rule is learned on what its members never saw, and says what it does there."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from mesovid.cli import cli
from mesovid.errors import ModelError, TrainingError
from mesovid.models.card import read_card
from mesovid.models.classifier import load_model
from mesovid.training.panel import Heard, PanelJob, _levels, _lowest, finds_of, make_panel


def heard(fake: list[int], panel: list[float], assent: list[float], sources: list[str]) -> Heard:
    return Heard(
        fake=np.array(fake, bool),
        panel=np.array(panel),
        assent=np.array(assent)[:, None],
        sources=tuple(frozenset({source.split("/")[0], source}) for source in sources),
    )


def test_the_level_of_assent_is_the_lowest_that_every_source_bears() -> None:
    # 20 reals of each source, one of which may be called fake; three alarm in the studio, of which
    # two convince the other model
    alarms = [0.9] * 3 + [0.1] * 17
    scores = [0.31, 0.52, 0.87] + [0.9] * 17
    found = heard(
        [0] * 40,
        alarms + [0.1] * 20,
        scores + [0.9] * 20,
        ["set/studio"] * 20 + ["set/street"] * 20,
    )
    assert _levels(found, 0.8, 0.05, ["other"]) == {"other": 0.53}
    assert _levels(found, 0.8, 0.15, ["other"]) == {"other": 0.0}
    with pytest.raises(
        TrainingError, match=r"of set/studio 15% are called fake, 5% are allowed; name a model"
    ):
        _levels(found, 0.8, 0.05, [])


def test_a_source_of_a_few_videos_is_judged_with_its_dataset() -> None:
    found = heard(
        [0] * 40, [0.9] * 2 + [0.1] * 38, [0.4] * 40, ["set/rare"] * 10 + ["set/often"] * 30
    )
    # 2 of 40; 2 of 10 are too few to tell
    assert _levels(found, 0.8, 0.05, ["other"]) == {"other": 0.0}


def test_real_is_below_almost_all_fakes_of_the_worst_dataset() -> None:
    fakes = [i / 100 for i in range(10, 30)]
    found = heard(
        [1] * 40, [0.5 + value for value in fakes] + fakes, [0.5] * 40, ["old"] * 20 + ["new"] * 20
    )
    assert _lowest(found, 0.10) == pytest.approx(0.12)  # two of twenty lie below
    assert _lowest(found, 0.0) == pytest.approx(0.10)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Class folders of noise, coarse and fine."""
    rng = np.random.default_rng(0)
    for label, grain in (("real", 64), ("fake", 1)):
        folder = tmp_path / "faces" / "train" / label
        folder.mkdir(parents=True)
        for number in range(3):
            cells = rng.integers(0, 256, (256 // grain, 256 // grain, 3), dtype=np.uint8)
            cv2.imwrite(str(folder / f"{number}.png"), cells.repeat(grain, 0).repeat(grain, 1))
    return tmp_path / "faces"


def test_a_panel_is_made_and_scans(faces: Path, tmp_path: Path) -> None:
    words = [
        "models",
        "panel",
        str(faces),
        "-o",
        str(tmp_path / "out"),
        "--decide",
        "mesolite",
        "--assent",
        "meso4",
    ]
    result = CliRunner().invoke(
        cli, [*words, "--show", "mesoinception4", "--finds", "meso4=textures"]
    )
    assert result.exit_code == 0, result.exception
    card = read_card(tmp_path / "out")
    assert [member.name for member in card.members] == ["meso4", "mesoinception4", "mesolite"]
    assert [member.decides for member in card.members] == [False, False, True]
    assert [member.assents_from is None for member in card.members] == [False, True, True]
    assert card.members[0].finds == "textures"
    assert card.threshold == read_card("mesolite").threshold
    assert "on 3 real and 3 fake videos" in card.rule
    crops = np.random.default_rng(1).integers(0, 256, (2, 256, 256, 3), dtype=np.uint8)
    assert load_model(tmp_path / "out")(crops) == pytest.approx(load_model("mesolite")(crops))


def test_dev_and_test_faces_are_left_alone(faces: Path, tmp_path: Path) -> None:
    (faces / "train" / "fake").rename(faces / "fake-for-now")
    (faces / "test").mkdir()
    (faces / "fake-for-now").rename(faces / "test" / "fake")
    with pytest.raises(TrainingError, match="no fake face"):
        make_panel(
            PanelJob(datasets=[faces], folder=tmp_path / "out", name="p", decide=["mesolite"])
        )


@pytest.mark.parametrize("text", ["mesolite", "=faces", "mesolite= "])
def test_what_a_model_finds_is_said_in_one_form(text: str) -> None:
    with pytest.raises(ModelError, match="write NAME=WORDS"):
        finds_of([text])

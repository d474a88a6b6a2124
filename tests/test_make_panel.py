"""A panel's rule is learned on what its members never saw, and says what it does there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from mesovid.cli import cli
from mesovid.dataset.manifest import digest, read_dataset
from mesovid.errors import ModelError, TrainingError
from mesovid.models.card import ModelCard, read_card
from mesovid.models.classifier import load_model
from mesovid.settings import PanelSettings, TrainSettings
from mesovid.training.panel import (
    Heard,
    PanelJob,
    _lowest,
    _members,
    _seats,
    assents_of,
    finds_of,
    make_panel,
)
from mesovid.training.samples import videos_learned


def heard(
    fake: list[int],
    scores: list[list[float]],
    sources: list[str],
    unseen: list[list[int]] | None = None,
) -> Heard:
    """One face a video; `scores` of each model in turn."""
    faces = np.array(scores).T
    return Heard(
        fake=np.array(fake, bool),
        sources=tuple(frozenset({source.split("/")[0], source}) for source in sources),
        unseen=np.ones(faces.shape, bool) if unseen is None else np.array(unseen, bool).T,
        faces=faces,
        of=np.arange(len(faces)),
    )


def card(name: str, threshold: float) -> ModelCard:
    return ModelCard(name=name, architecture="meso4", threshold=threshold, sha256={"onnx": ""})


def job(false_alarms: float, **given: Any) -> PanelJob:
    return PanelJob(
        datasets=[],
        folder=Path(),
        name="p",
        settings=PanelSettings(false_alarms=false_alarms),
        **given,
    )


def levels(found: Heard, asked: PanelJob, *cards: ModelCard) -> dict[str, float | None]:
    """What each member assents from, or of one that decides, the level it is heard from."""
    names = dict.fromkeys((*asked.assent, *asked.show, *asked.decide))
    seats = _seats(asked, dict(zip(names, cards, strict=True)))
    members, threshold = _members(found, seats, asked, asked.settings.false_alarms)
    return {
        each.name: round(each.level(threshold), 3) if each.decides else each.assents_from
        for each in members
    }


# 20 reals of each source, one of which may be called fake; three alarm in the studio, of which
# two convince the other model
STUDIO = [[0.31, 0.52, 0.87] + [0.9] * 37, [0.9] * 3 + [0.1] * 37]
PLACES = ["set/studio"] * 20 + ["set/street"] * 20


def test_the_level_of_assent_is_the_lowest_that_every_source_bears() -> None:
    found = heard([0] * 40, STUDIO, PLACES)
    cards = card("other", 0.5), card("first", 0.8)
    for false_alarms, level in ((0.05, 0.53), (0.15, 0.0)):
        asked = job(false_alarms, decide=["first"], assent={"other": ()})
        assert levels(found, asked, *cards) == {"other": level, "first": 0.5}


def test_of_levels_that_every_source_bears_those_are_learned_that_find_most_fakes() -> None:
    asked = job(0.05, decide=["first"], assent={"other": ()})
    cards = card("other", 0.5), card("first", 0.8)
    doubted = [[*STUDIO[0], *[0.2] * 9], [*STUDIO[1], *[0.95] * 9]]
    found = heard([0] * 40 + [1] * 9, doubted, PLACES + ["set/fakes"] * 9)
    assert levels(found, asked, *cards) == {"other": 0.0, "first": 0.91}
    agreed = [[*STUDIO[0], *[0.6] * 9], [*STUDIO[1], *[0.7] * 9]]
    found = heard([0] * 40 + [1] * 9, agreed, PLACES + ["set/fakes"] * 9)
    assert levels(found, asked, *cards) == {"other": 0.53, "first": 0.5}


def test_who_is_sure_is_not_asked_about_where_every_source_bears_it() -> None:
    asked = job(0.05, decide=["first"], assent={"other": ()})
    cards = card("other", 0.5), card("first", 0.8)
    # nine fakes convince the other, nine more the first alone
    scores = [
        [*STUDIO[0], *[0.7] * 9, *[0.2] * 9],
        [*STUDIO[1], *[0.6] * 9, *[0.97] * 9],
    ]
    found = heard([0] * 40 + [1] * 18, scores, PLACES + ["set/fakes"] * 18)
    seats = _seats(asked, dict(zip(("other", "first"), cards, strict=True)))
    (other, first), threshold = _members(found, seats, asked, 0.05)
    assert (threshold, other.assents_from, other.sure_from) == (0.5, 0.53, None)
    assert first.sure_from == 0.97  # of equal levels the one that asks most
    # three reals of the studio on which the first is as sure: it must ask
    scores[1][:3] = [0.98] * 3
    found = heard([0] * 40 + [1] * 18, scores, PLACES + ["set/fakes"] * 18)
    (other, first), _ = _members(found, seats, asked, 0.05)
    assert first.sure_from is None
    # whom those asked know is still a fake to find
    unseen = [[1] * 40 + [0] * 18, [1] * 58]
    scores[1][:3] = [0.9] * 3
    found = heard([0] * 40 + [1] * 18, scores, PLACES + ["set/fakes"] * 18, unseen)
    (other, first), _ = _members(found, seats, asked, 0.05)
    assert (other.assents_from, first.sure_from) == (0.53, 0.97)


def test_who_needs_no_assent_is_heard_from_where_every_source_bears_it() -> None:
    found = heard([0] * 40, STUDIO[1:], PLACES)
    assert levels(found, job(0.05, decide=["first"]), card("first", 0.8)) == {"first": 0.91}
    assert levels(found, job(0.15, decide=["first"]), card("first", 0.8)) == {"first": 0.5}
    certain = heard([0] * 40, [[1.0] * 3 + [0.1] * 37], PLACES)
    with pytest.raises(TrainingError, match=r"of set/studio first calls 15% fake at any level; 5%"):
        levels(certain, job(0.05, decide=["first"]), card("first", 0.8))


def test_assent_is_asked_about_one_models_findings() -> None:
    # the second decider's alarms are others than the first's, and nobody is asked about them
    second = [0.1] * 20 + [0.95, 0.7] + [0.1] * 18
    found = heard([0] * 40, [*STUDIO, second], PLACES)
    asked = job(0.05, decide=["first", "second"], assent={"other": ["first"]})
    cards = card("other", 0.5), card("first", 0.8), card("second", 0.6)
    assert levels(found, asked, *cards) == {"other": 0.53, "first": 0.5, "second": 0.71}
    with pytest.raises(ModelError, match="other is asked about what third finds"):
        levels(found, job(0.05, decide=["first"], assent={"other": ["third"]}), *cards[:2])


def test_who_decides_clears_as_its_card_says_on_the_scale_of_the_panel() -> None:
    found = heard([0] * 40, STUDIO, PLACES)
    sees = replace(card("first", 0.8), finds="swaps", clears_below=0.3)
    asked = job(0.05, decide=["first", "other"], assent={"other": ["first"]})
    seats = _seats(asked, {"other": replace(sees, name="other"), "first": sees})
    (other, first), _ = _members(found, seats, asked, 0.05)
    assert (other.finds, other.clears_below) == ("swaps", 0.3)
    assert first.clears_below is not None
    assert first.level(first.clears_below) == pytest.approx(0.3)
    # none clears what it is heard from
    asked = job(0.05, decide=["first"])
    seats = _seats(asked, {"first": replace(sees, clears_below=0.95)})
    (first,), threshold = _members(heard([0] * 40, STUDIO[1:], PLACES), seats, asked, 0.05)
    assert first.clears_below == threshold == 0.91
    # one that only assents clears nothing
    asked = job(0.05, decide=["first"], assent={"other": ()}, finds={"first": "pasted faces"})
    seats = _seats(asked, {"other": replace(sees, name="other"), "first": sees})
    (other, first), _ = _members(found, seats, asked, 0.05)
    assert (other.clears_below, first.finds) == (None, "pasted faces")


def test_who_decides_and_is_asked_agrees_on_the_scale_of_the_panel() -> None:
    # `other` is heard from .91 on, and asked from .53 on; `first` decides from .5 on
    found = heard([0] * 40, STUDIO, PLACES)
    asked = job(0.05, decide=["first", "other"], assent={"other": ["first"]})
    seats = _seats(asked, {"other": card("other", 0.5), "first": card("first", 0.8)})
    (other, first), threshold = _members(found, seats, asked, 0.05)
    assert (threshold, other.shift) == (0.91, 0.0)
    assert first.level(threshold) == pytest.approx(0.5, abs=1e-4)
    assert other.assents_from == 0.53


def test_what_a_model_learned_from_is_not_heard_of_it() -> None:
    # the three alarms of the studio are of videos that it learned from
    found = heard([0] * 40, STUDIO[1:], PLACES, [[0] * 3 + [1] * 37])
    assert levels(found, job(0.06, decide=["first"]), card("first", 0.8)) == {"first": 0.5}


def test_without_enough_real_videos_the_card_has_the_level() -> None:
    found = heard([0] * 5, [[0.7] * 5], ["set"] * 5)
    assert levels(found, job(0.05, decide=["first"]), card("first", 0.8)) == {"first": 0.8}


def test_a_source_of_a_few_videos_is_judged_with_its_dataset() -> None:
    found = heard(
        [0] * 40,
        [[0.4] * 40, [0.9] * 2 + [0.1] * 38],
        ["set/rare"] * 10 + ["set/often"] * 30,
    )
    # 2 of 40; 2 of 10 are too few to tell
    asked = job(0.05, decide=["first"], assent={"other": ()})
    assert levels(found, asked, card("other", 0.5), card("first", 0.8))["other"] == 0.0


def test_real_is_below_almost_all_fakes_of_the_worst_dataset() -> None:
    fakes = [i / 100 for i in range(10, 30)]
    panel = np.array([0.5 + value for value in fakes] + fakes)
    found = heard([1] * 40, [list(panel)], ["old"] * 20 + ["new"] * 20)
    rows = found.unseen_by([0])
    assert _lowest(found, panel, rows, 0.10) == pytest.approx(0.12)  # two of twenty lie below
    assert _lowest(found, panel, rows, 0.0) == pytest.approx(0.10)


def test_a_models_card_tells_what_it_learned_from(faces: Path) -> None:
    dataset = read_dataset(faces)
    settings = TrainSettings(valid_share=0.34).to_dict()
    known = {"name": "elsewhere", "digest": digest(dataset)}
    same = replace(card("m", 0.5), training={"datasets": [known], "train": settings})
    videos = {crop.video for crop in dataset.crops}
    learned = videos_learned(dataset, same)
    assert len(videos) - len(learned) == 2  # one of each class validated it
    named = replace(card("m", 0.5), training={"datasets": [{"name": "faces", "digest": "other"}]})
    assert videos_learned(dataset, named) == videos
    assert videos_learned(dataset, card("m", 0.5)) == set()


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
    lite, meso = (read_card(name).smallest_face or 0.0 for name in ("mesolite", "meso4"))
    assert card.smallest_face == lite < meso  # meso4 can only hold back
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


def test_assent_is_said_in_one_form() -> None:
    assert assents_of(["meso4=mesolite", "meso4=second"]) == {"meso4": ("mesolite", "second")}
    assert assents_of(["meso4"]) == {"meso4": ()}
    for texts in (["=mesolite"], ["meso4="], ["meso4", "meso4=mesolite"], ["meso4", "meso4"]):
        with pytest.raises(ModelError, match="write NAME, or NAME=DECIDER"):
            assents_of(texts)

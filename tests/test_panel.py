"""A panel: several models under one name, each heard on a common scale.

The most alarmed one decides.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from mesovid.cli import cli
from mesovid.dataset.manifest import read_dataset
from mesovid.errors import ModelError
from mesovid.evaluation.evaluate import evaluate
from mesovid.evaluation.predict import predict
from mesovid.explain.explainer import Explainer
from mesovid.models.card import PANEL, Member, ModelCard, read_card
from mesovid.models.classifier import load_model
from mesovid.models.publish import publish
from mesovid.records import Face, FaceScore
from mesovid.report.reader import read_results
from mesovid.report.writers import to_json
from mesovid.scanner import Scanner
from mesovid.verdict import Rule, Voice, judge, label_at


def member(name: str, **how: object) -> Member:
    return Member(name, str(read_card(name).sha256["onnx"]), **how)  # type: ignore[arg-type]


@pytest.fixture
def panel(tmp_path: Path) -> Path:
    card = ModelCard(
        name="three",
        architecture=PANEL,
        geometry=read_card("meso4").geometry,
        members=(
            member("meso4", decides=False),
            member("mesolite", scale=0.5, shift=0.25),
            member("mesoinception4", scale=2.0, shift=-1.0),
        ),
        threshold=0.6,
        uncertain=(0.3, 0.6),
    )
    card.write(tmp_path)
    return tmp_path / "three.json"


@pytest.fixture
def faces() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, 256, 256, 3), dtype=np.uint8)


def test_the_most_alarmed_of_those_that_decide_is_heard(panel: Path, faces: np.ndarray) -> None:
    loaded = load_model(panel)
    together, apart = loaded.with_members(faces)
    alone = [load_model(name)(faces) for name in ("meso4", "mesolite", "mesoinception4")]
    for column, (scale, shift) in enumerate([(1.0, 0.0), (0.5, 0.25), (2.0, -1.0)]):
        raw = np.log(alone[column] / (1 - alone[column]))
        assert apart[:, column] == pytest.approx(1 / (1 + np.exp(-(scale * raw + shift))), abs=1e-6)
    assert together == pytest.approx(apart[:, 1:].max(axis=1))
    assert loaded(faces) == pytest.approx(together)
    assert loaded(faces[:0]).shape == (0,)


def test_a_single_model_has_no_members(faces: np.ndarray) -> None:
    assert load_model("meso4").with_members(faces)[1].shape == (3, 0)


def test_a_scan_shows_what_each_model_says(
    panel: Path, tmp_path: Path, astronaut: np.ndarray
) -> None:
    picture = tmp_path / "portrait.png"
    cv2.imwrite(str(picture), cv2.cvtColor(np.array(astronaut), cv2.COLOR_RGB2BGR))
    scan = Scanner(panel).scan(picture)
    value = to_json(scan)
    names = ["meso4", "mesolite", "mesoinception4"]
    assert value["model"]["members"] == names
    (face,) = value["frames"][0]["faces"]
    assert list(face["members"]) == names
    assert face["fake_probability"] == max(
        face["members"]["mesolite"], face["members"]["mesoinception4"]
    )
    assert value["people"][0]["members"] == face["members"]
    heard = max(names[1:], key=lambda name: float(face["members"][name]))
    assert f"Of its models {heard} was heard" in value["reason"]
    assert f"beside it meso4 {face['members']['meso4']:.2f}" in value["reason"]
    written = tmp_path / "scan.jsonl"
    written.write_text(json.dumps(value) + "\n")
    (back,) = read_results(written)
    assert to_json(back) == value


def test_a_panel_of_other_weights_is_refused(panel: Path) -> None:
    card = read_card(panel)
    strange = replace(card.members[1], sha256="0" * 64)
    replace(card, members=(card.members[0], strange)).write(panel.parent)
    with pytest.raises(ModelError, match="was made with another mesolite"):
        load_model(panel)


def test_two_rules_are_two_models(panel: Path) -> None:
    before = load_model(panel).ref.sha256
    card = read_card(panel)
    replace(card, members=(card.members[0], replace(card.members[1], shift=1.0))).write(
        panel.parent
    )
    assert load_model(panel).ref.sha256 != before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"members": []}, "has members"),
        ({"architecture": "meso4"}, "has members"),
        (
            {"members": [{"name": "meso4", "sha256": "", "decides": False}]},
            "no member of the panel decides",
        ),
        ({"members": [{"name": "meso4", "sha256": "", "scale": -1.0}]}, "scale above 0"),
        ({"members": [{"name": "meso4", "sha256": "", "assents_from": 2.0}]}, "assents from 2"),
        ({"finds": "swaps", "clears_below": 0.999}, "clears below 0.999"),
        ({"finds": "swaps", "clears_below": -0.1}, "clears below -0.1"),
        ({"finds": " ", "clears_below": 0.1}, "does not say of what"),
        (
            {"members": [{"name": "meso4", "sha256": "", "clears_below": 0.1}]},
            "meso4 clears, and does not say of what",
        ),
    ],
)
def test_a_panel_that_makes_no_sense_is_refused(
    panel: Path, change: dict[str, object], message: str
) -> None:
    panel.write_text(json.dumps(json.loads(panel.read_text()) | change))
    with pytest.raises(ModelError, match=message):
        read_card(panel)


def test_members_must_cut_faces_alike(panel: Path) -> None:
    card = read_card(panel)
    replace(card, geometry=replace(card.geometry, scale=3.0)).write(panel.parent)
    with pytest.raises(ModelError, match="cuts faces otherwise"):
        load_model(panel)


def test_of_a_panel_the_model_that_decides_is_explained(panel: Path) -> None:
    card = read_card(panel)
    shown = replace(card.members[2], decides=False)
    replace(card, members=(*card.members[:2], shown)).write(panel.parent)
    assert Explainer(panel).card.name == "mesolite"


def test_what_needs_one_network_says_so(panel: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="look inside one of its models: meso4, mesolite"):
        Explainer(panel)
    with pytest.raises(ModelError, match="is a panel; a scoreboard"):
        publish(panel, tmp_path / "published", scoreboard=tmp_path / "board.md")
    assert (
        publish(panel, tmp_path / "published", summary="three at once").summary == "three at once"
    )
    assert [file.name for file in (tmp_path / "published").iterdir()] == ["three.json"]
    result = CliRunner().invoke(cli, ["models", "show", str(panel)])
    assert "mesoinception4" in result.output


def scores(*pairs: tuple[float, float]) -> list[FaceScore]:
    face = Face((0.0, 0.0, 120.0, 120.0), 1.0, np.zeros((5, 2), np.float32))
    return [
        FaceScore(i, i / 2, face, 0, lite, (meso, lite)) for i, (meso, lite) in enumerate(pairs)
    ]


@pytest.mark.parametrize(
    ("meso", "lite", "label"),
    [(0.7, 0.95, "fake"), (0.5, 0.95, "uncertain"), (0.9, 0.5, "uncertain"), (0.9, 0.1, "real")],
    ids=[
        "both suspect",
        "one disagrees",
        "the other alone decides nothing",
        "nor does it keep from real",
    ],
)
def test_nothing_is_called_fake_unless_both_agree(meso: float, lite: float, label: str) -> None:
    voices = (Voice("meso4", decides=False, assents_from=0.6), Voice("mesolite"))
    verdict = judge(scores(*[(meso, lite)] * 4), Rule(0.8, (0.2, 0.8), members=voices)).verdict
    assert verdict.label == label
    assert verdict.fake_probability == pytest.approx(lite)
    assert ("meso4 with 0.50 does not agree, as it would from 0.60 on" in verdict.reason) == (
        meso == 0.5
    )
    assert f"The score is mesolite's; meso4 gives {meso:.2f}." in verdict.reason


@pytest.mark.parametrize(
    ("meso", "lite", "texture", "label"),
    [
        (0.5, 0.95, 0.1, "uncertain"),
        (0.5, 0.1, 0.95, "fake"),
        (0.5, 0.95, 0.95, "fake"),
        (0.7, 0.95, 0.1, "fake"),
    ],
    ids=["one is asked", "one is not asked", "both find so", "who is asked agrees"],
)
def test_a_model_is_asked_about_what_one_other_finds(
    meso: float, lite: float, texture: float, label: str
) -> None:
    voices = (
        Voice("meso4", decides=False, assents_from=0.6, assents_to=("mesolite",)),
        Voice("mesolite"),
        Voice("texture"),
    )
    face = Face((0.0, 0.0, 120.0, 120.0), 1.0, np.zeros((5, 2), np.float32))
    worst = max(lite, texture)
    given = [FaceScore(i, i / 2, face, 0, worst, (meso, lite, texture)) for i in range(4)]
    assert judge(given, Rule(0.8, (0.2, 0.8), members=voices)).verdict.label == label


def test_who_is_sure_needs_no_assent() -> None:
    voices = (
        Voice("meso4", decides=False, assents_from=0.6),
        Voice("mesolite", sure_from=0.9),
        Voice("third"),
    )
    rule = Rule(0.8, None, members=voices)
    for said, label in (
        ((0.1, 0.89, 0.1), "uncertain"),
        ((0.1, 0.9, 0.1), "fake"),
        ((0.1, 0.1, 0.95), "uncertain"),  # the third is never sure
        ((0.1, 0.9, 0.95), "fake"),
        ((0.7, 0.85, 0.1), "fake"),
    ):
        assert label_at(max(said[1:]), rule, said)[0] == label
    own = Rule.of(replace(read_card("panel"), threshold=0.5), 0.5)
    assert label_at(0.6, own, (0.0, 0.6))[0] == "fake"  # by a threshold of one's own


def test_where_none_alone_finds_so_the_most_suspicious_is_asked_about() -> None:
    voices = (
        Voice("meso4", decides=False, assents_from=0.6, assents_to=("mesolite",)),
        Voice("mesolite"),
        Voice("texture"),
    )
    face = Face((0.0, 0.0, 120.0, 120.0), 1.0, np.zeros((5, 2), np.float32))
    turns = [(0.9, 0.6), (0.65, 0.9)] * 2  # each of the two in turn; .83 together
    given = [FaceScore(i, i / 2, face, 0, max(pair), (0.5, *pair)) for i, pair in enumerate(turns)]
    assert judge(given, Rule(0.8, (0.2, 0.8), members=voices)).verdict.label == "uncertain"
    assert (
        judge(
            [
                FaceScore(i, i / 2, face, 0, max(a, b), (0.5, b, a))
                for i, (a, b) in enumerate(turns)
            ],
            Rule(0.8, (0.2, 0.8), members=voices),
        ).verdict.label
        == "fake"
    )


def test_a_single_face_is_called_fake_only_where_who_is_asked_agrees() -> None:
    voices = (Voice("meso4", decides=False, assents_from=0.6), Voice("mesolite"))
    rule = Rule(0.8, (0.2, 0.8), members=voices)
    assert label_at(0.9, rule, (0.5, 0.9))[0] == "uncertain"
    assert label_at(0.9, rule, (0.7, 0.9))[0] == "fake"
    assert label_at(0.9, rule)[0] == "fake"  # what they say is not known


def test_an_evaluation_asks_for_assent_as_a_scan_does(tmp_path: Path) -> None:
    """A panel that calls all fake, and one whose asked model never agrees."""
    rng = np.random.default_rng(0)
    for label in ("real", "fake"):
        (tmp_path / "faces" / label).mkdir(parents=True)
        for n in range(2):
            noise = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / "faces" / label / f"{n}.png"), noise)
    panel = read_card("panel")
    meso4, mesolite = panel.members
    for name, level, called in (("easy", 0.0, 1.0), ("never", 1.0, 0.0)):
        decides = replace(mesolite, shift=16.0, sure_from=None)
        asked = replace(meso4, assents_from=level), decides
        replace(panel, name=name, threshold=0.5, uncertain=None, members=asked).write(tmp_path)
        found = evaluate(read_dataset(tmp_path / "faces"), [load_model(tmp_path / f"{name}.json")])
        rates = found.models[0].verdicts
        assert [rate.called_fake.value for rate in rates] == [called] * len(rates)
        faces = [(path, None) for path in sorted((tmp_path / "faces").rglob("*.png"))]
        labels = [each.label for each in predict(faces, load_model(tmp_path / f"{name}.json"))]
        assert labels == ["fake" if called else "uncertain"] * 4

"""Evaluation from crops on disk to figures, tables, plots and the page.

The detector looks at brightness.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper

from mesovid.cli import cli
from mesovid.dataset.manifest import CropEntry, read_dataset, write_card, write_manifest
from mesovid.errors import DatasetError, InputError, SettingsError
from mesovid.evaluation import degrade
from mesovid.evaluation.evaluate import Evaluation, choose_splits, evaluate, native_side
from mesovid.evaluation.plots import mistakes_sheet, plots
from mesovid.evaluation.results import to_json
from mesovid.evaluation.scoreboard import add
from mesovid.evaluation.tables import all_tables, to_text
from mesovid.models.card import ModelCard, read_card, sha256_of
from mesovid.models.classifier import load_model
from mesovid.models.publish import publish
from mesovid.settings import EvaluateSettings, Geometry

SIZE = 32
GEOMETRY = Geometry(size=SIZE)
QUICK = EvaluateSettings(resamples=100)
# px of the frame
LANDMARKS = ((10.0, 10.0), (20.0, 10.0), (15.0, 16.0), (11.0, 22.0), (19.0, 22.0))
# video -> (label, method, original, brightness of its crops by person)
VIDEOS = {
    "real/a": ("real", None, None, {0: 40}),
    "real/b": ("real", None, None, {0: 60, 1: 90}),
    "real/c": ("real", None, None, {0: 170}),  # a false alarm
    "df/a": ("fake", "Deepfakes", "real/a", {0: 200}),
    "df/b": ("fake", "Deepfakes", "real/b", {0: 50, 1: 220}),
    "fs/c": ("fake", "FaceSwap", "real/c", {0: 110}),  # missed, and below its own original
}


def write_model(folder: Path, name: str = "bright", slope: float = 12.0) -> Path:
    """A model on disk: P(fake) rises with brightness, 0.5 at 128."""
    folder.mkdir(parents=True, exist_ok=True)
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["f"], ["m"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["m", "slope"], ["s"]),
        helper.make_node("Add", ["s", "shift"], ["l"]),
        helper.make_node("Sigmoid", ["l"], ["p"]),
    ]
    constants = [
        helper.make_tensor("slope", TensorProto.FLOAT, [1], [slope / 255]),
        helper.make_tensor("shift", TensorProto.FLOAT, [1], [-slope * 128 / 255]),
    ]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["n", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["n"])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / f"{name}.onnx")
    card = ModelCard(
        name=name, architecture="brightness", geometry=GEOMETRY, uncertain=(0.35, 0.45)
    )
    replace(card, sha256={"onnx": sha256_of(folder / f"{name}.onnx")}).write(folder)
    return folder / f"{name}.json"


def write_dataset(root: Path, split: str = "dev", frames: int = 4) -> Path:
    """Grey crops with a little texture, four frames a person."""
    rng = np.random.default_rng(0)
    crops = []
    for video, (label, method, original, people) in VIDEOS.items():
        for person, brightness in people.items():
            for frame in range(frames):
                file = f"{split}/{label}/{video}/{frame:06d}_{person}.png"
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                noise = rng.integers(-8, 9, (SIZE, SIZE, 3))
                cv2.imwrite(
                    str(root / file), np.clip(brightness + frame + noise, 0, 255).astype(np.uint8)
                )
                crops.append(
                    CropEntry(
                        file=file,
                        label=label,
                        method=method,
                        video=video,
                        original=original,
                        person=person,
                        frame=frame,
                        time=frame / 25,
                        split=split,
                        landmarks=LANDMARKS,
                        group=video[-1],
                    )
                )
    write_manifest(root, crops)
    write_card(root, geometry=GEOMETRY, layout="ffpp", settings={}, crops=crops)
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def evaluation(folder: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Two models, three kinds of damage."""
    other = write_model(tmp_path_factory.mktemp("other"), "dull", -2.0)
    settings = replace(QUICK, degrade="brightness:0.5,jpeg:40,blur:1")
    return evaluate(read_dataset(folder), [load_model(model), load_model(other)], settings)


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def test_figures_follow_from_the_videos(evaluation: Evaluation) -> None:
    found = evaluation.models[0]
    assert list(found.video_scores.video) == sorted(VIDEOS)
    # the most suspicious person decides: real/b by 90, df/b by 220
    expected = {name: max(people.values()) for name, (_, _, _, people) in VIDEOS.items()}
    scores = 1 / (
        1 + np.exp(-12 / 255 * (np.array([expected[name] for name in sorted(VIDEOS)]) + 1.5 - 128))
    )
    assert found.video_scores.probability == pytest.approx(scores, abs=0.02)
    assert (found.videos.reals, found.videos.fakes) == (3, 3)
    assert found.videos.auc.value == pytest.approx(8 / 9)
    assert found.videos.accuracy.value == pytest.approx(4 / 6)
    assert {each.method: each.videos.auc.value for each in found.methods} == {
        "Deepfakes": 1.0,
        "FaceSwap": pytest.approx(2 / 3),
    }
    assert found.pairs is not None
    assert (found.pairs.count, found.pairs.accuracy.value) == (3, pytest.approx(2 / 3))


def test_a_model_that_is_upside_down_is_far_worse(evaluation: Evaluation) -> None:
    upside_down = evaluation.models[1]
    assert upside_down.videos.auc.value is not None
    assert upside_down.videos.auc.value < 0.5
    (comparison,) = evaluation.comparisons
    assert (comparison.model, comparison.other) == ("dull", "bright")
    area = next(each for each in comparison.differences if each.figure == "auc")
    assert area.low < area.value < 0
    assert area.value == pytest.approx(upside_down.videos.auc.value - 8 / 9)


def test_verdicts_count_the_band_apart(evaluation: Evaluation) -> None:
    rates = {each.name: each for each in evaluation.models[0].verdicts}
    assert rates["real"].called_fake.value == pytest.approx(1 / 3)
    # fs/c lies at .31 on .35 to .45: called real, and the shares of a class make one
    assert rates["FaceSwap"].called_real.value == 1
    assert list(rates) == ["real", "all fakes", "Deepfakes", "FaceSwap"]
    assert rates["all fakes"].called_fake.value == pytest.approx(2 / 3)
    for each in rates.values():
        assert each.cleared.value == 0
        shares = (each.called_fake, each.uncertain, each.called_real, each.no_verdict)
        assert sum(share.value or 0 for share in shares) == pytest.approx(1)


def test_videos_without_a_sign_are_counted_among_the_uncertain(
    folder: Path, model: Path, tmp_path: Path
) -> None:
    sees = write_model(tmp_path / "sees")
    own = read_card(sees)
    band, level = (0.0, own.threshold), 0.35
    replace(own, finds="swaps", uncertain=band, clears_below=level).write(sees.parent)
    found = evaluate(read_dataset(folder), [load_model(sees)], QUICK)
    rates = {each.name: each for each in found.models[0].verdicts}
    assert rates["FaceSwap"].uncertain.value == 1  # fs/c lies at .31
    assert rates["FaceSwap"].cleared.value == 1
    assert rates["Deepfakes"].cleared.value == 0
    text = to_text(found)
    assert "- no sign" in text
    assert "no sign: of what the model can see" in text
    board = tmp_path / "board.md"
    add(board, "A set", found)
    assert "| - no sign |" in board.read_text()
    told = publish(sees, tmp_path / "told", scoreboard=board)
    figures = {(each.metric, each.subset): each.value for each in told.figures}
    assert figures["share cleared", "FaceSwap"] == 1
    # a board from before there was such a figure
    older = json.loads(board.with_suffix(".json").read_text())
    for call in older["entries"][0]["verdicts"]:
        del call["cleared"]
    board.with_suffix(".json").write_text(json.dumps(older))
    add(board, "Another set", evaluate(read_dataset(folder), [load_model(model)], QUICK))
    assert "| - no sign |" not in board.read_text()
    figures = publish(sees, tmp_path / "older", scoreboard=board).figures
    assert "share cleared" not in {each.metric for each in figures}


def test_a_video_with_too_few_faces_has_no_verdict(
    folder: Path, model: Path, evaluation: Evaluation, tmp_path: Path
) -> None:
    # four faces each, but for real/b and df/b: two people, whose eight faces are judged as one
    settings = replace(QUICK, min_faces=5)
    few = evaluate(read_dataset(folder), [load_model(model)], settings)
    rates = {each.name: each for each in few.models[0].verdicts}
    assert rates["real"].no_verdict.value == pytest.approx(2 / 3)
    assert rates["real"].called_fake.value == 0  # real/c, the false alarm, has four faces
    assert rates["FaceSwap"].no_verdict.value == 1
    assert {mistake.video for mistake in few.models[0].mistakes} <= {"real/b", "df/b"}
    assert "No verdict" in to_text(few)
    assert "No verdict" not in to_text(evaluation)
    add(tmp_path / "board.md", "A set", few)
    assert "| No verdict |" in (tmp_path / "board.md").read_text()


def test_damage_is_measured_on_the_same_crops(evaluation: Evaluation) -> None:
    dark, codec, blurred = evaluation.models[0].robustness
    assert dark.videos.recall.value is not None
    assert evaluation.models[0].videos.recall.value is not None
    # half as bright: less fake
    assert dark.videos.recall.value < evaluation.models[0].videos.recall.value
    for mild in (codec, blurred):
        assert mild.videos.auc.value == pytest.approx(8 / 9)
        assert mild.change is not None
        assert mild.change.value == 0


def test_mistakes_are_the_videos_on_the_wrong_side_worst_first(evaluation: Evaluation) -> None:
    mistakes = evaluation.models[0].mistakes
    assert [each.video for each in mistakes] == ["real/c", "fs/c"]
    assert not mistakes[0].fake
    assert mistakes[0].crop_probability >= mistakes[0].probability
    assert mistakes[1].crop_probability <= mistakes[1].probability


def test_a_damaged_crop_is_left_out_and_named(tmp_path: Path, model: Path) -> None:
    root = write_dataset(tmp_path / "set")
    broken = sorted(root.rglob("*.png"))
    broken[0].write_bytes(b"no picture")
    broken[1].unlink()
    cv2.imwrite(str(broken[2]), np.zeros((8, 9, 3), np.uint8))
    found = evaluate(read_dataset(root), [load_model(model)], QUICK)
    assert {each.file for each in found.excluded} == {
        file.relative_to(root).as_posix() for file in broken[:3]
    }
    reasons = " ".join(each.reason for each in found.excluded)
    assert "damaged" in reasons
    assert "No such file" in reasons
    assert "a face of 9x8 px, not of 32x32" in reasons
    assert len(found.models[0].scores) == sum(4 * len(people) for *_, people in VIDEOS.values()) - 3
    assert "Left out: " in to_text(found)
    assert "2 more" in to_text(found)


def test_a_dataset_of_damaged_crops_alone_is_refused(tmp_path: Path, model: Path) -> None:
    root = write_dataset(tmp_path / "set")
    for file in root.rglob("*.png"):
        file.write_bytes(b"")
    with pytest.raises(DatasetError, match=r"no crop could be read; .*the file is empty"):
        evaluate(read_dataset(root), [load_model(model)], QUICK)


def test_reals_alone_give_the_share_of_false_alarms(tmp_path: Path, model: Path) -> None:
    for i, brightness in enumerate((20, 40, 60, 200)):
        file = tmp_path / "set" / "real" / f"{i:04d}x.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), np.full((SIZE * 2, SIZE * 2, 3), brightness, np.uint8))
    found = evaluate(read_dataset(tmp_path / "set"), [load_model(model)], QUICK)
    videos = found.models[0].videos
    assert videos.auc.value is videos.calibration_error.value is None
    assert videos.false_alarms.value == 0.25
    text = to_text(found)
    assert "All faces are real" in text
    assert "25.0 %" in text
    assert "AUC" not in text.replace("there is no AUC", "")
    assert "How these crops were cut is unknown" in text
    assert set(plots(found)) == {"scores"}


def test_crops_cut_otherwise_are_refused_with_both_values(folder: Path, model: Path) -> None:
    dataset = replace(read_dataset(folder), geometry=replace(GEOMETRY, scale=2.0))
    with pytest.raises(DatasetError, match=r"scale is 2\.0, bright wants 2\.96.*--geometry bright"):
        evaluate(dataset, [load_model(model)], QUICK)


@pytest.mark.parametrize(
    ("there", "asked", "expected"),
    [
        (("train", "dev", "test"), None, ("test",)),
        (("train", "valid", "dev"), None, ("dev",)),
        (("train", "valid"), None, ("valid",)),
        ((None,), None, (None,)),
        (("dev", "train"), "train", ("train",)),
        (("dev", "test", "train"), "dev,test", ("dev", "test")),
        (("train", "valid"), "val", ("valid",)),
        (("dev", "train"), "all", ("dev", "train")),
    ],
)
def test_choice_of_split(
    folder: Path, there: tuple[str | None, ...], asked: str | None, expected: tuple[str | None, ...]
) -> None:
    dataset = read_dataset(folder)
    crops = tuple(replace(dataset.crops[0], split=split) for split in there)
    assert choose_splits(replace(dataset, crops=crops), asked) == expected


@pytest.mark.parametrize(
    ("split", "asked", "message"),
    [
        ("train", None, "has no split test, dev or valid but train"),
        ("dev", "test", "has no split 'test'; it has dev"),
    ],
)
def test_a_missing_split_is_named(
    folder: Path, split: str, asked: str | None, message: str
) -> None:
    dataset = read_dataset(folder)
    crops = tuple(replace(crop, split=split) for crop in dataset.crops)
    with pytest.raises(DatasetError, match=message):
        choose_splits(replace(dataset, crops=crops), asked)


def test_groups_are_what_originals_and_people_tie_together(folder: Path, model: Path) -> None:
    dataset = read_dataset(folder)
    crops = tuple(replace(crop, group=None) for crop in dataset.crops)
    crops = tuple(
        replace(crop, target="x") if crop.video in ("fs/c", "real/a") else crop for crop in crops
    )
    found = evaluate(
        replace(dataset, crops=crops), [load_model(model)], replace(QUICK, cluster="group")
    )
    videos = found.models[0].video_scores
    together = {frozenset(videos.video[videos.group == group].tolist()) for group in videos.group}
    assert together == {
        frozenset({"real/b", "df/b"}),
        frozenset({"real/a", "df/a", "real/c", "fs/c"}),
    }
    assert "over groups of videos" in to_text(found)


# Damage


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("h265:3", "unknown degradation 'h265:3'; known: h264"),
        ("h264", "h264 takes a constant rate factor"),
        ("h264:99", "from 0 to 51; got '99'"),
        ("blur:nan", "got 'nan'"),
    ],
)
def test_unknown_damage_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        degrade.parse(text)


def test_the_same_crops_are_compressed_alike_each_time() -> None:
    """Frames of 13 to 15 macroblocks' width came out otherwise: see `degrade.x264_options`."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (20, 20, 3), dtype=np.uint8)
    for side in (202, 214, 238):
        picture = cv2.resize(noise, (side, side))
        crops = [np.ascontiguousarray(np.roll(picture, i, axis=1)) for i in range(12)]
        (damage,) = degrade.parse("h264:30")
        found = []
        for _ in range(4):
            random.bytes(3_000_000)  # other bytes lie about
            found.append(np.stack(degrade.degrade(crops, damage, [None] * len(crops))))
        assert all(np.array_equal(found[0], other) for other in found[1:]), side


@pytest.mark.parametrize(
    ("mild", "strong"),
    [
        ("h264:15", "h264:45"),
        ("jpeg:90", "jpeg:10"),
        ("resize:0.8", "resize:0.2"),
        ("blur:0.5", "blur:4"),
        ("noise:2", "noise:20"),
        ("brightness:0.9", "brightness:0.4"),
        ("gamma:1.1", "gamma:3"),
    ],
)
def test_stronger_damage_is_farther_from_the_picture(
    mild: str, strong: str, astronaut: np.ndarray
) -> None:
    if mild.startswith("h264"):
        pytest.importorskip("av")
    crops = [np.ascontiguousarray(astronaut[i : i + 256, 70:326]) for i in range(0, 40, 10)]
    errors = []
    for damage in degrade.parse(f"{mild},{strong}"):
        damaged = degrade.degrade(crops, damage, [None] * len(crops))
        assert all(
            image.shape == crop.shape and image.dtype == np.uint8
            for image, crop in zip(damaged, crops, strict=True)
        )
        errors.append(
            np.mean(
                [np.abs(a.astype(float) - b).mean() for a, b in zip(damaged, crops, strict=True)]
            )
        )
    assert 0 < errors[0] < errors[1]
    assert degrade.severity(degrade.parse(mild)[0]) < degrade.severity(degrade.parse(strong)[0])


def test_damage_happens_at_the_size_a_face_had_in_its_video(astronaut: np.ndarray) -> None:
    face = cv2.resize(astronaut[:256, 70:326], (64, 64), interpolation=cv2.INTER_AREA)
    crop = cv2.resize(face, (256, 256))
    (blur,) = degrade.parse("blur:1")
    small, large = (degrade.degrade([crop], blur, [size])[0] for size in (64.0, 256.0))
    assert np.abs(small.astype(float) - crop).mean() > 3 * np.abs(large.astype(float) - crop).mean()


def test_a_crop_larger_than_its_face_was_is_not_blurred_by_harmless_damage(
    astronaut: np.ndarray,
) -> None:
    crop = np.ascontiguousarray(astronaut[:256, 70:326])
    (harmless,) = degrade.parse("resize:1")
    assert np.array_equal(degrade.degrade([crop], harmless, [64.0])[0], crop)


def test_the_size_in_the_video_comes_from_the_landmarks(folder: Path) -> None:
    crop = read_dataset(folder).crops[0]
    # from the eyes' centre (15, 10) to the mouth's (15, 22): 12 px, more than between the eyes
    assert native_side(crop, GEOMETRY) == pytest.approx(2.96 * 12)
    assert native_side(crop, None) is None
    assert native_side(replace(crop, landmarks=None), GEOMETRY) is None


# What is shown


def test_text_reads_as_meant(evaluation: Evaluation) -> None:
    golden = Path(__file__).parent / "golden" / "evaluation.txt"
    text = to_text(evaluation).replace(str(evaluation.root), "DATA/set")
    text = re.sub(r"sha256 [0-9a-f]{12}", "sha256 " + "0" * 12, text)
    assert text == golden.read_text(encoding="utf-8")


class _Page(HTMLParser):
    """Collects what a test wants to know of a page, and complains of tags that do not match."""

    void = frozenset({"meta", "img", "br", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.links: list[str] = []
        self.seen: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.seen.append(tag)
        self.links += [str(values[name]) for name in ("href", "action", "data") if name in values]
        if tag == "img":
            assert values["alt"]
            self.sources.append(str(values["src"]))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


def test_the_page_is_whole_and_needs_nothing_else(evaluation: Evaluation) -> None:
    from mesovid.evaluation.page import to_html

    text = to_html(evaluation)
    page = _Page()
    page.feed(text)
    assert page.open == []
    assert page.links == ["data:,"]  # no icon
    assert not {"script", "iframe"} & set(page.seen)
    assert set(re.findall(r"url\([^)]*\)", text)) == {"url(#hatch)"}
    assert "@import" not in text
    mistakes = sum(len(model.mistakes) for model in evaluation.models)
    assert len(page.sources) == 5 + mistakes
    for source in page.sources:
        head, data = source.split(",")
        assert head in ("data:image/png;base64", "data:image/jpeg;base64")
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
    for table in all_tables(evaluation):
        assert table.title in page.text
        for cell in table.rows[0]:
            assert cell in page.text


def test_names_cannot_break_the_page(evaluation: Evaluation) -> None:
    from mesovid.evaluation.page import to_html

    page = _Page()
    page.feed(to_html(replace(evaluation, root=Path("<script>alert(1)</script>&"))))
    assert "script" not in page.seen


def test_plots_are_pictures(evaluation: Evaluation) -> None:
    drawn = plots(evaluation)
    assert set(drawn) == {"roc", "precision_recall", "reliability", "scores", "robustness"}
    for name, picture in drawn.items():
        image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
        assert image.std() > 5, name
    faces = cv2.imdecode(
        np.frombuffer(mistakes_sheet(evaluation, evaluation.models[0].mistakes), np.uint8),
        cv2.IMREAD_COLOR,
    )
    assert faces.shape == (144 + 34, 2 * 144, 3)


def test_the_scoreboard_grows_and_replaces(evaluation: Evaluation, tmp_path: Path) -> None:
    board = tmp_path / "out" / "board.md"
    alone = replace(evaluation, models=evaluation.models[:1], comparisons=())
    add(board, "First set", evaluation)
    add(board, "Second set", alone)
    once = board.read_text()
    add(board, "First set", alone)
    assert board.read_text() == once
    overview = [
        line for line in once.splitlines() if line.startswith(("| First set", "| Second set"))
    ]
    assert len(overview) == 3
    assert "0.889" in overview[0]
    assert once.count("\n## ") == 2
    assert len({line.count("|") for line in overview}) == 1
    entries = json.loads(board.with_suffix(".json").read_text())["entries"]
    assert [(entry["set"], entry["name"]) for entry in entries] == [
        ("First set", "bright"),
        ("First set", "dull"),
        ("Second set", "bright"),
    ]


def test_a_scoreboard_keeps_what_it_or_a_card_shows(evaluation: Evaluation, tmp_path: Path) -> None:
    board = tmp_path / "board.md"
    add(board, "A set", evaluation)
    shown, kept = board.read_text(), board.with_suffix(".json").read_text()
    full = {"set": "A set"} | to_json(evaluation) | to_json(evaluation)["models"][1]
    entries = [*json.loads(kept)["entries"][:1], full]  # as earlier versions kept it
    board.with_suffix(".json").write_text(json.dumps({"schema": 1, "entries": entries}))
    add(board, "A set", replace(evaluation, models=evaluation.models[:1], comparisons=()))
    assert board.read_text() == shown
    assert board.with_suffix(".json").read_text() == kept
    assert len(kept) < len(json.dumps(full)) / 2


def test_a_foreign_file_beside_the_scoreboard_is_left_alone(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    for text in ('{"something": "else"}', '{"schema": 1, "entries": [{"set": "A", "name": "b"}]}'):
        (tmp_path / "board.json").write_text(text)
        with pytest.raises(InputError, match="holds no scoreboard"):
            add(tmp_path / "board.md", "A set", evaluation)
        assert (tmp_path / "board.json").read_text() == text


# The command line


def test_the_command_writes_everything(folder: Path, model: Path, tmp_path: Path) -> None:
    words = [
        "--format",
        "json",
        "--resamples",
        100,
        "-o",
        tmp_path / "r.json",
        "--html",
        tmp_path / "r.html",
    ]
    more = [
        "--plots",
        tmp_path / "plots",
        "--scoreboard",
        tmp_path / "b.md",
        "--split",
        "dev",
    ]
    result = run("evaluate", model, folder, *words, *more)
    assert (result.exit_code, result.output) == (0, "")
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["schema"] == 1
    assert found["models"][0]["videos"]["auc"]["value"] == pytest.approx(8 / 9)
    assert {row["video"] for row in found["models"][0]["scores"]} == set(VIDEOS)
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    assert {file.name for file in (tmp_path / "plots").iterdir()} >= {
        "roc.png",
        "scores.png",
        "mistakes.png",
    }
    assert "| set dev | bright |" in (tmp_path / "b.md").read_text()


def test_the_chosen_split_is_said(folder: Path, model: Path) -> None:
    result = run("evaluate", model, folder, "--resamples", 100)
    assert result.exit_code == 0
    assert "measuring on the 32 faces of split dev" in result.stderr
    assert "AUC" in result.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["DATA"], "name at least one model"),
        (["MODEL", "DATA", "--scoreboard", "x.txt"], "must end in .md"),
        (["MODEL", "DATA", "--resamples", "3"], "resamples is 3; it must be at least 100"),
    ],
)
def test_wrong_usage_ends_with_two(
    words: list[str], message: str, folder: Path, model: Path
) -> None:
    places = {"DATA": folder, "MODEL": model}
    result = run("evaluate", *(places.get(word, word) for word in words))
    assert result.exit_code == 2
    assert message in result.output


def test_evaluating_imports_no_tensorflow(folder: Path, model: Path) -> None:
    program = (
        "import sys\n"
        "from mesovid.cli import cli\n"
        f"try: cli(['evaluate', {str(model)!r}, {str(folder)!r}, '--resamples', '100'])\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'tensorflow', 'keras', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    root = Path(__file__).resolve().parent.parent
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, cwd=root)


def test_outputs_over_the_dataset_or_the_model_are_refused(tmp_path: Path, model: Path) -> None:
    root = write_dataset(tmp_path / "set", frames=1)
    picture = next(root.rglob("*.png"))
    (tmp_path / "linked.html").hardlink_to(root / "manifest.jsonl")
    card = next(model.glob("*.json")) if model.is_dir() else model
    before = {path: path.read_bytes() for path in (picture, root / "manifest.jsonl", card)}
    for option, output in (
        ("-o", root / "manifest.jsonl"),
        ("-o", picture),
        ("--html", tmp_path / "linked.html"),
        ("-o", card),
        ("--html", tmp_path / "page.png"),
    ):
        assert isinstance(run("evaluate", model, root, option, output).exception, SettingsError), (
            output
        )
    assert before == {path: path.read_bytes() for path in before}

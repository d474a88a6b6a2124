"""A run gives a model that scans, the same one each time, whatever stops it in between."""

from __future__ import annotations

import csv
import dataclasses
import errno
import gc
import io
import itertools
import json
import shutil
import subprocess
import sys
import textwrap
import weakref
from collections.abc import Iterator
from pathlib import Path

import cv2
import keras
import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner

from mesovid.cli import cli
from mesovid.dataset.manifest import CropEntry, Dataset, read_dataset
from mesovid.errors import DatasetError, ModelError, TrainingError
from mesovid.evaluation.calibrate import calibrate
from mesovid.models.card import read_card
from mesovid.models.classifier import load_model
from mesovid.pictures import read_crop, resized
from mesovid.records import Pixels
from mesovid.settings import (
    AugmentSettings,
    Geometry,
    NetworkSettings,
    SettingsError,
    TrainSettings,
)
from mesovid.training import checkpoint, fit
from mesovid.training.feed import Feed, Teacher
from mesovid.training.fit import train
from mesovid.training.job import Reporter, TrainJob
from mesovid.training.prepare import prepare
from mesovid.training.run_folder import writing
from mesovid.training.sampler import Batch, Sampler
from mesovid.training.samples import CropReader, Samples, self_blended, training_data
from mesovid.training.trainer import learning_rate

SIZE = 64  # px
QUICK = TrainSettings(epochs=2, batch_size=8, learning_rate=3e-3, workers=2)
GEOMETRY = Geometry(size=SIZE)


def write_dataset(
    root: Path, face: np.ndarray, *, geometry: Geometry | None = GEOMETRY, videos: int = 6
) -> Path:
    """Crops of one face, four a video; in the fakes, a square of the skin has lost its detail."""
    rng = np.random.default_rng(5)
    lines = []
    for split, count in (("train", videos), ("valid", 4)):
        for video in range(count):
            for fake in (False, True):
                for frame in range(4):
                    image = cv2.resize(face, (SIZE, SIZE), interpolation=cv2.INTER_AREA).astype(
                        np.int16
                    )
                    image = np.clip(
                        image + rng.integers(-20, 20, 3) + rng.integers(-12, 12, image.shape),
                        0,
                        255,
                    )
                    if fake:
                        image[16:48, 16:48] = cv2.blur(image[16:48, 16:48].astype(np.uint8), (9, 9))
                    key = f"{split}{video}{'_swap' if fake else ''}"
                    label = "fake" if fake else "real"
                    file = f"{split}/{label}/{key}/{frame}_0.png"
                    (root / file).parent.mkdir(parents=True, exist_ok=True)
                    cv2.imwrite(str(root / file), image.astype(np.uint8)[..., ::-1])
                    lines.append(
                        CropEntry(
                            file=file,
                            label=label,
                            video=key,
                            frame=frame,
                            split=split,
                            method="swap" if fake else None,
                            original=f"{split}{video}" if fake else None,
                            group=f"{split}{video}",
                        )
                    )
    text = "".join(json.dumps(dataclasses.asdict(line)) + "\n" for line in lines)
    (root / "manifest.jsonl").write_text(text)
    card = {
        "schema": 1,
        "layout": "test",
        "settings": {},
        "geometry": geometry and geometry.to_dict(),
    }
    (root / "dataset.json").write_text(json.dumps(card))
    return root


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray) -> Path:
    return write_dataset(tmp_path_factory.mktemp("faces"), astronaut[30:230, 120:320])


@pytest.fixture(scope="session")
def dataset(faces: Path) -> Dataset:
    return read_dataset(faces)


@pytest.fixture(scope="session")
def run(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two epochs."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    train(job(faces, folder))
    return folder


def job(faces: Path, folder: Path, settings: TrainSettings = QUICK, **others: object) -> TrainJob:
    others = {"augment": AugmentSettings(jpeg=0.3, h264=0.3, noise=0.3), **others}
    return TrainJob(datasets=[faces], folder=folder, name="small", train=settings, **others)  # type: ignore[arg-type]


def curve(folder: Path) -> list[list[str]]:
    """The history but for what a clock says."""
    with (folder / "history.csv").open(newline="") as file:
        return [
            [value for key, value in line.items() if "second" not in key]
            for line in csv.DictReader(file)
        ]


class Killed(BaseException):
    """Stands for a signal: nothing in the product catches it."""


def killed_in(epoch: int) -> Reporter:
    def step(now: int, done: int, of: int) -> None:
        if now == epoch and done == of:
            raise Killed

    return Reporter(step=step)


# --- runs


def test_a_class_that_nobody_can_tell_stops_a_run_until_it_is_told(
    faces: Path, tmp_path: Path
) -> None:
    root = tmp_path / "set"
    for file in faces.glob("*/*/*/*.png"):
        split, label, video, _ = file.relative_to(faces).parts
        copy = root / split / ("notfake" if label == "fake" else label) / video / file.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(copy), cv2.resize(cv2.imread(str(file)), (256, 256)))
    words = ["train", str(root), "-o", str(tmp_path / "mine"), "-q", "--epochs", "1"]
    words += ["--steps", "1", "--batch-size", "4", "--valid-frames", "1"]
    refused = CliRunner().invoke(cli, words)
    assert "--label notfake=fake" in str(refused.exception)
    assert not (tmp_path / "mine").exists()
    mended = CliRunner().invoke(cli, [*words, "--label", "notfake=fake"])
    assert mended.exit_code == 0, mended.output
    assert read_card(tmp_path / "mine").training["crops"] == {"train": 48, "valid": 8}


def test_a_run_ends_with_a_model_that_judges(run: Path, dataset: Dataset) -> None:
    model = load_model(run)
    card = model.card
    assert (card.name, card.geometry, card.architecture) == ("small", GEOMETRY, "meso4")
    assert card.agreement["largest_difference"] <= card.agreement["tolerance"]
    assert card.figures[0].metric == "video AUC"
    assert card.training["datasets"][0]["digest"]
    crops = np.stack(
        [read_crop(dataset.path(crop), SIZE) for crop in dataset.of_split("valid")[:5]]
    )
    assert np.isfinite(model(crops)).all()
    there = {path.name for path in run.iterdir()}
    assert {
        "run.json",
        "history.csv",
        "curves.png",
        "samples.png",
        "best.keras",
        "last.keras",
    } <= there
    assert not [name for name in there if name.startswith(".mesovid-")]
    assert json.loads((run / "run.json").read_text())["status"] == "finished"


def plan_of_an_earlier_version(folder: Path, section: str, **other: object) -> str:
    """Rewrites a run's plan as it was before options were dropped and others added."""
    file = folder / "run.json"
    about = json.loads(file.read_text())
    about["plan"]["train"] |= TrainSettings.dropped
    about["plan"]["augment"] |= AugmentSettings.dropped
    about["plan"]["network"] |= NetworkSettings.dropped
    del about["plan"]["augment"]["augment"]
    about["plan"][section] |= other
    file.write_text(json.dumps(about))
    return file.read_text()


def test_the_same_seed_gives_the_same_model_even_after_a_kill(
    faces: Path, run: Path, tmp_path: Path
) -> None:
    with pytest.raises(Killed):
        train(job(faces, tmp_path / "killed"), killed_in(2))
    assert len(curve(tmp_path / "killed")) == 1
    with pytest.raises(ModelError, match="training is not finished"):
        load_model(tmp_path / "killed")
    # begun by a version that had more options: those that are gone had their only value left
    plan_of_an_earlier_version(tmp_path / "killed", "train")
    said: list[str] = []
    train(job(faces, tmp_path / "killed"), Reporter(say=said.append))
    assert "going on after epoch 1 of 2" in said
    assert curve(tmp_path / "killed") == curve(run)
    assert read_card(tmp_path / "killed").sha256["onnx"] == read_card(run).sha256["onnx"]


def test_a_finished_run_is_left_as_it_is(faces: Path, run: Path) -> None:
    said: list[str] = []
    assert train(job(faces, run), Reporter(say=said.append)) == read_card(run)
    assert "is finished" in said[0]


def test_a_run_of_other_settings_is_not_touched(faces: Path, run: Path) -> None:
    other = dataclasses.replace(QUICK, learning_rate=0.1, workers=1)
    before = (run / "run.json").read_text()
    with pytest.raises(
        TrainingError, match=r"other settings: learning-rate 0\.003 \(now 0\.1\); name another"
    ):
        train(job(faces, run, other))
    assert (run / "run.json").read_text() == before


@pytest.mark.parametrize(
    ("section", "other", "says"),
    [
        ("train", {"loss": "focal"}, r'other settings: loss "focal" \(now "bce"\); name another'),
        ("train", {"schedule": "staircase"}, r'schedule "staircase" \(now "exponential"\)'),
        ("augment", {"erase": 0.1}, r"other settings: erase 0\.1 \(now 0\.0\)"),
        ("network", {"batch_norm": False}, r"other settings: batch-norm false \(now true\)"),
    ],
    ids=["loss", "schedule", "erase", "batch-norm"],
)
def test_a_run_begun_with_what_is_dropped_is_refused(
    section: str, other: dict[str, object], says: str, faces: Path, run: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    before = plan_of_an_earlier_version(folder, section, **other)
    with pytest.raises(TrainingError, match=says):
        train(job(faces, folder))
    assert (folder / "run.json").read_text() == before


def test_override_goes_on_with_more_epochs(faces: Path, run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    more = dataclasses.replace(QUICK, epochs=3, schedule="constant")
    card = train(job(faces, folder, more, override=True))
    assert card.training["epochs"] == 3
    assert curve(folder)[:2] == curve(run)
    assert json.loads((folder / "run.json").read_text())["overridden"]


def test_the_last_epoch_can_be_kept(faces: Path, run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    said: list[str] = []
    last = dataclasses.replace(QUICK, keep="last")
    card = train(job(faces, folder, last, override=True), Reporter(say=said.append))
    assert card.training["kept_epoch"] == card.training["epochs"] == 2
    assert "the last epoch" in card.figures[0].protocol
    assert not [line for line in said if "by chance" in line]
    crops = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
    network = keras.saving.load_model(folder / "last.keras", compile=False)
    expected = network(crops.astype(np.float32), training=False).numpy()[:, 0]
    assert np.allclose(load_model(folder)(crops), card.calibration(expected), atol=1e-3)


def test_training_goes_on_from_a_model(faces: Path, run: Path, tmp_path: Path) -> None:
    one = dataclasses.replace(QUICK, epochs=1)
    card = train(job(faces, tmp_path / "tuned", one, starts=[str(run)]))
    assert card.training["start"] == [{"model": "small", "sha256": read_card(run).sha256["keras"]}]
    with pytest.raises(TrainingError, match="must be equal"):
        train(
            job(
                faces,
                tmp_path / "elu",
                one,
                starts=[str(run)],
                network=NetworkSettings(activation="elu"),
            )
        )


def test_the_mean_of_models_is_calibrated_without_training(
    faces: Path, run: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    train(job(faces, other, dataclasses.replace(QUICK, epochs=1, seed=9)))
    none, starts = dataclasses.replace(QUICK, epochs=0), [str(run), str(run), str(other)]
    card = train(job(faces, tmp_path / "mean", none, starts=starts))
    assert [each["sha256"] for each in card.training["start"]] == [
        read_card(each).sha256["keras"] for each in starts
    ]
    assert card.training["kept_epoch"] == 0
    networks = [
        keras.saving.load_model(next(folder.glob("small.keras")), compile=False).get_weights()
        for folder in (run, other, tmp_path / "mean")
    ]
    for first, second, mean in zip(*networks, strict=True):
        assert np.allclose(mean, (2 * first + second) / 3, atol=1e-6)
    with pytest.raises(SettingsError, match="--init"):
        train(job(faces, tmp_path / "nothing", none))


def test_models_that_cut_faces_differently_have_no_mean(
    faces: Path, run: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    card = json.loads((other / "small.json").read_text())
    card["geometry"]["scale"] += 0.1
    (other / "small.json").write_text(json.dumps(card))
    with pytest.raises(TrainingError, match="cut faces differently"):
        train(job(faces, tmp_path / "mean", QUICK, starts=[str(run), str(other)]))


def test_a_start_that_held_other_videos_back_is_said(faces: Path, tmp_path: Path) -> None:
    unsplit = Path(shutil.copytree(faces, tmp_path / "unsplit"))
    manifest = unsplit / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace('"split": "valid"', '"split": "train"'))
    one = dataclasses.replace(QUICK, epochs=1, valid_share=0.4)
    train(job(unsplit, tmp_path / "start", one))

    starts = [str(tmp_path / "start")]
    assert not prepare(job(unsplit, tmp_path / "same", one, starts=starts)).caveats
    said: list[str] = []
    other = dataclasses.replace(one, seed=7, epochs=0)
    card = train(job(unsplit, tmp_path / "other", other, starts=starts), Reporter(say=said.append))
    (note,) = (each for each in said if "may have learned from videos of unsplit" in each)
    assert "train both with one --seed" in note
    assert note.removeprefix("note: ") in card.limits


def test_a_teacher_is_named_and_changes_what_is_learned(
    faces: Path, run: Path, tmp_path: Path
) -> None:
    one = dataclasses.replace(QUICK, epochs=1)
    card, alone = train(job(faces, tmp_path / "taught", teacher=str(run))), read_card(run)
    assert card.training["teacher"] == {"model": "small", "sha256": alone.sha256["keras"]}
    assert alone.training["teacher"] is None
    assert alone.sha256 != card.sha256
    with pytest.raises(SettingsError, match=r"share; name one by --teacher"):
        train(job(faces, tmp_path / "nobody", dataclasses.replace(one, distillation=0.9)))
    idle = dataclasses.replace(one, epochs=0)
    with pytest.raises(SettingsError, match=r"nothing is taught; leave --teacher out"):
        train(job(faces, tmp_path / "idle", idle, starts=[str(run)], teacher=str(run)))
    with pytest.raises(TrainingError, match=r"the teacher mesolite cuts faces otherwise"):
        train(job(faces, tmp_path / "other", one, teacher="mesolite"))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_targets_are_a_mean_of_labels_and_what_the_teacher_says(
    samples: Samples, share: float
) -> None:
    def by_brightness(crops: Pixels) -> npt.NDArray[np.float64]:
        return crops.mean((1, 2, 3)) / 255

    plan = Sampler(samples, QUICK).epoch(0)
    reader = CropReader(samples.path, SIZE, 0)
    augmentation = AugmentSettings()
    feed = Feed(samples, reader, augmentation, SIZE, 2, Teacher(by_brightness, share))
    for batch, (crops, labels, targets) in zip(plan, feed.train(plan), strict=True):
        assert np.array_equal(labels.numpy(), batch.fake)
        # of the very crops that are learned, varied as they are
        said = by_brightness(crops.numpy())
        assert np.allclose(targets.numpy(), (1 - share) * batch.fake + share * said, atol=1e-6)


def test_varied_validation_faces_come_out_alike_each_time(samples: Samples) -> None:
    feed = Feed(samples, CropReader(samples.path, SIZE, 0), AugmentSettings(noise=1.0), SIZE, 2)

    def all_of(varied: bool) -> Pixels:
        return np.concatenate([crops.numpy() for (crops,) in feed.once(7, varied=varied)])

    assert len(all_of(False)) == len(samples)
    assert np.array_equal(all_of(True), all_of(True))
    assert (all_of(True) != all_of(False)).any((1, 2, 3)).all()


@pytest.mark.parametrize("batches", [1, 3])
def test_crops_leave_memory_with_the_run(samples: Samples, batches: int) -> None:
    reader = CropReader(samples.path, SIZE, 1e6)
    feed = Feed(samples, reader, AugmentSettings(), SIZE, 2)
    # wholly, or with more under way
    assert len(list(itertools.islice(feed.once(4), batches))) == batches
    kept = weakref.ref(reader)
    del reader, feed
    gc.collect()
    assert kept() is None


def test_calibration_is_on_varied_faces_where_faces_are_varied(
    faces: Path, run: Path, tmp_path: Path
) -> None:
    again, still = dataclasses.replace(QUICK, epochs=0), AugmentSettings(augment=False)
    plain = train(job(faces, tmp_path / "plain", again, starts=[str(run)], augment=still))
    varied = read_card(run)
    assert plain.calibration != varied.calibration
    assert plain.sha256["onnx"] == varied.sha256["onnx"]
    assert ["varied as in training" in each.rule for each in (plain, varied)] == [False, True]
    # the command for any model does the same, but for its runtime's rounding
    other, _ = calibrate(run, [read_dataset(faces)], tmp_path / "other")
    assert other.calibration.scale == pytest.approx(plain.calibration.scale, rel=1e-2)
    assert other.threshold == pytest.approx(plain.threshold, abs=1e-3)
    assert other.rule == plain.rule


def test_an_imported_detector_teaches_under_the_hash_of_what_runs(
    faces: Path, run: Path, tmp_path: Path
) -> None:
    """It has no .keras file."""
    other = Path(shutil.copytree(run, tmp_path / "imported"))
    (other / "small.keras").unlink()
    card = json.loads((other / "small.json").read_text())
    del card["sha256"]["keras"]
    (other / "small.json").write_text(json.dumps(card | {"architecture": "onnx"}))
    prepared = prepare(job(faces, tmp_path / "run", teacher=str(other)))
    assert prepared.plan["teacher"] == {"model": "small", "sha256": card["sha256"]["onnx"]}
    assert not (tmp_path / "run").exists()
    with pytest.raises(TrainingError, match=r"small is an imported \.onnx file; training starts"):
        prepare(job(faces, tmp_path / "run", starts=[str(other)]))


def test_a_start_that_was_replaced_is_refused(faces: Path, run: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(run, tmp_path / "other"))
    shutil.copyfile(other / "last.keras", other / "small.keras")
    with (other / "small.keras").open("ab") as file:
        file.write(b"more")
    with pytest.raises(TrainingError, match="is not the file that its card names"):
        prepare(job(faces, tmp_path / "run", starts=[str(other)]))


def test_real_faces_alone_suffice_with_self_blending(faces: Path, tmp_path: Path) -> None:
    reals = Path(shutil.copytree(faces, tmp_path / "reals"))
    lines = [
        line for line in (reals / "manifest.jsonl").read_text().splitlines() if '"real"' in line
    ]
    (reals / "manifest.jsonl").write_text("\n".join(lines) + "\n")
    settings = dataclasses.replace(
        QUICK, epochs=1, self_blend=1.0, pairs=True, ranking=0.5, ema=0.9
    )
    card = train(job(reals, tmp_path / "run", settings))
    assert "fake validation videos" in card.rule
    assert (tmp_path / "run" / "self-blend.png").stat().st_size > 1000


def test_the_sheet_shows_partial_fakes_beside_their_originals(
    faces: Path, dataset: Dataset, tmp_path: Path
) -> None:
    train(
        job(faces, tmp_path / "run", dataclasses.replace(QUICK, epochs=1, pairs=True, partial=1.0))
    )
    rows = np.split(
        cv2.imread(str(tmp_path / "run" / "self-blend.png"))[..., ::-1], fit.BLENDED_ROWS
    )
    learned = training_data([dataset], QUICK).train
    side = len(rows[0])
    crops = [read_crop(Path(str(path)), SIZE) for path in learned.path]
    panels = [resized(crop, side) for crop in crops]
    for row in rows:
        like = [
            number for number, panel in enumerate(panels) if np.array_equal(panel, row[:, :side])
        ]
        assert like
        assert not learned.fake[like].any()


def test_a_loss_that_is_no_number_stops_the_run_resumable(
    faces: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = fit.learning_rate
    monkeypatch.setattr(
        fit, "learning_rate", lambda s, epoch: usual(s, epoch) if epoch <= 1.5 else float("inf")
    )
    with pytest.raises(
        TrainingError,
        match=r"loss became nan in epoch 2 .*; epoch 1 is kept: .*lower --learning-rate",
    ):
        train(job(faces, tmp_path / "run"))
    assert checkpoint.load(tmp_path / "run").epoch == 1  # type: ignore[union-attr]
    assert curve(tmp_path / "run") == curve(run)[:1]


def test_a_full_disk_stops_the_run_resumable(
    faces: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullDisk(io.FileIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    folder = Path(shutil.copytree(run, tmp_path / "run"))
    usual = Path.open
    monkeypatch.setattr(
        Path,
        "open",
        lambda path, *args, **kw: (
            FullDisk(path, "w") if path.name.startswith(".mesovid-") else usual(path, *args, **kw)
        ),
    )
    before = checkpoint.load(folder)
    assert before is not None
    with pytest.raises(
        TrainingError, match=r"disk of .* is full; make room and run the same command again"
    ):
        train(job(faces, folder, dataclasses.replace(QUICK, epochs=3), override=True))
    with pytest.raises(TrainingError, match="is full"), writing(folder):
        checkpoint.save(before, folder)
    monkeypatch.undo()
    after = checkpoint.load(folder)
    assert after is not None
    assert after.history == before.history
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"


def test_a_damaged_checkpoint_gives_way_to_the_one_before(run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(run, tmp_path / "run"))
    path = folder / checkpoint.FILE
    path.write_bytes(path.read_bytes()[:1000])
    state = checkpoint.load(folder)
    assert state is not None
    assert state.epoch == 1
    (folder / checkpoint.PREVIOUS).write_bytes(b"")
    with pytest.raises(TrainingError, match=r"checkpoints in .* are damaged"):
        checkpoint.load(folder)


def test_a_missing_gpu_is_said(faces: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")
    with pytest.raises(TrainingError, match="finds no GPU"):
        train(job(faces, tmp_path / "run", dataclasses.replace(QUICK, device="gpu")))
    assert not (tmp_path / "run").exists()


def test_a_folder_with_other_things_is_not_used(faces: Path, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(TrainingError, match="holds something else"):
        train(job(faces, tmp_path))


# --- data


def spoilt(dataset: Dataset, **keep: object) -> Dataset:
    crops = tuple(
        crop
        for crop in dataset.crops
        if all(getattr(crop, key) == value for key, value in keep.items())
    )
    return dataclasses.replace(dataset, crops=crops)


def test_one_class_is_refused(dataset: Dataset) -> None:
    with pytest.raises(TrainingError, match=r"no fake face among .* --self-blend 1"):
        training_data([spoilt(dataset, label="real")], QUICK)
    with pytest.raises(TrainingError, match="no real face among"):
        training_data([spoilt(dataset, label="fake")], QUICK)


def test_no_training_split_is_refused(dataset: Dataset) -> None:
    with pytest.raises(DatasetError, match="has no train split; it has valid"):
        training_data([spoilt(dataset, split="valid")], QUICK)


def test_validation_is_set_aside_by_group(dataset: Dataset) -> None:
    data = training_data(
        [spoilt(dataset, split="train")], dataclasses.replace(QUICK, valid_share=0.34)
    )
    assert len(set(data.valid.group)) == 2
    assert not set(data.valid.group) & set(data.train.group)
    assert data.valid.fake.any()
    assert not data.valid.fake.all()


def test_a_set_too_small_to_set_anything_aside_is_refused(dataset: Dataset) -> None:
    with pytest.raises(TrainingError, match="no validation videos"):
        training_data([spoilt(dataset, split="train", group="train0")], QUICK)


def test_another_geometry_names_both_values(dataset: Dataset, tmp_path: Path) -> None:
    other = dataclasses.replace(dataset, geometry=Geometry(size=SIZE, scale=2.0), root=tmp_path)
    with pytest.raises(DatasetError, match=r"scale 2\.0 against 2\.96"):
        training_data([dataset, other], QUICK)
    with pytest.raises(DatasetError, match="size 64 against 256"):
        training_data([dataset], QUICK, Geometry())


def test_what_is_left_out_counts_for_neither_half(dataset: Dataset) -> None:
    data = training_data([dataset], dataclasses.replace(QUICK, self_blend=1.0), leave_out=["swap"])
    assert not data.train.fake.any()
    assert set(data.valid.method) == {"", "self-blend"}
    with pytest.raises(TrainingError, match="no training videos"):
        training_data([dataset], QUICK, leave_out=[dataset.root.name])
    with pytest.raises(TrainingError, match="'reenactment' to leave out; there are"):
        training_data([dataset], QUICK, leave_out=["reenactment"])


def test_the_same_dataset_twice_is_refused(dataset: Dataset) -> None:
    with pytest.raises(DatasetError, match="given twice"):
        training_data([dataset, dataset], QUICK)


def test_validation_keeps_so_many_crops_a_person(dataset: Dataset) -> None:
    data = training_data([dataset], dataclasses.replace(QUICK, valid_frames=2))
    videos, counts = np.unique(data.valid.video, return_counts=True)
    assert len(videos) == 8
    assert set(counts) == {2}
    assert set(data.valid.frame) == {0, 3}


@pytest.mark.parametrize("content", [b"", b"no picture"], ids=["empty", "text"])
def test_a_corrupt_crop_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "face.png").write_bytes(content)
    crops = CropReader(np.array([tmp_path / "face.png", tmp_path / "none.png"], str), SIZE, 0)
    with pytest.raises(DatasetError, match=r"face\.png: .*; .*run `mesovid extract` again"):
        crops[0]
    with pytest.raises(DatasetError, match=r"none\.png: cannot be opened \(No such file"):
        crops[1]


def test_a_corrupt_crop_stops_a_run_with_its_name(faces: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(faces, tmp_path / "faces"))
    (broken / "train/fake/train0_swap/0_0.png").write_bytes(b"no picture")
    with pytest.raises(DatasetError, match=r"train0_swap.0_0\.png: .*damaged"):
        train(job(broken, tmp_path / "run"))


def test_crops_come_from_memory_as_from_disk(dataset: Dataset) -> None:
    samples = training_data([dataset], QUICK).train
    kept, read = (CropReader(samples.path, SIZE, memory) for memory in (1e9, 0.0))
    for index in (0, 5, 0):
        np.testing.assert_array_equal(kept[index], read[index])


# --- batches


@pytest.fixture(scope="module")
def samples(dataset: Dataset) -> Samples:
    return training_data([dataset], QUICK).train


def test_batches_are_half_fake_and_follow_from_the_seed(samples: Samples) -> None:
    plans = [Sampler(samples, QUICK).epoch(3) for _ in range(2)]
    assert all(
        batch.fake.sum() == 4 and not samples.fake[batch.rows[4:]].any() for batch in plans[0]
    )
    for one, two in zip(*plans, strict=True):
        np.testing.assert_array_equal(one.rows, two.rows)
    other = Sampler(samples, QUICK).epoch(4)
    assert any((one.rows != two.rows).any() for one, two in zip(plans[0], other, strict=True))


def test_pairs_hold_the_original_at_the_same_moment(samples: Samples) -> None:
    for batch in Sampler(samples, dataclasses.replace(QUICK, pairs=True)).epoch(0):
        fakes, reals = np.split(batch.rows, 2)
        assert batch.paired
        np.testing.assert_array_equal(samples.original[fakes], samples.video[reals])
        np.testing.assert_array_equal(samples.frame[fakes], samples.frame[reals])


def test_self_blends_are_made_of_real_crops_and_paired_with_them(samples: Samples) -> None:
    settings = dataclasses.replace(QUICK, pairs=True, self_blend=0.5, steps=50)
    plan = Sampler(samples, settings).epoch(0)
    blend = np.concatenate([batch.blend[:4] for batch in plan])
    assert 0.35 < blend.mean() < 0.65
    for batch in plan:
        made = batch.rows[batch.blend]
        assert not samples.fake[made].any()
        np.testing.assert_array_equal(batch.rows[4:][batch.blend[:4]], made)


def with_and_without(
    samples: Samples, settings: TrainSettings, **changed: float
) -> Iterator[tuple[Batch, Batch]]:
    """Batches of an epoch with a setting changed, each beside the same without.

    Both draw the same rows: what is made of them follows from the setting alone.
    """
    plan, plain = (
        Sampler(samples, each).epoch(0)
        for each in (dataclasses.replace(settings, **changed), settings)
    )
    for batch, usual in zip(plan, plain, strict=True):
        np.testing.assert_array_equal(batch.rows, usual.rows)
        yield batch, usual


def test_swaps_show_other_people_whose_landmarks_are_known(samples: Samples) -> None:
    settings = dataclasses.replace(QUICK, pairs=True, self_blend=0.5, steps=50)
    known = dataclasses.replace(
        samples,
        landmarks=np.random.default_rng(0).uniform(20, 40, (len(samples), 5, 2)).astype(np.float32),
    )
    swapped = blended = 0
    for batch, _ in with_and_without(known, settings, swap=0.5):
        others = batch.other != batch.rows
        assert not (others & ~batch.blend).any()
        assert not known.fake[batch.other[others]].any()
        assert (known.group[batch.other[others]] != known.group[batch.rows[others]]).all()
        swapped, blended = swapped + others.sum(), blended + batch.blend.sum()
    assert 0.35 < swapped / blended < 0.65
    unknown = Sampler(samples, dataclasses.replace(settings, swap=1.0)).epoch(0)
    assert all((batch.other == batch.rows).all() for batch in unknown)


def test_partial_fakes_lie_on_their_own_originals(samples: Samples) -> None:
    settings = dataclasses.replace(QUICK, pairs=True, self_blend=0.3, steps=50)
    partial = fakes = 0
    for batch, _ in with_and_without(samples, settings, partial=0.5):
        others = batch.other != batch.rows
        assert (samples.fake[batch.rows] & ~batch.blend)[others].all()
        np.testing.assert_array_equal(
            samples.original[batch.rows[others]], samples.video[batch.other[others]]
        )
        np.testing.assert_array_equal(batch.made, others | batch.blend)
        partial, fakes = partial + others.sum(), fakes + (batch.fake & ~batch.blend).sum()
    assert 0.35 < partial / fakes < 0.65
    orphans = dataclasses.replace(samples, original=np.full(len(samples), "", np.str_))
    strangers = Sampler(orphans, dataclasses.replace(settings, partial=1.0)).epoch(0)
    assert all((batch.other == batch.rows).all() for batch in strangers)


def test_the_feed_shows_a_part_of_the_fake_on_its_original(samples: Samples) -> None:
    settings = dataclasses.replace(QUICK, pairs=True, partial=1.0)
    batch = Sampler(samples, settings).epoch(0)[0]
    still = AugmentSettings(augment=False)
    reader = CropReader(samples.path, 64, 1e8)
    crops = Feed(samples, reader, still, 64, 1).batch(batch)
    half = len(crops) // 2
    for place in range(half):
        fake, original = reader[int(batch.rows[place])], reader[int(batch.rows[place + half])]
        like_fake, like_original = ((crops[place] == crop).all(axis=2) for crop in (fake, original))
        differ = (fake != original).any(axis=2)
        assert (like_fake & differ).any()
        assert (like_original & differ).any()
        np.testing.assert_array_equal(crops[place + half], original)


def test_pairs_of_a_real_fake_can_be_blended_alike(samples: Samples) -> None:
    settings = dataclasses.replace(QUICK, pairs=True, self_blend=0.3, steps=50)
    alike = fakes = 0
    for batch, usual in with_and_without(samples, settings, alike=0.5):
        half = len(batch.rows) // 2
        assert not usual.alike.any()
        np.testing.assert_array_equal(batch.alike[:half], batch.alike[half:])
        assert not (batch.alike & batch.blend).any()
        alike, fakes = alike + batch.alike[:half].sum(), fakes + (~batch.blend[:half]).sum()
    assert 0.35 < alike / fakes < 0.65


def test_the_feed_blends_both_of_a_pair_alike(samples: Samples) -> None:
    settings = dataclasses.replace(QUICK, pairs=True, alike=1.0)
    batch = Sampler(samples, settings).epoch(0)[0]
    half = len(batch.rows) // 2
    # a fake that is its own original: then both must come out equal
    same = dataclasses.replace(batch, rows=np.tile(batch.rows[:half], 2))
    reader = CropReader(samples.path, 64, 1e8)
    crops = Feed(samples, reader, AugmentSettings(rotation=5, jpeg=0.5), 64, 1).batch(
        dataclasses.replace(same, other=same.rows)
    )
    np.testing.assert_array_equal(crops[:half], crops[half:])
    still = Feed(samples, reader, AugmentSettings(augment=False), 64, 1).batch(batch)
    assert all((still[n] != reader[int(row)]).any() for n, row in enumerate(batch.rows))


def test_the_face_that_fits_best_is_taken(samples: Samples) -> None:
    settings = dataclasses.replace(QUICK, self_blend=1.0, swap=1.0, steps=50)
    landmarks = np.zeros((len(samples), 5, 2), np.float32)
    landmarks += np.arange(len(samples), dtype=np.float32)[:, None, None] * 100
    first, *others = np.flatnonzero(~samples.fake)
    like = next(samples.group[row] for row in others if samples.group[row] != samples.group[first])
    landmarks[first] = landmarks[samples.group == like].mean(axis=0)
    plan = Sampler(dataclasses.replace(samples, landmarks=landmarks), settings).epoch(0)
    donors = np.concatenate([batch.other[batch.blend & (batch.rows == first)] for batch in plan])
    assert set(samples.group[donors]) == {like}


def test_weights_decide_how_often_a_method_comes(samples: Samples) -> None:
    method = np.where(samples.fake & (samples.frame > 1), "late", samples.method)
    two = dataclasses.replace(samples, method=method)
    settings = dataclasses.replace(QUICK, steps=400)
    plan = Sampler(two, settings, {"late": 3.0}).epoch(0)
    drawn = np.concatenate([method[batch.rows[:4]] for batch in plan])
    assert (drawn == "late").mean() == pytest.approx(0.75, abs=0.04)
    with pytest.raises(TrainingError, match="no dataset or method 'early'"):
        Sampler(two, settings, {"early": 1.0})


def test_self_blended_twins_are_fakes_of_their_own(samples: Samples) -> None:
    twins = self_blended(samples.select(~samples.fake))
    assert twins.fake.all()
    assert twins.blend.all()
    assert not set(twins.video) & set(samples.video)


# --- learning rate


@pytest.mark.parametrize("schedule", ["exponential", "cosine"])
def test_the_learning_rate_falls_to_its_limit(schedule: str) -> None:
    settings = TrainSettings(epochs=30, schedule=schedule)  # type: ignore[arg-type]
    rates = [learning_rate(settings, epoch) for epoch in np.linspace(0, 30, 301)]
    assert rates[0] == pytest.approx(1e-3)
    assert rates[-1] == pytest.approx(1e-6)
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates))
    if schedule == "exponential":
        assert rates[100] == pytest.approx(1e-4)


def test_the_learning_rate_warms_up() -> None:
    settings = TrainSettings(warmup=2.0, schedule="constant")
    assert learning_rate(settings, 1.0) == pytest.approx(5e-4)
    assert learning_rate(settings, 2.0) == pytest.approx(1e-3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"decay_limit": 0.01}, "must not exceed"),
        ({"swap": 0.5}, "add --self-blend"),
        ({"partial": 0.5}, "add --pairs"),
        ({"alike": 0.5}, "add --pairs"),
        ({"ranking": 1.0}, "add --pairs"),
        ({"epochs": -1}, "at least 0"),
    ],
    ids=["limit", "swap", "partial", "alike", "ranking", "epochs"],
)
def test_settings_that_contradict_each_other_are_refused(
    values: dict[str, object], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        TrainSettings(**values)  # type: ignore[arg-type]


def test_the_command_trains_with_weights_into_a_folder_of_any_name(
    faces: Path, tmp_path: Path
) -> None:
    """A weight of 0 leaves all fakes of the dataset out; `run.json` is the run's, not the card."""
    words = ["train", str(faces), "-o", str(tmp_path / "run"), "-q", "--epochs", "1"]
    words += ["--steps", "1", "--batch-size", "4", "--valid-frames", "2"]
    words += ["--weight", "swap=0", "--weight", "real=1", "--self-blend", "1"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, (result.output, result.exception)
    card = load_model(tmp_path / "run").card
    assert result.stdout.startswith(f"model: threshold {card.threshold:g}; scan with it: mesovid")
    assert card.name == "model"
    assert card.training["weights"] == {"swap": 0, "real": 1}
    assert card.training["crops"] == {"train": 24, "valid": 16}
    assert card.training["methods"] == []


REFUSED = {
    "--architecture xception": "no architecture 'xception'; known: meso4",
    "--architecture mesolite --activation elu": "mesolite has no activation 'elu'; it has relu",
    "--epochs 0": "nothing but what --init names",
    "--epochs 0 --init meso4 --teacher mesolite": "nothing is taught; leave --teacher out",
    "--distillation 0.9": "name one by --teacher",
    "--swap 0.5": "add --self-blend",
    "--partial 0.5": "add --pairs",
    "--alike 0.5": "add --pairs",
    "--ranking 1": "add --pairs",
    "--decay-limit 0.01": "must not exceed the learning rate",
    "--no-augment --jpeg 0.3": "leave out jpeg",
    "--schedule staircase": "'staircase' is not one of",
    "--optimizer sgd": "No such option",
    "--weight swap": "write NAME=NUMBER",
    "--weight swap=1 --weight swap=2": "--weight swap is 1 and 2",
    "--weight reenactment=2": "no dataset or method 'reenactment' to weigh",
    "--weight reenactment=0": "no dataset or method 'reenactment' to leave out",
    "--init nobody": "no model 'nobody'",
    "--init panel": "panel is a panel; training starts from a model of mesovid's own",
    "--init mesolite": "mesolite is a mesolite with relu, training asks for a meso4",
    "--init meso4": "are cut differently from those of the model that training starts from",
    "--teacher nobody": "no model 'nobody'",
    "--teacher mesolite": "the teacher mesolite cuts faces otherwise",
    "--name best": "a model cannot be called so",
}


def test_what_contradicts_itself_is_refused_before_tensorflow_is_imported(
    faces: Path, run: Path, tmp_path: Path
) -> None:
    """In a process of its own, which counts too how often a start and a teacher are opened."""
    program = """
        import json, sys
        from collections import Counter
        from pathlib import Path
        from click.testing import CliRunner
        from mesovid.cli import cli

        faces, out, start, teacher, refused = sys.argv[1:]
        for words, says in json.loads(refused).items():
            result = CliRunner().invoke(cli, ["train", faces, "-o", out, *words.split()])
            said = result.output if result.exit_code == 2 and result.output else result.exception
            assert says in " ".join(str(said).split()), (words, said)
            assert not {"tensorflow", "keras"} & set(sys.modules), words
            assert not Path(out).exists(), words

        imported = {"xception": "no architecture", "mesolite --activation elu": "it has relu",
                    "meso4 --geometry size=100": "must be a multiple of 32 px"}
        for words, says in imported.items():
            given = ["import", "x.h5", "--output", "fake", "--architecture", *words.split()]
            assert says in str(CliRunner().invoke(cli, ["models", *given]).exception), words
            assert not {"tensorflow", "keras"} & set(sys.modules), words

        opened = Counter()
        sys.addaudithook(lambda event, about: event == "open" and opened.update([str(about[0])]))
        from mesovid.training.job import TrainJob
        from mesovid.training.prepare import prepare

        job = TrainJob(datasets=[Path(faces)], folder=Path(out), name="x", starts=[start, start],
                  teacher=teacher)
        prepared = prepare(job)
        assert len(prepared.starts) == 2
        assert not {"tensorflow", "keras"} & set(sys.modules)
        for suffix in (".json", ".keras"):
            assert opened[str(Path(start).with_suffix(suffix))] == 1, opened
        assert opened[str(Path(teacher).with_suffix(".json"))] == 1, opened
        assert opened[teacher] <= 2, opened  # by its hash and by its operators
    """
    other = shutil.copytree(run, tmp_path / "teacher")
    words = (faces, tmp_path / "run", run / "small.keras", other / "small.onnx")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, words), json.dumps(REFUSED)],
        capture_output=True,
        text=True,
    )
    assert not done.returncode, done.stderr


@pytest.mark.parametrize("name", ["run", "best", "last", ".hidden", "a/b", "a:b"])
def test_names_that_are_no_names_of_files_are_refused(
    faces: Path, tmp_path: Path, name: str
) -> None:
    result = CliRunner().invoke(
        cli, ["train", str(faces), "-o", str(tmp_path / "x"), "--name", name]
    )
    assert result.exit_code == 2
    assert "a model cannot be called so" in result.output
    assert not (tmp_path / "x").exists()

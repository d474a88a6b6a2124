"""`mesovid predict` on real files: what it says, what it compares, what it refuses."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from test_evaluate import SIZE, write_dataset, write_model

from mesovid.cli import cli
from mesovid.errors import SettingsError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    """Two classes under names that are no labels of mesovid's own: bright is fake."""
    root = tmp_path / "faces"
    for folder, brightness in (
        ("pristine", 30),
        ("pristine", 200),
        ("1_fake", 220),
        ("1_fake", 240),
        ("1_fake", 121),
    ):
        file = root / folder / f"{brightness:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), np.full((SIZE, SIZE, 3), brightness, np.uint8))
    return root


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, ["predict", *(str(word) for word in words)])


def test_every_file_gets_a_label_and_a_probability(model: Path, faces: Path) -> None:
    result = run(
        model, faces / "pristine" / "030.png", faces / "1_fake" / "121.png", "--format", "jsonl"
    )
    assert result.exit_code == 0
    real, unsure = map(json.loads, result.stdout.splitlines())
    assert (real["label"], real["truth"], real["error"]) == ("real", "real", None)
    assert real["fake_probability"] == pytest.approx(1 / (1 + np.exp(12 / 255 * 98)), abs=1e-4)
    # the card's band is .35 to .45
    assert (unsure["label"], unsure["truth"]) == ("uncertain", "fake")
    assert set(real) == {"path", "label", "fake_probability", "truth", "error"}


def test_a_folder_is_compared_with_what_its_names_say(model: Path, faces: Path) -> None:
    result = run(model, faces)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("uncertain  0.418  ")
    assert sum(line.endswith(".png") for line in lines) == 5
    report = {
        line.split()[0]: line.split()[1:]
        for line in lines
        if line.strip() and not line.endswith(".png")
    }
    # called fake: 200, 220, 240; of three fakes two are found
    assert report["fake"] == ["0.667", "0.667", "0.667", "3"]
    assert report["real"] == ["0.500", "0.500", "0.500", "2"]
    assert float(report["AUC"][0]) == pytest.approx(5 / 6, abs=1e-3)


def test_a_threshold_of_ones_own_has_no_uncertain_band(model: Path, faces: Path) -> None:
    result = run(model, faces, "--threshold", "0.42")  # the card: 0.5, uncertain from .35 to .45
    assert result.exit_code == 0
    labels = [line.split()[0] for line in result.stdout.splitlines() if line.endswith(".png")]
    assert labels == ["real", "fake", "fake", "real", "fake"]  # 0.418 is below now
    above = run(model, faces, "--threshold", "0.41").stdout
    assert "uncertain" not in above
    assert above.splitlines()[0].startswith("fake       0.418")
    report = {line.split()[0]: line.split()[1:] for line in above.splitlines() if "  " in line}
    assert report["AUC"][0] == "0.833"
    # all three fakes are found, and of four called fake one is real
    (fake,) = (line.split() for line in above.splitlines() if line.split()[:2] == ["fake", "0.750"])
    assert fake[2] == "1.000"


@pytest.mark.parametrize("value", ["1.5", "-0.1", "nan", "half"])
def test_a_threshold_that_is_no_probability_is_refused(model: Path, value: str) -> None:
    result = run(model, "faces", "--threshold", value)
    assert result.exit_code == 2
    assert "--threshold" in result.output


def test_a_machine_readable_format_keeps_stdout_to_itself(
    model: Path, faces: Path, tmp_path: Path
) -> None:
    result = run(model, faces, "--format", "json")
    assert len(json.loads(result.stdout)) == 5
    assert "precision" in result.stderr
    written = run(model, faces, "--format", "csv", "-o", tmp_path / "scores.csv")
    assert written.exit_code == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "scores.csv").read_text())))
    assert [row["truth"] for row in rows] == ["fake"] * 3 + ["real"] * 2
    assert all(0 <= float(row["fake_probability"]) <= 1 for row in rows)


def test_one_class_gives_no_report(model: Path, faces: Path) -> None:
    result = run(model, faces / "pristine")
    assert result.exit_code == 0
    assert "precision" not in result.output


def test_a_folder_above_the_named_one_is_no_label(model: Path, faces: Path, tmp_path: Path) -> None:
    shutil.copytree(faces / "pristine", tmp_path / "fake" / "misc")
    result = run(model, tmp_path / "fake" / "misc", "--format", "json")
    assert {row["truth"] for row in json.loads(result.stdout)} == {None}


def test_bad_files_are_named_and_the_others_scored(model: Path, faces: Path) -> None:
    (faces / "pristine" / "empty.png").write_bytes(b"")
    (faces / "pristine" / "text.jpg").write_text("no picture")
    result = run(model, faces, "--format", "json")
    assert result.exit_code == 1
    rows = {Path(row["path"]).name: row for row in json.loads(result.stdout)}
    assert rows["empty.png"]["fake_probability"] is rows["empty.png"]["label"] is None
    assert rows["empty.png"]["error"] == "the file is empty"
    assert "text.jpg: not a picture that can be read; it is damaged" in result.stderr
    assert sum(row["error"] is None for row in rows.values()) == 5


def test_other_sizes_are_resized_and_counted(model: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "large.png"), np.full((90, 70, 3), 240, np.uint8))
    result = run(model, tmp_path / "large.png")
    assert result.exit_code == 0
    assert result.stdout.startswith("fake")
    assert "1 face resized to 32x32" in result.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [("gone.png", "no file or folder"), ("", "holds no picture")],
    ids=["missing", "empty"],
)
def test_nothing_to_score_is_refused(model: Path, tmp_path: Path, name: str, message: str) -> None:
    result = run(model, tmp_path / name)
    assert result.exit_code != 0
    assert message in str(result.exception)


def test_crops_of_a_dataset_cut_otherwise_are_refused(model: Path, tmp_path: Path) -> None:
    root = write_dataset(tmp_path / "set", frames=1)
    assert run(model, root / "dev" / "real").exit_code == 0
    card = json.loads((root / "dataset.json").read_text())
    card["geometry"]["scale"] = 1.5
    (root / "dataset.json").write_text(json.dumps(card))
    result = run(model, root / "dev" / "real")
    assert "scale is 1.5, bright wants 2.96" in str(result.exception)


def test_an_output_that_is_an_input_is_refused(model: Path, faces: Path) -> None:
    before = {path: path.read_bytes() for path in faces.rglob("*.png")}
    (faces / "scores.txt").symlink_to("pristine/030.png")
    for output in (faces / "scores.txt", faces / "pristine" / "030.png", faces / "new.png"):
        result = run(model, faces, "-o", output)
        assert isinstance(result.exception, SettingsError)
    assert before == {path: path.read_bytes() for path in before}
    assert not (faces / "new.png").exists()


def test_a_name_that_is_no_text(model: Path, faces: Path) -> None:
    odd = os.fsdecode(os.fsencode(faces) + b"/caf\xe9.png")
    shutil.copyfile(faces / "pristine" / "030.png", odd)
    for format_ in ("text", "json", "jsonl", "csv"):
        result = run(model, odd, "--format", format_)
        assert result.exit_code == 0
        assert "caf\\xe9.png" in result.stdout.replace("\\\\", "\\")
        if format_ == "jsonl":
            assert os.fsdecode(bytes.fromhex(json.loads(result.stdout)["path_bytes"])) == odd

"""`mesovid scan` as people use it: inputs, outputs, exit statuses, all kinds of broken inputs."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from test_report import RESULTS

from mesovid.cli import cli
from mesovid.cli.scan import MANY, _Results


def video(path: Path, frames: list[np.ndarray]) -> Path:
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 10, (width, height))
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray) -> Path:
    """Two videos and a picture, one of them in a folder below, and a file that is no video."""
    root = tmp_path_factory.mktemp("inputs")
    (root / "more").mkdir()
    face = np.ascontiguousarray(astronaut[:300, 70:370])
    video(root / "face.avi", [face] * 4)
    video(root / "more" / "grey.avi", [np.full((64, 64, 3), 90, np.uint8)] * 4)
    cv2.imwrite(str(root / "more" / "portrait.JPG"), cv2.cvtColor(face, cv2.COLOR_RGB2BGR))
    (root / "readme.txt").write_text("not looked at")
    return root


def run(*words: str | Path, **options: object) -> Result:
    return CliRunner().invoke(cli, ["scan", "--frames", "4", *map(str, words)], **options)  # type: ignore[arg-type]


def lines(result: Result) -> dict[str, dict[str, object]]:
    """The results of `--format jsonl` by file name."""
    return {
        Path(value["path"]).name: value for value in map(json.loads, result.stdout.splitlines())
    }


def test_a_folder_is_searched_through(folder: Path) -> None:
    result = run(folder, "--format", "jsonl")
    assert result.exit_code == 0
    assert {name: value["status"] for name, value in lines(result).items()} == {
        "face.avi": "ok",
        "grey.avi": "no_face",
        "portrait.JPG": "ok",
    }
    assert "3 inputs" in result.stderr


def test_inputs_can_be_named_in_every_way_and_count_once(folder: Path, tmp_path: Path) -> None:
    names = tmp_path / "list.txt"
    names.write_text(f"{folder}/face.avi\n\n{folder}/more/portrait.JPG\n")
    result = run(
        f"{folder}/*.avi",
        "-",
        "--from-file",
        names,
        "--format",
        "jsonl",
        input=f"{folder}/face.avi\n",
    )
    assert result.exit_code == 0
    assert list(lines(result)) == ["face.avi", "portrait.JPG"]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    root = tmp_path_factory.mktemp("broken")
    (root / "empty.mp4").touch()
    (root / "text.mp4").write_text("no video at all\n" * 50)
    (root / "truncated.avi").write_bytes((folder / "face.avi").read_bytes()[:900])
    (root / "empty").mkdir()
    return root


@pytest.mark.parametrize(
    "name", ["empty.mp4", "text.mp4", "truncated.avi", "empty", "absent.mp4", "*.mkv"]
)
def test_a_broken_input_fails_alone(broken: Path, folder: Path, name: str) -> None:
    result = run(broken / name, folder / "face.avi", "--format", "jsonl")
    assert result.exit_code == 1
    found = lines(result)
    assert found["face.avi"]["status"] == "ok"
    failed = found[name]
    assert (failed["status"], failed["fake_probability"], failed["verdict"]) == (
        "error",
        None,
        None,
    )
    assert name in str(failed["error"])
    assert "\n" not in str(failed["error"])


def test_json_is_one_object_for_one_video(folder: Path) -> None:
    value = json.loads(run(folder / "face.avi", "--format", "json").stdout)
    assert value["schema"] == 1
    assert value["sampled_frames"] == value["scored_faces"] == 4
    assert len(value["frames"][0]["faces"][0]["landmarks"]) == 5


def test_csv_has_a_row_a_video(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "scans.csv"
    result = run(folder, "--format", "csv", "-o", output)
    assert (result.exit_code, result.stdout) == (0, "")
    rows = list(csv.DictReader(io.StringIO(output.read_text())))
    assert [(Path(row["path"]).name, row["status"]) for row in rows] == [
        ("face.avi", "ok"),
        ("grey.avi", "no_face"),
        ("portrait.JPG", "ok"),
    ]
    assert rows[1]["fake_probability"] == ""


def test_text_names_the_verdict(folder: Path) -> None:
    output = run(folder / "face.avi", "-v").stdout
    assert "P(fake)" in output
    assert "sampled frames a second" in output
    assert "\x1b[" not in output


@pytest.mark.parametrize(("threshold", "status"), [("0", 3), ("1", 0)])
def test_fail_on_fake(folder: Path, threshold: str, status: int) -> None:
    assert (
        run(folder / "face.avi", "--threshold", threshold, "--fail-on", "fake").exit_code == status
    )


def test_faces_are_kept(folder: Path, tmp_path: Path) -> None:
    assert run(folder / "face.avi", "--save-faces", tmp_path / "faces").exit_code == 0
    files = sorted((tmp_path / "faces").rglob("*.png"))
    assert len(files) == 4
    assert cv2.imread(str(files[0])).shape == (256, 256, 3)


def test_a_name_that_begins_with_a_dash(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "-vq.avi").write_bytes((folder / "face.avi").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert run("-vq.avi").exit_code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name at least one video"),
        (["x.mp4", "--frames", "none"], "not a valid integer"),
        (["x.mp4", "--threshold", "2"], "at most 1"),
        (["x.mp4", "--start", "9", "--end", "3"], "must come after start"),
        (["x.mp4", "--format", "xml"], "'xml' is not one of"),
    ],
)
def test_wrong_usage(words: list[str], says: str) -> None:
    result = CliRunner().invoke(cli, ["scan", *words])
    assert result.exit_code == 2
    assert says in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--model", "nobody", "x.mp4"], 2, "no model 'nobody'; known: "),
        (["--from-file", "absent.txt"], 1, "absent.txt"),
        (["x.mp4", "--format", "jsonl"], 1, ""),
    ],
)
def test_as_a_process_an_error_is_one_line(
    words: list[str], status: int, says: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "mesovid", "scan", *words]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment(), check=False
    )
    assert done.returncode == status
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 1


def environment() -> dict[str, str]:
    import os

    return os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}


def test_the_bar_has_the_worst_so_far_and_the_summary_all_outcomes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    results = [*RESULTS, *RESULTS[:1] * MANY]
    out = _Results("jsonl", str(tmp_path / "r.jsonl"), len(results) + 1, False, False, False)
    with out:
        for result in results:
            out.add(result)
        bar = str(out._bar)
    out.summarize([])
    assert "26/27" in bar
    assert "<" in bar  # the time left
    assert "worst 0.79 fake.mp4" in bar
    summary = capsys.readouterr().err.splitlines()[-1]
    assert summary.startswith(
        "26 inputs: 25 scanned (22 fake, 1 uncertain, 1 no face, 1 too few faces), 1 failed; "
    )
    assert re.search(r"; [\d,]+ videos a minute, [\d.,]+ hours of video$", summary)

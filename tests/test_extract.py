"""Extraction from tiny clips in the official structures.

The right files are made, runs resume exactly, and failures are said.
"""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from trees import CELEBDF, DFDC, FFPP, ClipWriter, write_celebdf, write_dfdc, write_files

from mesovid.cli.extract import command
from mesovid.dataset import cutter as cutting
from mesovid.dataset.check import check_dataset
from mesovid.dataset.cutter import sharpness
from mesovid.dataset.extract import balance
from mesovid.dataset.journal import read_results
from mesovid.dataset.manifest import CropEntry, Dataset, read_dataset
from mesovid.errors import DatasetError, MesovidError
from mesovid.models.card import read_card
from mesovid.settings import Geometry

QUICK = ("--frames", "2", "--geometry", "size=64", "--workers", "0")


@pytest.fixture(scope="module")
def clip(astronaut: np.ndarray) -> ClipWriter:
    return ClipWriter(astronaut)


def run(*args: object, workers: int = 0) -> Result:
    options = [*QUICK[:-1], str(workers)]
    return CliRunner().invoke(command, [*map(str, args), *options])


def extracted(*args: object) -> Dataset:
    """The dataset that the command makes without complaint.

    The last two arguments are `-o` and its folder.
    """
    result = run(*args)
    assert result.exit_code == 0, (result.output, result.exception)
    return read_dataset(Path(str(args[-1])))


def tree(root: Path) -> dict[str, bytes]:
    return {
        p.relative_to(root).as_posix(): p.read_bytes()
        for p in sorted(root.rglob("*"))
        if p.is_file()
    }


def test_celebdf_comes_out_with_labels_originals_and_splits(
    tmp_path: Path, clip: ClipWriter
) -> None:
    dataset = extracted(write_celebdf(tmp_path / "set", clip, "videos/"), "-o", tmp_path / "out")
    assert len(dataset.crops) == 2 * len(CELEBDF)
    assert {c.video: (c.label, c.original, c.split) for c in dataset.crops} == {
        "Celeb-real/id0_0000": ("real", None, "train"),
        "Celeb-real/id1_0000": ("real", None, "test"),
        "YouTube-real/00170": ("real", None, "test"),
        "Celeb-synthesis/id0_id1_0000": ("fake", "Celeb-real/id0_0000", "train"),
        "Celeb-synthesis/id1_id0_0000": ("fake", "Celeb-real/id1_0000", "test"),
    }
    for crop in dataset.crops:
        assert crop.file.startswith(f"{crop.split}/{crop.label}/{crop.video}/")
        assert cv2.imread(str(dataset.path(crop))).shape == (64, 64, 3)
    # the official split shares people between train and test: kept, and told
    report = check_dataset(dataset)
    assert report.errors == ()
    assert {str(finding).split(" (")[0] for finding in report.findings} == {
        "known leak: identity celebdf: id0",
        "known leak: identity celebdf: id1",
    }


def test_dfdc_comes_out_with_labels_originals_and_odd_cases(
    tmp_path: Path, clip: ClipWriter
) -> None:
    root = write_dfdc(tmp_path / "set", clip)
    (root / "dfdc_train_part_0" / "bbbbbbbbbb.mp4").write_bytes(b"not a video")
    (root / "dfdc_train_part_1" / "cccccccccc.mp4").unlink()
    one_frame = cv2.VideoWriter(
        str(root / "dfdc_train_part_1" / "eeeeeeeeee.mp4"),
        cv2.VideoWriter.fourcc(*"mp4v"),
        10,
        (320, 320),
    )
    one_frame.write(clip.picture())
    one_frame.release()
    result = run(root, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "videos that failed: 1" in result.output
    assert "listed in metadata.json but absent" in result.output
    dataset = read_dataset(tmp_path / "out")
    videos = {c.video.rsplit("/", 1)[-1]: (c.label, c.original, c.split) for c in dataset.crops}
    assert videos == {
        "aaaaaaaaaa": ("real", None, "train"),
        "dddddddddd": ("fake", "dfdc_train_part_1/cccccccccc", "train"),
        "eeeeeeeeee": ("fake", "dfdc_train_part_1/gone", "train"),
    }
    assert sum(c.video.endswith("eeeeeeeeee") for c in dataset.crops) == 1
    assert len(DFDC["dfdc_train_part_0"]) == 2


def test_own_splits_part_nothing_and_an_official_one_can_be_overruled(
    tmp_path: Path, clip: ClipWriter
) -> None:
    root = write_celebdf(tmp_path / "set", clip)
    dataset = extracted(root, "--split", "50/0/50", "-o", tmp_path / "out")
    assert check_dataset(dataset).errors == ()
    # two people and all their fakes hang together; the other real video stands alone
    assert sorted(len({c.video for c in dataset.of_split(s)}) for s in dataset.splits) == [1, 4]


def test_faces_are_upright_and_centred(tmp_path: Path, clip: ClipWriter) -> None:
    write_files(tmp_path / "set", ["real/a.png"], clip)
    dataset = extracted(tmp_path / "set", "-o", tmp_path / "out")
    (crop,) = dataset.crops
    assert crop.landmarks is not None
    assert crop.box is not None
    assert dataset.geometry == replace(read_card("meso4").geometry, size=64)
    from mesovid.align import transform

    points = np.array([*crop.landmarks], np.float32)
    moved = np.c_[points, np.ones(5)] @ transform(points, Geometry(size=64)).T
    eyes, mouth = moved[:2], moved[3:]
    assert abs(eyes[0, 1] - eyes[1, 1]) < 3  # px of 64
    assert abs(moved[:, 0].mean() - 32) < 5
    assert eyes[:, 1].max() < mouth[:, 1].min()


def test_several_processes_give_the_same_bytes(tmp_path: Path, clip: ClipWriter) -> None:
    root = write_files(tmp_path / "set", [*FFPP, FFPP[0].replace("000", "011")], clip)
    extracted(root, "-o", tmp_path / "one")
    assert run(root, "-o", tmp_path / "two", workers=2).exit_code == 0
    assert tree(tmp_path / "two") == tree(tmp_path / "one")


def test_killed_at_random_moments_it_ends_in_the_same_bytes(
    tmp_path: Path, clip: ClipWriter
) -> None:
    root = write_files(
        tmp_path / "set", [*FFPP, *(f"{FFPP[0][:-7]}{i:03d}.mp4" for i in range(20, 32))], clip
    )
    args = [sys.executable, "-m", "mesovid", "extract", str(root), *QUICK[:-1]]
    subprocess.run([*args, "1", "-o", str(tmp_path / "whole")], check=True, capture_output=True)
    dice = random.Random(5)
    journal = tmp_path / "out" / ".extract" / "journal.jsonl"
    kills = 0
    for lines in (2, 5, 9):  # that are there when the blow falls
        with subprocess.Popen(
            [*args, "1", "-o", str(tmp_path / "out")], stdout=subprocess.DEVNULL
        ) as process:
            while process.poll() is None:
                if journal.exists() and journal.read_bytes().count(b"\n") >= lines:
                    time.sleep(dice.uniform(0, 0.05))
                    process.send_signal(signal.SIGKILL)
                    kills += process.wait() == -signal.SIGKILL
    subprocess.run([*args, "1", "-o", str(tmp_path / "out")], check=True, capture_output=True)
    assert kills
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


@pytest.mark.parametrize(
    "delay", [0, 0.06, 0.4]
)  # s; at once the pool is half started, then its worker is
def test_interrupted_it_stops_at_once_and_says_how_to_go_on(
    tmp_path: Path, clip: ClipWriter, delay: float
) -> None:
    # enough that it is still at work when the signal comes
    root = write_files(tmp_path / "set", [f"real/{number}.png" for number in range(300)], clip)
    args = [
        sys.executable,
        "-m",
        "mesovid",
        "extract",
        str(root),
        *QUICK[:-1],
        "1",
        "-o",
        str(tmp_path / "out"),
    ]
    # what runs in the background of a script ignores Ctrl-C, and so would its children
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        args, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        signal.signal(signal.SIGINT, heard)
        while not (tmp_path / "out" / ".extract" / "journal.jsonl").exists():
            assert process.poll() is None
            time.sleep(0.005)
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: parent and workers
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.startswith("mesovid: stopped; the same command goes on")
    assert stderr.count("\n") == 1
    assert len(extracted(root, "-o", tmp_path / "out").crops) == 300


@pytest.mark.parametrize(
    "leftover",
    [".mesovid-12ab34cd.jsonl", ".extract/stage-7/1.png", ".extract/.mesovid-12ab34cd.json"],
)
def test_leftovers_of_a_kill_go_away(tmp_path: Path, clip: ClipWriter, leftover: str) -> None:
    root = write_files(tmp_path / "set", ["real/a.png"], clip)
    extracted(root, "-o", tmp_path / "out")
    whole = tree(tmp_path / "out")
    write_files(tmp_path / "out", [leftover])
    extracted(root, "-o", tmp_path / "out")
    assert tree(tmp_path / "out") == whole


@pytest.mark.parametrize("cut", [1, 40, 400])
def test_a_torn_journal_line_is_done_again(
    tmp_path: Path, clip: ClipWriter, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    root = write_files(tmp_path / "set", FFPP[:3], clip)
    extracted(root, "-o", tmp_path / "whole")
    stop_after(monkeypatch, 2)
    assert run(root, "-o", tmp_path / "out").exit_code != 0
    monkeypatch.undo()
    journal = tmp_path / "out" / ".extract" / "journal.jsonl"
    content = journal.read_bytes()
    assert content.count(b"\n") == 2
    journal.write_bytes(content[:-cut])
    with pytest.raises(DatasetError, match="unfinished extraction"):
        read_dataset(tmp_path / "out")
    extracted(root, "-o", tmp_path / "out")
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def stop_after(monkeypatch: pytest.MonkeyPatch, jobs: int, error: Exception | None = None) -> None:
    """Let the cutter do so many jobs and then raise in the middle of one."""
    real = cutting.Cutter._finish
    done = iter(range(jobs))

    def finish(self: Any, *args: Any) -> Any:
        if next(done, None) is None:
            raise error or KeyboardInterrupt
        return real(self, *args)

    monkeypatch.setattr(cutting.Cutter, "_finish", finish)


def test_a_full_disk_ends_the_run_and_loses_nothing(
    tmp_path: Path, clip: ClipWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_files(tmp_path / "set", FFPP[:3], clip)
    stop_after(monkeypatch, 1, OSError(errno.ENOSPC, "No space left on device"))
    result = run(root, "-o", tmp_path / "out")
    assert isinstance(result.exception, MesovidError)
    assert (
        "No space left on device; what is done is kept; make room and run the same command"
        in str(result.exception)
    )
    monkeypatch.undo()
    dataset = extracted(root, "-o", tmp_path / "out")
    assert len(dataset.crops) == 6


def test_a_real_write_limit_is_a_clear_line(tmp_path: Path, clip: ClipWriter) -> None:
    """The kernel itself refuses to write: a file size limit stands in for a full disk."""
    resource = pytest.importorskip("resource", reason="no limits on Windows")
    root = write_files(tmp_path / "set", FFPP[:2], clip)
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "mesovid",
            "extract",
            str(root),
            "-o",
            str(tmp_path / "out"),
            *QUICK,
        ],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1
    assert process.stderr.startswith("mesovid: ")
    assert process.stderr.count("\n") == 1
    assert "make room and run the same command" in process.stderr


def test_a_worker_that_dies_costs_its_own_video(tmp_path: Path, clip: ClipWriter) -> None:
    root = write_files(tmp_path / "set", FFPP[:3], clip)
    sitecustomize = tmp_path / "site" / "sitecustomize.py"
    sitecustomize.parent.mkdir()
    # a decoder that takes its process down on one file
    sitecustomize.write_text(
        "import os, mesovid.dataset.cutter as cutter\n"
        "cut = cutter.Cutter.cut\n"
        "def deadly(self, job):\n"
        "    if '003' in job.sources[0].video: os.abort()\n"
        "    return cut(self, job)\n"
        "cutter.Cutter.cut = deadly\n"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(sitecustomize.parent), os.getcwd()])}
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "mesovid",
            "extract",
            str(root),
            "-o",
            str(tmp_path / "out"),
            *QUICK[:-1],
            "2",
        ],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1, process.stderr
    assert "it crashed the worker process" in process.stdout
    assert {c.target for c in read_dataset(tmp_path / "out").crops} == {"000", "010"}


def test_a_finished_set_is_left_alone_and_failures_are_tried_again(
    tmp_path: Path, clip: ClipWriter
) -> None:
    root = write_files(tmp_path / "set", ["real/a.mp4", "fake/b.mp4"], clip)
    good = (root / "fake/b.mp4").read_bytes()
    (root / "fake/b.mp4").write_bytes(b"broken")
    assert run(root, "-o", tmp_path / "out").exit_code == 1
    before = tree(tmp_path / "out")
    assert run(root, "-o", tmp_path / "out").exit_code == 1
    assert tree(tmp_path / "out") == before
    (root / "fake/b.mp4").write_bytes(good)
    dataset = extracted(root, "-o", tmp_path / "out")
    assert {c.video for c in dataset.crops} == {"real/a", "fake/b"}
    assert not (tmp_path / "out" / ".extract").exists()


def test_a_folder_that_holds_anything_else_is_refused(tmp_path: Path, clip: ClipWriter) -> None:
    root = write_files(tmp_path / "set", ["real/a.png", "fake/b.png"], clip)
    out = tmp_path / "out"
    extracted(root, "-o", out)
    before = tree(out)
    for change, message in (
        (("--min-face", "50"), "was begun with min_face 40.0, not 50.0"),
        (("--geometry", "scale=2.5"), "was begun with geometry"),
        (("--label", "real=fake", "--label", "fake=real"), "other videos, labels or splits"),
    ):
        with pytest.raises(DatasetError, match=message):
            CliRunner().invoke(
                command, [str(root), "-o", str(out), *QUICK, *change], catch_exceptions=False
            )
    photos = write_files(tmp_path / "photos", ["holiday.txt"])
    with pytest.raises(DatasetError, match="is not empty"):
        CliRunner().invoke(command, [str(root), "-o", str(photos), *QUICK], catch_exceptions=False)
    assert tree(photos) == {"holiday.txt": b"-"}
    assert tree(out) == before
    inside = run(root, "-o", root / "faces")
    assert inside.exit_code == 2
    assert "must not lie inside" in inside.output


def test_crops_never_leave_the_dataset(tmp_path: Path, clip: ClipWriter) -> None:
    root = write_files(tmp_path / "set", ["a.png", "b.png", "c.png"], clip)
    write_files(tmp_path, ["above.png", "escaped/000000_0.png"], clip)
    before = tree(tmp_path)
    rows = [
        "a.png,real,../../../escaped,",
        "b.png,fake,v,../..",
        f"c.png,real,{tmp_path}/escaped,",
        "../above.png,fake,,",
    ]
    (root / "manifest.csv").write_text("\n".join(["file,label,video,split", *rows]))
    result = run(root, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "leads out of the dataset" in result.output
    after = tree(tmp_path)
    assert {name for name in after.keys() - before.keys() if not name.startswith("out/")} == {
        "set/manifest.csv"
    }
    assert all(after[name] == content for name, content in before.items())
    dataset = read_dataset(tmp_path / "out")
    assert [crop.file for crop in dataset.crops] == ["train/fake/up/above/000000_0.png"]
    assert check_dataset(dataset).errors == ()


def odd_names(root: Path) -> None:
    """Give a picture, a video and a folder of frames names that are no UTF-8."""
    try:
        (root / "real/a.png").rename(os.fsdecode(os.fsencode(root) + b"/real/caf\xe9.png"))
    except OSError:
        pytest.skip("this file system refuses such names")
    (root / "fake/b.mp4").rename(os.fsdecode(os.fsencode(root) + b"/fake/\xe9.mp4"))
    (root / "fake/c").rename(os.fsdecode(os.fsencode(root) + b"/fake/\xff"))


@pytest.mark.parametrize("workers", [0, 1])
def test_names_that_are_no_utf_8_are_extracted_and_resumed(
    tmp_path: Path, clip: ClipWriter, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    root = write_files(tmp_path / "set", ["real/a.png", "fake/b.mp4", "fake/c/1.png"], clip)
    odd_names(root)
    if not workers:
        stop_after(monkeypatch, 2)
        assert run(root, "-o", tmp_path / "out").exit_code != 0
        monkeypatch.undo()
    result = run(root, "-o", tmp_path / "out", workers=workers)
    assert result.exit_code == 0, (result.output, result.exception)
    dataset = read_dataset(tmp_path / "out")
    assert {os.fsencode(c.video) for c in dataset.crops} == {
        b"real/caf\xe9",
        b"fake/\xe9",
        b"fake/\xff",
    }
    assert check_dataset(dataset).errors == ()
    for name in ("manifest.jsonl", "videos.jsonl"):
        for line in (tmp_path / "out" / name).read_text(encoding="utf-8").splitlines():
            assert json.loads(line)["video"].startswith(("real/", "fake/"))
    again = tree(tmp_path / "out")
    assert run(root, "-o", tmp_path / "out").exit_code == 0
    assert tree(tmp_path / "out") == again


def test_a_name_too_long_and_what_is_no_file_cost_only_themselves(
    tmp_path: Path, clip: ClipWriter
) -> None:
    root = write_files(tmp_path / "set", ["a.png", "b.png", "c.png"], clip)
    long = "n" * 300
    (root / "manifest.csv").write_text(
        f"file,label,video\na.png,real,\nb.png,fake,{long}\n{long}.png,fake,\nc.png,fake,\n"
    )
    result = run(root, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert f"File name too long: {long}" in result.output
    assert f"listed but absent: {long}.png" in result.output
    assert {c.video for c in read_dataset(tmp_path / "out").crops} == {"a", "c"}
    for words in ([tmp_path / long, "-o", tmp_path / "two"], [root, "-o", tmp_path / long]):
        with pytest.raises(MesovidError, match=f"{long}: "):
            CliRunner().invoke(command, [*map(str, words), *QUICK], catch_exceptions=False)


def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path, clip: ClipWriter) -> None:
    root = write_files(tmp_path / "set", ["real/a.png", "fake/b.png", "fake/locked/c.png"], clip)
    os.mkfifo(root / "real/pipe.png")
    program = (
        "import os, sys\n"
        "from mesovid.dataset.layouts import gather\n"
        "os.chdir(sys.argv[1])\n"  # what lies above is nobody's business
        "if os.geteuid() == 0:\n"
        "    os.setgroups([]); os.setegid(65534); os.seteuid(65534)\n"
        "for problem in gather(['.']).problems: print(problem.name, problem.why)\n"
    )
    (root / "fake/locked").chmod(0)
    try:
        process = subprocess.run(
            [sys.executable, "-c", program, str(root)], capture_output=True, text=True, check=True
        )
    finally:
        (root / "fake/locked").chmod(0o755)
    assert process.stdout.splitlines() == [
        "./fake/locked Permission denied",
        "./real/pipe.png not a regular file",
    ]


def test_videos_without_faces_and_damaged_pictures_are_told(
    tmp_path: Path, clip: ClipWriter
) -> None:
    root = write_files(tmp_path / "set", ["real/a.png", "fake/b.png", "fake/broken.png"], clip)
    (root / "fake/broken.png").write_bytes(b"\x89PNG nothing")
    assert cv2.imwrite(str(root / "real/wall.png"), np.full((200, 200, 3), 90, np.uint8))
    result = run(root, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "no face was found in 1 frame: real/wall" in result.output
    results = read_results(tmp_path / "out")
    assert {name: r.status for name, r in results.items()} == {
        "real/a": "ok", "fake/b": "ok", "fake/broken": "failed", "real/wall": "skipped",
    }  # fmt: skip


def test_a_folder_that_cannot_be_written_is_a_clear_line(tmp_path: Path, clip: ClipWriter) -> None:
    root = write_files(tmp_path / "set", ["real/a.png"], clip)
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DatasetError, match="file/out: Not a directory"):
        CliRunner().invoke(
            command, [str(root), "-o", str(tmp_path / "file/out"), *QUICK], catch_exceptions=False
        )


def test_no_crop_at_all_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "set/real").mkdir(parents=True)
    assert cv2.imwrite(str(tmp_path / "set/real/wall.png"), np.full((200, 200, 3), 90, np.uint8))
    result = run(tmp_path / "set", "-o", tmp_path / "out")
    assert "no crop came out of 1 videos: no face was found" in str(result.exception)


def test_a_tight_crop_is_found_with_a_border(tmp_path: Path, astronaut: np.ndarray) -> None:
    (tmp_path / "set/real").mkdir(parents=True)
    face = cv2.cvtColor(cv2.resize(astronaut[75:195, 168:278], (224, 224)), cv2.COLOR_RGB2BGR)
    assert cv2.imwrite(str(tmp_path / "set/real/face.png"), face)
    (crop,) = extracted(tmp_path / "set", "-o", tmp_path / "out").crops
    assert crop.landmarks is not None
    assert all(0 <= value <= 224 for point in crop.landmarks for value in point)


def test_pair_cuts_a_fake_where_its_original_shows_the_face(
    tmp_path: Path, clip: ClipWriter
) -> None:
    names = [FFPP[0], FFPP[4]]
    root = write_files(tmp_path / "set", names, clip)
    faceless = np.full((320, 320, 3), 120, np.uint8)
    video = cv2.VideoWriter(str(root / names[1]), cv2.VideoWriter.fourcc(*"mp4v"), 10, (320, 320))
    for _ in range(4):
        video.write(faceless)
    video.release()
    dataset = extracted(root, "--pair", "-o", tmp_path / "out")
    boxes = {
        label: [c.box for c in dataset.crops if c.label == label] for label in ("real", "fake")
    }
    assert len(boxes["fake"]) == 2
    assert boxes["fake"] == boxes["real"]


def test_pair_works_on_pictures(tmp_path: Path, clip: ClipWriter) -> None:
    root = write_files(tmp_path / "set", ["a.png"], clip)
    assert cv2.imwrite(str(root / "b.png"), np.full((320, 320, 3), 120, np.uint8))
    (root / "manifest.csv").write_text("file,label,original\na.png,real,\nb.png,fake,a\n")
    dataset = extracted(root, "--pair", "-o", tmp_path / "out")
    real, fake = sorted(dataset.crops, key=lambda c: c.label, reverse=True)
    assert (fake.video, fake.original, fake.box) == ("b", "a", real.box)


def test_quality_settings_leave_crops_out_and_say_so(tmp_path: Path, clip: ClipWriter) -> None:
    root = write_files(tmp_path / "set", ["real/a.mp4"], clip)
    blurred = cv2.GaussianBlur(clip.picture(), (0, 0), 6)
    assert cv2.imwrite(str(root / "real/blurred.png"), blurred)
    extracted(root, "--min-sharpness", "20", "--per-video", "1", "-o", tmp_path / "out")
    results = read_results(tmp_path / "out")
    assert results["real/a"].dropped == {"more than --per-video": 1}
    assert results["real/blurred"].reason == "no face was fit: blurred in 1 frame"
    extracted(root, "--distinct", "200", "-o", tmp_path / "few")
    assert read_results(tmp_path / "few")["real/a"].dropped == {"near-duplicate": 1}


@pytest.mark.parametrize(("people", "faces"), [("main", 1), ("all", 2)])
def test_one_or_all_people(tmp_path: Path, clip: ClipWriter, people: str, faces: int) -> None:
    big = clip.picture()
    small = cv2.resize(big, (240, 240))
    scene = np.zeros((320, 560, 3), np.uint8)
    scene[:, :320] = big
    scene[:240, 320:] = small
    (tmp_path / "set/real").mkdir(parents=True)
    assert cv2.imwrite(str(tmp_path / "set/real/two.png"), scene)
    crops = extracted(tmp_path / "set", "--people", people, "-o", tmp_path / "out").crops
    assert len(crops) == faces
    widest = max(crops, key=lambda c: c.box[2] - c.box[0] if c.box else 0)
    assert widest.box is not None
    assert widest.box[2] < 320


def test_jpg_by_option(tmp_path: Path, clip: ClipWriter) -> None:
    root = write_files(tmp_path / "set", ["real/a.png"], clip)
    (crop,) = extracted(root, "--format", "jpg", "-o", tmp_path / "out").crops
    assert crop.file.endswith(".jpg")


def test_blur_lowers_sharpness(astronaut: np.ndarray) -> None:
    grey = cv2.cvtColor(astronaut, cv2.COLOR_RGB2GRAY)
    values = [
        sharpness(grey),
        *(sharpness(cv2.GaussianBlur(grey, (0, 0), sigma)) for sigma in (1, 3)),
    ]
    assert values == sorted(values, reverse=True)
    assert sharpness(np.full((8, 8), 7, np.uint8)) == 0


def test_balance_takes_evenly_from_every_video() -> None:
    def crops(label: str, videos: int, each: int) -> list[CropEntry]:
        return [
            CropEntry(
                file=f"train/{label}/{v}/{i}.png",
                label=label,
                video=f"{label}{v}",
                frame=i,
                split="train",
            )
            for v in range(videos)
            for i in range(each)
        ]

    only_real = [replace(c, split="test", file=f"test/{c.file}") for c in crops("real", 1, 3)]
    kept = balance([*crops("real", 4, 6), *crops("fake", 2, 5), *only_real], seed=1)
    reals = [c for c in kept if c.label == "real" and c.split == "train"]
    assert len(reals) == 10
    assert sorted(sum(c.video == f"real{v}" for c in reals) for v in range(4)) == [2, 2, 3, 3]
    assert sum(c.split == "test" for c in kept) == 3
    assert kept == balance([*only_real, *crops("fake", 2, 5), *crops("real", 4, 6)], seed=1)


def test_balance_deletes_what_it_drops(tmp_path: Path, clip: ClipWriter) -> None:
    root = write_files(
        tmp_path / "set", ["train/real/a.png", "train/real/b.png", "train/fake/c.png"], clip
    )
    dataset = extracted(root, "--balance", "-o", tmp_path / "out")
    assert sorted(c.label for c in dataset.crops) == ["fake", "real"]
    assert len([*tmp_path.glob("out/train/**/*.png")]) == 2
    assert check_dataset(dataset).findings == ()


def test_geometry_from_a_dataset_with_one_value_changed(tmp_path: Path, clip: ClipWriter) -> None:
    root = write_files(tmp_path / "set", ["real/a.png"], clip)
    extracted(root, "--geometry", "scale=2.5", "--geometry", "border=black", "-o", tmp_path / "one")
    dataset = extracted(
        root, "--geometry", tmp_path / "one", "--geometry", "centre=0.5", "-o", tmp_path / "two"
    )
    assert dataset.geometry == Geometry(scale=2.5, border="black", centre=0.5, size=64)
    for wrong in ("scale=big", "zoom=2", "scale=0.1"):
        assert run(root, "--geometry", wrong, "-o", tmp_path / "three").exit_code == 2


@pytest.mark.parametrize(
    ("words", "geometry"),
    [
        (["--geometry", "paper"], Geometry(size=64)),
        (["--geometry", "paper", "--geometry", "scale=2.5"], Geometry(size=64, scale=2.5)),
        (["--geometry", "scale=2.5", "--geometry", "paper"], Geometry(size=64, scale=2.5)),
    ],
)
def test_the_papers_geometry_is_one_word_away(
    tmp_path: Path, clip: ClipWriter, words: list[str], geometry: Geometry
) -> None:
    root = write_files(tmp_path / "set", ["real/a.png"], clip)
    assert extracted(root, *words, "-o", tmp_path / "out").geometry == geometry


def test_the_recorded_settings_are_whole(tmp_path: Path, clip: ClipWriter) -> None:
    root = write_files(tmp_path / "set", ["real/a.png", "fake/b.png"], clip)
    extracted(root, "-o", tmp_path / "out")
    card = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert card["geometry"] == (read_card("meso4").geometry.to_dict() | {"size": 64})
    assert card["counts"]["crops"] == 2
    assert card["settings"]["frames"] == 2
    assert card["collections"] == [{"path": str(root), "layout": "folders"}]

"""Results that a run goes on with.

What is done is known, what is torn is cut off, and nothing comes twice.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesovid.archive import Archive
from mesovid.errors import InputError, SettingsError
from mesovid.records import Failure, ModelRef, Scan, Verdict, VideoInfo

SETTINGS = {"model": "meso4", "frames": 32, "threads": 0}
SHA = "ab" * 32


def result(path: Path, label: str = "real") -> Scan:
    return Scan(
        video=VideoInfo(str(path), 8, 8, 25.0, 1, 1.0),
        model=ModelRef("meso4", SHA, 0.5),
        settings=SETTINGS,
        sampled=(),
        scores=(),
        people=(),
        segments=(),
        verdict=Verdict(label, 0.1, "ok", "because"),  # type: ignore[arg-type]
        seconds={"total": 0.1},
    )


def video(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(name.encode(errors="surrogateescape"))
    return path


@pytest.fixture
def videos(tmp_path: Path) -> list[Path]:
    return [video(tmp_path, f"{i}.mp4") for i in range(4)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl"


def archive(file: Path, **more: Any) -> Archive:
    return Archive(file, more.pop("sha", SHA), SETTINGS | more.pop("settings", {}), **more)


def filled(file: Path, videos: list[Path]) -> None:
    with archive(file) as found:
        for path in videos:
            found.add(result(path))


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def outcomes(file: Path, videos: list[Path], **more: Any) -> list[str | None]:
    with archive(file, **more) as found:
        return [found.outcome(str(path)) for path in videos]


def test_what_is_done_is_known(file: Path, videos: list[Path]) -> None:
    with archive(file) as found:
        found.add(result(videos[0], "fake"))
        found.add(Failure(str(videos[1]), "damaged"))
    assert outcomes(file, videos) == ["fake", "error", None, None]
    assert [line["path"] for line in lines(file)] == [str(path) for path in videos[:2]]


@pytest.mark.parametrize("torn", [1, 20, 200])
def test_a_torn_line_is_cut_off_and_done_again(file: Path, videos: list[Path], torn: int) -> None:
    filled(file, videos[:2])
    whole = file.read_bytes()
    file.write_bytes(whole[:-torn])
    with archive(file) as found:
        assert found.outcome(str(videos[1])) is None
        found.add(result(videos[1]))
    assert file.read_bytes() == whole


def test_a_changed_video_is_done_again_and_has_one_line(file: Path, videos: list[Path]) -> None:
    filled(file, videos)
    videos[1].write_bytes(b"longer than it was before")
    os.utime(videos[2], (1, 1))
    assert outcomes(file, videos) == ["real", None, None, "real"]
    filled(file, videos[1:3])
    assert sorted(line["path"] for line in lines(file)) == sorted(map(str, videos))


def test_a_video_that_is_gone_keeps_its_line(file: Path, videos: list[Path]) -> None:
    filled(file, videos)
    videos[0].unlink()
    assert outcomes(file, videos) == ["real"] * 4


def test_failures_are_tried_again_when_asked(file: Path, videos: list[Path]) -> None:
    with archive(file) as found:
        found.add(Failure(str(videos[0]), "damaged"))
        found.add(result(videos[1]))
    assert outcomes(file, videos) == ["error", "real", None, None]
    assert outcomes(file, videos, retry=True) == [None, "real", None, None]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"sha": "cd" * 32},
            r"holds results of the model meso4 \(abababab\), this run uses cdcdcdcd; give",
        ),
        (
            {"settings": {"frames": 64}},
            "holds results with frames 32, this run has frames 64; give",
        ),
    ],
)
def test_other_models_and_settings_are_refused(
    file: Path, videos: list[Path], change: dict[str, Any], says: str
) -> None:
    filled(file, videos)
    before = file.read_bytes()
    with pytest.raises(SettingsError, match=says), archive(file, **change):
        pass
    assert file.read_bytes() == before


def test_threads_change_no_result(file: Path, videos: list[Path]) -> None:
    filled(file, videos)
    assert outcomes(file, videos, settings={"threads": 3}) == ["real"] * 4


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(
    "content", [b"a letter\n", b"a letter", b'{"a": 1}\n', b"[]\n", b"\xff\x00"]
)
def test_other_files_are_left_alone(file: Path, content: bytes, restart: bool) -> None:
    file.write_bytes(content)
    with (
        pytest.raises(InputError, match=r"holds no results of `mesovid scan`"),
        archive(file, restart=restart),
    ):
        pass
    assert file.read_bytes() == content


def test_restart_forgets_all(file: Path, videos: list[Path]) -> None:
    filled(file, videos)
    assert outcomes(file, videos, restart=True, settings={"frames": 64}) == [None] * 4
    assert file.read_bytes() == b""


@pytest.mark.skipif(sys.platform == "win32", reason="no locks of this kind")
def test_two_runs_cannot_write_one_file(file: Path) -> None:
    with archive(file), pytest.raises(InputError, match="another run writes to it"), archive(file):
        pass
    with archive(file):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="no limits")
def test_a_full_disk_tears_no_line(file: Path, videos: list[Path]) -> None:
    """The kernel itself refuses to write: a file size limit stands in for a full disk."""
    filled(file, videos[:1])
    size = file.stat().st_size
    program = (
        "import resource, signal, sys, pathlib, test_archive as t\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 100}, {size + 100}))\n"
        "with t.archive(sys.argv[1]) as found:\n"
        "    try: found.add(t.result(pathlib.Path(sys.argv[2])))\n"
        "    except OSError as error: sys.exit(error.errno)\n"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.getcwd()])}
    done = subprocess.run([sys.executable, "-c", program, file, videos[1]], env=env, check=False)
    assert done.returncode == errno.EFBIG
    assert file.stat().st_size == size
    assert outcomes(file, videos) == ["real", None, None, None]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text there")
def test_names_that_are_not_text_are_known_again(file: Path, tmp_path: Path) -> None:
    path = video(tmp_path, os.fsdecode(b"caf\xe9.mp4"))
    filled(file, [path])
    json.loads(file.read_bytes().decode())
    assert outcomes(file, [path]) == ["real"]


def test_links_lead_to_the_file(file: Path, videos: list[Path], tmp_path: Path) -> None:
    filled(file, videos[:2])
    link = tmp_path / "link.jsonl"
    link.symlink_to(file)
    videos[0].write_bytes(b"changed in size")
    assert outcomes(link, videos) == [None, "real", None, None]
    assert link.is_symlink()


def test_many_lines_are_read_quickly_enough_to_be_read(file: Path, tmp_path: Path) -> None:
    """Dropping lines in the middle keeps all others byte for byte."""
    names = [video(tmp_path, f"n{i}.mp4") for i in range(200)]
    filled(file, names)
    lines = file.read_bytes().splitlines(keepends=True)
    for i in range(0, 200, 3):
        names[i].write_bytes(b"changed")
    assert outcomes(file, names).count(None) == 67
    assert file.read_bytes() == b"".join(line for i, line in enumerate(lines) if i % 3)


def test_a_scan_of_numbers_of_every_kind_is_written(file: Path, videos: list[Path]) -> None:
    scan = result(videos[0])
    video_ = replace(scan.video, fps=float(np.float32(29.97)))
    with archive(file) as found:
        found.add(replace(scan, video=video_))
    assert lines(file)[0]["video"]["fps"] == 29.97


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": 5},
        {"model": "meso4"},
        {"settings": "frames"},
        {"path_bytes": "xy"},
        {"path_bytes": 5},
        {"status": None},
    ],
    ids=str,
)
def test_a_line_of_other_types_is_done_again(
    file: Path, videos: list[Path], change: dict[str, Any]
) -> None:
    """Found by mutation: it ended the run."""
    filled(file, videos[:1])
    first = lines(file)[0]
    file.write_text(json.dumps(first | change) + "\n")
    assert outcomes(file, videos[:1]) == [None]
    assert file.read_bytes() == b""


def test_a_line_without_a_verdict_is_done_again(file: Path, videos: list[Path]) -> None:
    filled(file, videos[:1])
    first = lines(file)[0]
    del first["verdict"]
    file.write_text(json.dumps(first) + "\n")
    assert outcomes(file, videos[:1]) == [None]

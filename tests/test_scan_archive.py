"""Scanning many inputs into one file: crashes, hangs, kills and restarts.

Every input gets exactly one line.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

# a decoder that crashes, hangs or takes all memory on some files
DECODER = """
import os, time
import mesovid.video as video
real = video.Sampling.__init__
def poisoned(self, path, settings):
    name = os.path.basename(path)
    if "crash" in name: os.abort()
    if "hang" in name: time.sleep(600)
    if "bloat" in name: self.much = bytearray(3 * 2**30)
    if "slow" in name: time.sleep(0.05)
    real(self, path, settings)
video.Sampling.__init__ = poisoned
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    site = tmp_path_factory.mktemp("site")
    (site / "sitecustomize.py").write_text(DECODER)
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(site), os.getcwd()])}


def picture(folder: Path, name: str) -> Path:
    image = np.full((48, 64, 3), 90, np.uint8)
    cv2.imwrite(str(folder / name), image)
    return folder / name


def command(folder: Path, *options: object) -> list[str]:
    return [sys.executable, "-m", "mesovid", "scan", str(folder), *map(str, options)]


def scan(
    folder: Path, environment: dict[str, str], *options: object
) -> subprocess.CompletedProcess[str]:
    words = command(folder, *options)
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_bytes().splitlines()]


def what(file: Path) -> dict[str, Any]:
    """Everything that the lines say, but for times."""
    found = {line["path"]: line | {"seconds": None} for line in lines(file)}
    assert len(found) == len(lines(file))
    return found


def test_what_crashes_hangs_or_bloats_costs_itself_alone(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(6):
        picture(folder, f"{i}.png")
    for name in ("crash.png", "hang.png", "bloat.png"):
        picture(folder, name)
    (folder / "broken.png").write_bytes(b"\x89PNG nothing")
    file = tmp_path / "results.jsonl"
    options = ["-o", file, "--workers", 2, "--timeout", 3]
    if sys.platform == "linux":
        options += ["--memory-limit", 2500]
    done = scan(folder, environment, *options)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    found = {Path(path).name: line for path, line in what(file).items()}
    assert {name for name, line in found.items() if line["status"] == "no_face"} == {
        f"{i}.png" for i in range(6)
    }
    assert found["crash.png"]["error"].endswith("it crashed the worker process (SIGABRT)") or (
        "it crashed the worker process (SIGABRT, within its limit" in found["crash.png"]["error"]
    )
    assert "it took longer than the 3 s allowed (--timeout)" in found["hang.png"]["error"]
    if sys.platform == "linux":
        assert (
            "it needs more than the 2500 MiB allowed (--memory-limit)"
            in found["bloat.png"]["error"]
        )
    assert "not a picture that can be read" in found["broken.png"]["error"]
    assert "10 inputs: 6 scanned (6 no face), 4 failed" in done.stderr
    # the same command has nothing left to do
    again = scan(folder, environment, *options)
    assert "10 inputs: 6 scanned (6 no face), 4 failed; 10 of them were done before" in again.stderr
    assert len(lines(file)) == 10


def test_killed_at_random_it_ends_as_undisturbed(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(60):
        picture(folder, f"slow{i:02}.png")
    (folder / "slow-broken.png").write_bytes(b"\x89PNG nothing")
    whole, file = tmp_path / "whole.jsonl", tmp_path / "results.jsonl"
    assert scan(folder, environment, "-o", whole, "--workers", 2).returncode == 1
    dice = random.Random(3)
    kills = 0
    for count in (5, 20, 40):  # lines that are there when the blow falls
        words = command(folder, "-o", file, "--workers", 2)
        with subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL) as run:
            while run.poll() is None:
                if file.exists() and file.read_bytes().count(b"\n") >= count:
                    time.sleep(dice.uniform(0, 0.1))
                    run.kill()
                    kills += run.wait() == -signal.SIGKILL
                time.sleep(0.002)
    assert kills == 3
    with file.open("ab") as torn:
        torn.write(b'{"schema": 1, "path": "half a li')
    assert scan(folder, environment, "-o", file, "--workers", 2).returncode == 1
    assert what(file) == what(whole)


def test_a_worker_that_is_killed_costs_nothing(tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(40):
        picture(folder, f"slow{i:02}.png")
    file = tmp_path / "results.jsonl"
    with subprocess.Popen(
        command(folder, "-o", file, "--workers", 2),
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        while not file.exists() or file.read_bytes().count(b"\n") < 5:
            assert run.poll() is None
            time.sleep(0.005)
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
        if children.exists():
            workers = [
                int(pid)
                for pid in children.read_text().split()
                if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()
            ]
            os.kill(workers[0], signal.SIGKILL)
        _, stderr = run.communicate(timeout=60)
    assert run.returncode == 0, stderr
    assert len(what(file)) == 40
    assert {line["status"] for line in lines(file)} == {"no_face"}


def test_interrupted_it_keeps_what_is_done(tmp_path: Path, environment: dict[str, str]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(200):
        picture(folder, f"slow{i:03}.png")
    file = tmp_path / "results.jsonl"
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        command(folder, "-o", file, "--workers", 2),
        env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as run:  # fmt: skip
        signal.signal(signal.SIGINT, heard)
        while not file.exists() or file.read_bytes().count(b"\n") < 3:
            assert run.poll() is None
            time.sleep(0.005)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does: parent and workers
        _, stderr = run.communicate(timeout=30)
    assert run.returncode == 130
    assert stderr.count("\n") == 1
    assert "of 200 inputs were scanned; the same command goes on" in stderr
    assert 3 <= len(lines(file)) < 200


def test_other_settings_are_refused_with_the_way_out(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    picture(tmp_path, "a.png")
    file = tmp_path / "results.jsonl"
    assert scan(tmp_path / "a.png", environment, "-o", file).returncode == 0
    refused = scan(tmp_path / "a.png", environment, "-o", file, "--frames", 5)
    assert refused.returncode == 2
    assert (
        "holds results with frames 32, this run has frames 5; give the same, or another file, "
        "or --restart"
    ) in (refused.stderr)
    assert (
        scan(tmp_path / "a.png", environment, "-o", file, "--frames", 5, "--restart").returncode
        == 0
    )
    assert lines(file)[0]["settings"]["frames"] == 5


def test_processes_give_the_results_in_the_order_of_the_inputs(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    names = ["slow.png", "b.png", "crash.png", "a.png"]
    paths = [str(picture(tmp_path, name)) for name in names]
    words = [
        sys.executable,
        "-m",
        "mesovid",
        "scan",
        *paths,
        "no-such.png",
        "--format",
        "json",
        "--workers",
        "2",
    ]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert [line["path"] for line in json.loads(done.stdout)] == [*paths, "no-such.png"]


@pytest.mark.parametrize("suffix", ["json", "csv", "jsonl"])
def test_the_suffix_of_the_output_names_its_format(
    tmp_path: Path, environment: dict[str, str], suffix: str
) -> None:
    picture(tmp_path, "a.png")
    file = tmp_path / f"out.{suffix}"
    assert scan(tmp_path / "a.png", environment, "-o", file).returncode == 0
    assert file.read_text().startswith(
        {"json": "{\n", "csv": "path,", "jsonl": '{"schema"'}[suffix]
    )


def test_archives_need_a_file(tmp_path: Path, environment: dict[str, str]) -> None:
    picture(tmp_path, "a.png")
    refused = scan(tmp_path / "a.png", environment, "--retry-failed")
    assert refused.returncode == 2
    assert "are for results in a file: -o results.jsonl" in refused.stderr


def test_a_watched_folder_is_scanned_as_files_arrive(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    picture(folder, "first.png")
    file = tmp_path / "results.jsonl"
    words = command(folder, "-o", file, "--watch")

    def names() -> list[str]:
        return [Path(line["path"]).name for line in lines(file)] if file.exists() else []

    def wait_for(count: int) -> None:
        for _ in range(600):
            if len(names()) >= count:
                return
            time.sleep(0.05)
        raise AssertionError(f"{names()} after 30 s")

    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as run:
        wait_for(1)
        growing = (folder / "growing.png").open("wb")  # not complete until it stops to grow
        content = picture(tmp_path, "whole.png").read_bytes()
        growing.write(content[:20])
        growing.flush()
        picture(folder, "second.png")
        for _ in range(30):
            growing.write(content[20:25])
            growing.seek(-5, os.SEEK_CUR)
            growing.flush()
            os.utime(folder / "growing.png")
            time.sleep(0.1)
        wait_for(2)
        assert names() == ["first.png", "second.png"]
        growing.write(content[20:])
        growing.close()
        wait_for(3)
        run.terminate()
        _, stderr = run.communicate(timeout=30)
    assert run.returncode == 143
    assert "3 inputs were scanned; the same command goes on" in stderr
    assert {line["status"] for line in lines(file)} == {"no_face"}
    picture(folder, "third.png")
    with subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL) as run:
        wait_for(4)
        run.kill()
    assert sorted(names()) == ["first.png", "growing.png", "second.png", "third.png"]


def test_watching_needs_folders_and_a_file(tmp_path: Path, environment: dict[str, str]) -> None:
    picture(tmp_path, "a.png")
    assert "are for results in a file" in scan(tmp_path, environment, "--watch").stderr
    refused = scan(tmp_path / "a.png", environment, "--watch", "-o", tmp_path / "r.jsonl")
    assert "--watch is for folders alone" in refused.stderr

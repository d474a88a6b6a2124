"""Scanning and extracting on a Ray cluster gives what this machine gives.

So it does when a machine dies or a job takes its actor down.
They run where Ray is installed (`pip install mesovid[ray]`), and take a minute; each step has a
time of its own to end in. One cluster of two machines, a processor each, serves all of them.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from trees import ClipWriter

pytestmark = pytest.mark.skipif(
    find_spec("ray") is None, reason="ray is not installed (mesovid[ray])"
)

STARTS = 2  # of a cluster: on a machine with much else to do Ray gives up before it is there
PATIENCE = 90.0  # seconds for any one step
# two machines, of which one goes when it is told to
CLUSTER = """
import sys
from ray.cluster_utils import Cluster
kind = {"num_cpus": 1, "object_store_memory": 80_000_000}
cluster = Cluster(initialize_head=True, head_node_args=kind | {"include_dashboard": False})
second = cluster.add_node(**kind)
cluster.wait_for_nodes()
print("\\nAT", cluster.address, flush=True)
for line in sys.stdin:
    cluster.remove_node(second, allow_graceful=False)
    print("\\nAT one machine", flush=True)
cluster.shutdown()
"""
JOBS = """
import json, sys
import test_ray_engine
from mesovid.pool import Crash, Limits
from mesovid.ray_engine import run

jobs = ["a", "die", "hang", "b"]
found = run(jobs, test_ray_engine.work, 3, Limits(timeout=4), address=sys.argv[1])
print("\\n" + json.dumps({job: out if isinstance(out, str) else out.reason for job, out in found}))
"""


def work(job: str) -> str:
    if job == "die":
        os._exit(3)
    time.sleep(600 if job == "hang" else 0.05)
    return f"done {job}"


class Cluster:
    """Two machines of a processor each, in a process of their own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", CLUSTER],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=environment(),
        )  # fmt: skip
        self._said: queue.Queue[str | None] = queue.Queue()
        self._heard: list[str] = []
        self._ear = threading.Thread(target=self._listen, daemon=True)
        self._ear.start()
        try:
            self.address = self._answer()
        except BaseException:
            self.close()
            raise

    def lose_a_machine(self) -> None:
        """Kill one of the two."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._answer()

    def close(self) -> None:
        """Stop both."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._ear.join(30)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(line)
        self._said.put(None)

    def _answer(self) -> str:
        until = time.monotonic() + PATIENCE
        while (line := self._said.get(timeout=max(until - time.monotonic(), 0))) is not None:
            self._heard.append(line)
            if line.startswith("AT "):
                return line.split()[1]
        raise RuntimeError("".join(self._heard[-20:]))


def environment() -> dict[str, str]:
    here = Path(__file__).resolve().parent
    return os.environ | {
        "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)]),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "60",
    }


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    started = None
    for number in range(STARTS):
        try:
            started = Cluster()
            break
        except (RuntimeError, queue.Empty) as error:
            if number == STARTS - 1:
                pytest.fail(f"Ray did not start: {error!r}")
    assert started is not None
    yield started
    started.close()


@pytest.fixture(scope="module")
def clip(astronaut: np.ndarray) -> ClipWriter:
    return ClipWriter(astronaut)


def run(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mesovid", *map(str, words)],
        env=environment(), capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip


def what(file: Path) -> dict[str, Any]:
    """The lines of a file of results by path, but for times."""
    lines = [json.loads(line) | {"seconds": None} for line in file.read_text().splitlines()]
    found = {str(line["path"]): line for line in lines}
    assert len(found) == len(lines)
    return found


def tree(root: Path) -> dict[str, bytes]:
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def test_an_extraction_makes_the_same_files_on_ray_as_here(
    tmp_path: Path, cluster: Cluster, clip: ClipWriter
) -> None:
    for i in range(6):
        place = tmp_path / "set" / ("real" if i % 2 else "fake") / f"{i}.avi"
        place.parent.mkdir(parents=True, exist_ok=True)
        clip(place)
    (tmp_path / "set" / "real" / "broken.avi").write_bytes(b"nothing")
    made = []
    for name, engine in {"here": ["--workers", 2], "ray": ["--engine", "ray"]}.items():
        address = ["--address", cluster.address] if name == "ray" else []
        out = tmp_path / name
        done = run("extract", tmp_path / "set", "-o", out, "--frames", 2, *engine, *address)
        assert done.returncode == 1, done.stderr
        made.append(tree(out))
    assert made[0] == made[1]
    assert sum(name.endswith(".png") for name in made[0]) == 12


def test_a_job_that_takes_actors_down_costs_itself(cluster: Cluster) -> None:
    """With more workers than there are processors: nobody's time runs out in waiting for one."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", JOBS, cluster.address],
        env=environment(), capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])  # Ray talks, too
    assert found.pop("die") == "it took its worker down, on two of them"
    assert found.pop("hang") == "it took longer than the 4 s allowed (--timeout)"
    assert found == {"a": "done a", "b": "done b"}


def test_a_machine_that_dies_in_the_middle_costs_nothing(
    tmp_path: Path, cluster: Cluster, clip: ClipWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # names that are relative mean the same to actors
    folder = Path("in")
    folder.mkdir()
    for i in range(40):
        clip(folder / f"{i}.avi")
    (folder / "broken.avi").write_bytes(b"nothing")
    here, there = Path("here.jsonl"), Path("there.jsonl")
    scan: list[Callable[[], subprocess.CompletedProcess[str]]] = [
        lambda: run("scan", folder, "-o", here, "--workers", 2),
        lambda: run("scan", folder, "-o", there, "--engine", "ray", "--address", cluster.address),
    ]
    ended: list[subprocess.CompletedProcess[str]] = [scan[0]()]
    thread = threading.Thread(target=lambda: ended.append(scan[1]()))
    thread.start()
    until = time.monotonic() + PATIENCE
    while not there.exists() or there.read_bytes().count(b"\n") < 8:
        assert time.monotonic() < until
        time.sleep(0.02)
    cluster.lose_a_machine()
    done_then = there.read_bytes().count(b"\n")
    thread.join(PATIENCE)
    for each in ended:
        assert each.returncode == 1, each.stderr
        assert "41 inputs" in each.stderr
        assert each.stdout == ""  # Ray says there that a machine died
    assert len(ended) == 2
    assert done_then < 41  # it was in the middle
    assert what(here) == what(there)


def test_a_cluster_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    done = run("scan", tmp_path / "a.png", "--engine", "ray", "--address", "127.0.0.1:1")
    assert done.returncode == 2
    assert "no Ray cluster at 127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr

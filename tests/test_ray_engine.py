"""Scanning on a Ray cluster gives what scanning here gives.

So it does when a machine dies or a job takes its actor down.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    find_spec("ray") is None, reason="ray is not installed (mesovid[ray])"
)

# two machines, one of which is taken away after some results
TWO_NODES = """
import json
from ray.cluster_utils import Cluster
import test_ray_engine
from mesovid.pool import Crash, Limits
from mesovid.ray_engine import run

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
second = cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
found = {}
for job, outcome in run(map(str, range(40)), test_ray_engine.work, 2, address=cluster.address):
    assert job not in found
    found[job] = outcome if isinstance(outcome, str) else outcome.reason
    if len(found) == 10:
        cluster.remove_node(second, allow_graceful=False)
cluster.shutdown()
print("\\n" + json.dumps(found))
"""
ONE_NODE = """
import json
import test_ray_engine
from mesovid.pool import Crash, Limits
from mesovid.ray_engine import run

jobs = ["a", "die", "hang", "b"]
found = run(jobs, test_ray_engine.work, 2, Limits(timeout=6))
print("\\n" + json.dumps({job: out if isinstance(out, str) else out.reason for job, out in found}))
"""


def work(job: str) -> str:
    import time

    if job == "die":
        os._exit(3)
    time.sleep(600 if job == "hang" else 0.05)
    return f"done {job}"


def ran(program: str) -> dict[str, Any]:
    here = str(Path(__file__).parent)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([here, os.getcwd()])}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))  # Ray talks, too


def test_a_machine_that_dies_costs_nothing() -> None:
    assert ran(TWO_NODES) == {str(i): f"done {i}" for i in range(40)}


def test_a_job_that_takes_actors_down_costs_itself() -> None:
    found = ran(ONE_NODE)
    assert found.pop("die") == "it took its worker down, on two of them"
    assert found.pop("hang") == "it took longer than the 6 s allowed (--timeout)"
    assert found == {"a": "done a", "b": "done b"}


def test_a_scan_says_the_same_on_ray_as_here(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(6):
        cv2.imwrite(str(folder / f"{i}.png"), np.full((48, 64, 3), 40 * i, np.uint8))
    (folder / "broken.png").write_bytes(b"\x89PNG nothing")
    found = []
    for engine in ("local", "ray"):
        file = tmp_path / f"{engine}.jsonl"
        words = [sys.executable, "-m", "mesovid", "scan", str(folder), "-o", str(file)]
        words += ["--engine", engine, "--workers", "2"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 1, done.stderr
        assert "7 inputs: 6 scanned (6 no face), 1 failed" in done.stderr
        lines = [json.loads(line) | {"seconds": None} for line in file.read_text().splitlines()]
        found.append(sorted(lines, key=lambda line: str(line["path"])))
    assert found[0] == found[1]


def test_a_cluster_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    words = ["scan", str(tmp_path / "a.png"), "--engine", "ray", "--address", "127.0.0.1:1"]
    done = subprocess.run(
        [sys.executable, "-m", "mesovid", *words],
        capture_output=True, text=True, check=False, timeout=90,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no Ray cluster at 127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr

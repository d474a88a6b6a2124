"""What requirements/worker.txt names is enough to scan and extract, and setup.cfg names it, too."""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from trees import ClipWriter

ROOT = Path(__file__).resolve().parent.parent
SAME = {"opencv-python-headless": "opencv-python"}  # another build of the same library
# an interpreter in which nothing else is installed, and neither is it in its worker processes
BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}} in worker.txt", name=name)
sys.meta_path.insert(0, Blocker())
"""


def named(lines: str) -> dict[str, Requirement]:
    found = [Requirement(line) for line in lines.splitlines() if re.match(r"\s*[a-z]", line)]
    return {canonicalize_name(each.name): each for each in found}


def worker() -> dict[str, Requirement]:
    return named((ROOT / "requirements" / "worker.txt").read_text())


def test_each_is_one_of_the_package_with_the_same_bounds() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    everything = named(setup["options"]["install_requires"])
    everything |= named(setup["options.extras_require"]["remote"])
    for name, requirement in worker().items():
        assert requirement.specifier == everything[SAME.get(name, name)].specifier
    assert not {"tensorflow", "mtcnn"} & worker().keys()


def closure() -> set[str]:
    """The distributions that installing worker.txt brings."""
    waiting = [SAME.get(name, name) for name in worker()]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for line in requires(name) or ():
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(needed.name))
    return found


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine that has worker.txt and mesovid alone."""
    there = closure() | {"mesovid"}
    blocked = {
        module
        for module, owners in packages_distributions().items()
        if not {canonicalize_name(owner) for owner in owners} & there
    }
    assert {"tensorflow", "keras", "scipy", "sklearn", "fastapi"} <= blocked
    (tmp_path / "sitecustomize.py").write_text(BLOCKER.format(blocked=blocked))
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}


def run(env: dict[str, str], *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mesovid", *map(str, words)],
        env=env, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_it_is_enough_to_scan_and_to_extract(
    tmp_path: Path, bare: dict[str, str], astronaut: np.ndarray
) -> None:
    for name in ("real", "fake"):
        (tmp_path / "set" / name).mkdir(parents=True)
        ClipWriter(astronaut)(tmp_path / "set" / name / f"{name}.avi")
    results = tmp_path / "results.jsonl"
    few = ("--frames", 2, "--workers", 1)
    done = run(bare, "scan", tmp_path / "set", "-o", results, *few)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [line["scored_faces"] for line in lines] == [2, 2]
    done = run(bare, "extract", tmp_path / "set", "-o", tmp_path / "out", *few)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").rglob("*.png"))) == 4


def test_a_command_that_needs_more_says_what(bare: dict[str, str]) -> None:
    done = run(bare, "serve")
    assert done.returncode == 2
    assert done.stderr == (
        "mesovid: this needs uvicorn, which is not installed here; pip install mesovid brings it\n"
    )

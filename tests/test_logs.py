"""`--debug` tells what was done and where an error came from; without it a command is silent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def mesovid(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mesovid", *map(str, words)]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    (tmp_path / "a.mp4").write_bytes(b"no video at all")
    return tmp_path / "a.mp4"


def test_an_error_keeps_its_traceback_for_who_asks(tmp_path: Path) -> None:
    words = ("models", "show", tmp_path / "none.json")
    quiet = mesovid(*words)
    assert quiet.stderr.count("\n") == 1
    loud = mesovid("--debug", *words)
    assert loud.returncode == quiet.returncode == 2
    assert "Traceback" in loud.stderr
    assert loud.stderr.endswith(quiet.stderr)


def test_defects_in_single_files_are_logged_with_their_traceback(
    tmp_path: Path, broken: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import mesovid.scanner as s\n"
        "def scan(*_, **__): raise ZeroDivisionError('of one')\n"
        "s.scan_video = scan\n"
    )
    path = os.pathsep.join([str(tmp_path), os.getcwd()])
    quiet = mesovid("scan", broken, PYTHONPATH=path)
    assert "unexpected ZeroDivisionError: of one" in quiet.stdout
    assert "Traceback" not in quiet.stderr
    for more in ((), ("--workers", "1")):
        loud = mesovid("--debug", "scan", broken, *more, PYTHONPATH=path)
        assert loud.returncode == 1
        assert "Traceback" in loud.stderr
        assert "a defect met in" in loud.stderr


def test_the_environment_asks_as_well(broken: Path) -> None:
    assert "runs on cpu" in mesovid("scan", broken, MESOVID_DEBUG="1").stderr
    assert "runs on cpu" not in mesovid("scan", broken, MESOVID_DEBUG="0").stderr

"""How commands end as processes: on full disks, closed streams and signals.

Also on terminals of other encodings.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from mesovid.cli import cli

ROOT = Path(__file__).resolve().parent.parent
MESOVID = f"{sys.executable} -m mesovid"


def shell(
    command: str, folder: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """A line of bash in which `mesovid` is this checkout's.

    The status is that of the first part of a pipe.
    """
    script = f'mesovid() {{ {MESOVID} "$@"; }}; {command}; exit ${{PIPESTATUS[0]}}'
    variables = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, env=variables, capture_output=True, check=False
    )


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray) -> Path:
    """60 pictures of a face, and one whose name is no UTF-8."""
    folder = tmp_path_factory.mktemp("faces")
    face = cv2.cvtColor(np.ascontiguousarray(astronaut[:300, 70:370]), cv2.COLOR_RGB2BGR)
    content = cv2.imencode(".jpg", face)[1].tobytes()
    for number in range(60):
        (folder / f"{number:02}.jpg").write_bytes(content)
    (folder / "odd").mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/odd/caf\xe9.jpg")).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("command", "status", "says"),
    [
        (
            "mesovid --help > /dev/full",
            1,
            b"mesovid: cannot write to standard output: No space left on device\n",
        ),
        (
            "mesovid models list > /dev/full",
            1,
            b"mesovid: cannot write to standard output: No space left",
        ),
        (
            "mesovid models list >&-",
            1,
            b"mesovid: cannot write to standard output: Bad file descriptor\n",
        ),
        ("mesovid models list | true", 141, b""),
        ("mesovid models show meso4 | head -n 1", (0, 141), b""),
        ("mesovid models list > /dev/null 2>&-", 0, b""),
        (
            "mesovid scan - <&-",
            1,
            b"mesovid: -: cannot read the list of inputs: Bad file descriptor\n",
        ),
        (
            "mesovid scan absent.mp4 -o none/at/all.txt",
            2,
            b"mesovid: cannot write none/at/all.txt: there is no folder",
        ),
        (
            "mesovid scan setup.cfg -o setup.cfg",
            2,
            b"mesovid: the output setup.cfg is the input setup.cfg, which",
        ),
    ],
)
def test_one_line_and_a_status(command: str, status: int | tuple[int, ...], says: bytes) -> None:
    done = shell(command)
    assert done.returncode in (status if isinstance(status, tuple) else (status,)), done.stderr
    assert done.stderr.startswith(says)
    assert len(done.stderr.splitlines()) == (1 if says else 0)


@pytest.mark.parametrize(
    ("name", "status", "says", "output"),
    [
        ("SIGTERM", 143, "stopped by SIGTERM", "-"),
        ("SIGTERM", 143, "stopped by SIGTERM", "out.json"),
        ("SIGINT", 130, "stopped", "out.json"),
        ("SIGHUP", 129, "stopped by SIGHUP", "-"),
    ],
)
def test_a_signal_ends_the_array(
    faces: Path, tmp_path: Path, name: str, status: int, says: str, output: str
) -> None:
    words = [sys.executable, "-c", STARTED, "scan", str(faces), "--format", "json", "-o", output]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (
        (tmp_path / "stdout").open("wb") as stdout,
        subprocess.Popen(
            words, cwd=tmp_path, env=environment, stdout=stdout, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stderr is not None
        assert process.stderr.readline() == "started\n"
        process.send_signal(getattr(signal, name))
        said = process.stderr.read()
    assert process.returncode == status
    assert said.startswith(f"mesovid: {says}; ")
    assert len(said.splitlines()) == 1
    result = "stdout" if output == "-" else output
    assert 3 <= len(json.loads((tmp_path / result).read_text())) < 61
    assert set(os.listdir(tmp_path)) == {"stdout", result}


# says on stderr when the third result has come
STARTED = """
import signal, sys, mesovid.cli.scan
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run behind a shell
from mesovid.cli import main
def counted(*words, scans=mesovid.cli.scan._scans, **options):
    for number, result in enumerate(scans(*words, **options), start=1):
        yield result
        if number == 3:
            print("started", file=sys.stderr, flush=True)
mesovid.cli.scan._scans = counted
if __name__ == "__main__":
    main()
"""


def test_a_full_disk_keeps_whole_lines(faces: Path, tmp_path: Path) -> None:
    done = shell(f"ulimit -f 4; mesovid scan {faces}/0*.jpg --format jsonl -o a.jsonl", tmp_path)
    assert (done.returncode, done.stderr) == (1, b"mesovid: cannot write a.jsonl: File too large\n")
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert len(lines) > 1
    assert all(json.loads(line)["status"] == "ok" for line in lines)


def test_a_full_disk_leaves_no_array(faces: Path, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[]\n")
    done = shell(f"ulimit -f 4; mesovid scan {faces}/0*.jpg --format json -o a.json", tmp_path)
    assert (done.returncode, done.stderr) == (1, b"mesovid: cannot write a.json: File too large\n")
    assert (tmp_path / "a.json").read_text() == "[]\n"
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("encoding", ["cp1252", "cp437"])
def test_text_on_any_terminal(faces: Path, encoding: str) -> None:
    done = shell(f"mesovid scan {faces}/odd {ROOT}/examples -q", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode(encoding)
    assert f"{faces}/odd/caf\\xe9.jpg" in text
    assert ("█" if encoding == "cp437" else "####") in text


@pytest.mark.parametrize(("encoding", "format_"), [("ascii", "json"), ("latin-1", "jsonl")])
def test_json_is_utf8_on_any_terminal(faces: Path, encoding: str, format_: str) -> None:
    done = shell(f"mesovid scan {faces}/odd ü.mp4 -q --format {format_}", PYTHONIOENCODING=encoding)
    text = done.stdout.decode("utf-8")
    odd, absent = json.loads(text) if format_ == "json" else map(json.loads, text.splitlines())
    assert bytes.fromhex(odd["path_bytes"]) == os.fsencode(faces) + b"/odd/caf\xe9.jpg"
    assert (odd["path"], absent["path"]) == (f"{faces}/odd/caf\\xe9.jpg", "ü.mp4")
    assert "path_bytes" not in absent


@pytest.mark.parametrize("format_", ["text", "json", "jsonl", "csv"])
def test_a_name_that_is_no_text_reaches_a_file(faces: Path, tmp_path: Path, format_: str) -> None:
    words = ["scan", f"{faces}/odd", "-o", str(tmp_path / "out"), "--format", format_]
    done = CliRunner().invoke(cli, words)
    assert (done.exit_code, done.output) == (0, "")
    assert "caf\\xe9.jpg" in (tmp_path / "out").read_text("utf-8").replace("\\\\", "\\")

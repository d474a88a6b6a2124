"""Which inputs a scan takes: each stands by itself, and nothing is passed over without a word."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mesovid import batch
from mesovid.batch import arrivals, find_inputs
from mesovid.errors import InputError
from mesovid.media import VIDEO_SUFFIXES
from mesovid.pool import NothingYet
from mesovid.records import Failure


def names(*inputs: str | Path, lists: tuple[str | Path, ...] = ()) -> list[str]:
    """Names of what is found; a failure is its reason."""
    found = find_inputs([str(item) for item in inputs], [str(item) for item in lists])
    return [path.error if isinstance(path, Failure) else os.path.basename(path) for path in found]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"\0")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("n" * 300, "File name too long"),
        ("n" * 300 + "/*.mp4", "File name too long"),
        ("nul\0.mp4", "null"),
        ("a.mp4/b.mp4", "Not a directory"),
        ("circle", "Too many levels of symbolic links"),
        ("dangling.mp4", "a link to gone, which does not exist"),
        ("[x].mp4", "the pattern matches no file"),
        ("none.mp4", "no such file or folder"),
    ],
)
def test_a_bad_path_costs_itself(folder: Path, name: str, says: str) -> None:
    (folder / "circle").symlink_to("circle")
    (folder / "dangling.mp4").symlink_to("gone")
    first, bad, last = names(folder / "a.mp4", f"{folder}/{name}", folder / "b.mp4")
    assert (first, last) == ("a.mp4", "b.mp4")
    assert says in bad


def test_a_folder_that_may_not_be_read_costs_itself(folder: Path) -> None:
    """As another user where this is root, who may read everything."""
    program = """
import os
from mesovid.batch import find_inputs
os.chmod("closed", 0)
if os.geteuid() == 0:
    os.setuid(65534)
for path in find_inputs(["closed", "closed/x.mp4", "closed/*.mp4", "a.mp4", "."]):
    print(getattr(path, "error", path))
"""
    (folder / "closed").mkdir()
    for place in (folder, *folder.parents[:2]):
        place.chmod(0o755)
    root = str(Path(__file__).resolve().parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=False,
    )
    (folder / "closed").chmod(0o755)
    assert done.stdout.splitlines() == [
        "closed: Permission denied",
        "closed/x.mp4: Permission denied",
        "closed/*.mp4: Permission denied",
        "a.mp4",
        "./a.mp4",
        "./b.mp4",
        "./closed: Permission denied",
    ], done.stderr


UNUSUAL = "\u2028é \x0b.mp4"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("\ufeffa.mp4\r\n\r\n  {0}\r\nb.mp4", "utf-8"),
        ("\ufeffa.mp4\n{0}\nb.mp4\n", "utf-16-le"),
        ("\ufeffa.mp4\r\n{0}\r\nb.mp4", "utf-16-be"),
        ("a.mp4\0{0}\0b.mp4\0", "utf-8"),
        ("a.mp4\r{0}\rb.mp4\r", "utf-8"),
    ],
    ids=["utf-8 with mark", "utf-16", "big utf-16", "NUL", "CR"],
)
def test_lists_of_any_kind(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, encoding: str
) -> None:
    monkeypatch.chdir(folder)
    (folder / UNUSUAL).touch()
    (folder / "list").write_bytes(text.format(UNUSUAL).encode(encoding))
    assert names(lists=("list",)) == ["a.mp4", UNUSUAL, "b.mp4"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((folder / "list").read_bytes())))
    assert names("-") == ["a.mp4", UNUSUAL, "b.mp4"]


def test_a_listed_name_may_be_no_text_or_begin_with_a_space(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (folder / " a.mp4").touch()
    (folder / os.fsdecode(b"caf\xe9.mp4")).touch()
    (folder / "list").write_bytes(b" a.mp4\n  b.mp4  \ncaf\xe9.mp4\n")
    assert names(lists=("list",)) == [" a.mp4", "b.mp4", os.fsdecode(b"caf\xe9.mp4")]


def test_the_home_folder_in_a_list(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder.parent)
    (folder / "list").write_text("~/a.mp4\n")
    assert find_inputs([], [str(folder / "list")]) == [f"{folder}/a.mp4"]


@pytest.mark.parametrize(
    ("content", "says"), [(None, "No such file"), ("a.mp4\n".encode("utf-16")[:-1], "utf-16")]
)
def test_a_list_that_cannot_be_read_is_an_error(
    folder: Path, content: bytes | None, says: str
) -> None:
    if content is not None:
        (folder / "list").write_bytes(content)
    with pytest.raises(InputError, match=f"cannot read the list of inputs: .*{says}"):
        find_inputs([], [str(folder / "list")])


@pytest.mark.parametrize(
    "suffix", [".qt", ".3gpp", ".mpe", ".mod", ".tod", ".ogm", ".insv", ".m2t", ".m1v", ".lrv"]
)
def test_cameras_and_phones_have_many_suffixes(folder: Path, suffix: str) -> None:
    assert suffix in VIDEO_SUFFIXES
    (folder / f"c{suffix.upper()}").write_bytes(b"\0\0\1\xba")
    assert names(folder) == ["a.mp4", "b.mp4", f"c{suffix.upper()}"]


def test_what_a_folder_holds_beside_is_told(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "far.mp4").touch()
    (folder / "notes.TXT").touch()
    (folder / "app.ts").write_text("export const video = 1;\n")
    (folder / "cam.ts").write_bytes(b"G\0\0\0")
    (folder / "._a.mp4").touch()
    (folder / "linked").symlink_to(elsewhere)
    (folder / "gone.mp4").symlink_to("nowhere")
    (folder / "gone.txt").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.mp4")
    told: dict[str, str] = {}
    found = find_inputs(
        [str(folder)], on_skip=lambda path, why: told.update({os.path.basename(path): why})
    )
    paths = [os.path.basename(path) for path in found if isinstance(path, str)]
    assert paths == ["a.mp4", "b.mp4", "cam.ts"]
    failed = {
        os.path.basename(item.path): item.error for item in found if isinstance(item, Failure)
    }
    assert set(failed) == {"gone.mp4", "pipe.mp4"}
    assert told.pop("linked").startswith(f"a link to {elsewhere}")
    assert told == {"notes.TXT": ".txt", "app.ts": ".ts of text", "gone.txt": "a link to nothing"}
    followed = find_inputs([str(folder)], follow_links=True)
    assert f"{folder}/linked/far.mp4" in followed


def test_a_path_counts_once_and_links_do_not_go_in_circles(folder: Path) -> None:
    (folder / "again").symlink_to(folder)
    assert names(folder, folder / "a.mp4", f"{folder}/*.mp4") == ["a.mp4", "b.mp4"]


def looks(found: Iterator[str | NothingYet], number: int) -> list[str]:
    """What arrives while one looks so many times."""
    came = []
    for _ in range(number):
        while not isinstance(path := next(found), NothingYet):
            came.append(os.path.basename(path))
        time.sleep(0.03)
    return came


def test_what_arrives_comes_once_and_when_it_is_complete(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "SETTLED", 0.1)
    monkeypatch.setattr(batch, "WALKING", 1.0)
    here = folder / "inbox"
    here.mkdir()
    (here / "old.mp4").write_bytes(b"x")
    (here / "done.mp4").write_bytes(b"x")
    found = arrivals([str(here)], lambda path: path.endswith("done.mp4"))
    assert looks(found, 8) == ["old.mp4"]
    growing, passing = here / "growing.mp4", here / "passing.mp4"
    passing.write_bytes(b"x")
    for size in range(6):
        growing.write_bytes(b"x" * size)
        assert looks(found, 1) == []
        passing.unlink(missing_ok=True)
    assert looks(found, 8) == ["growing.mp4"]


def test_an_idle_watch_walks_through_its_folders_rarely(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walks = 0

    def slow(*inputs: Any, **options: Any) -> list[str | Failure]:
        nonlocal walks
        walks += 1
        time.sleep(0.02)
        return find_inputs(*inputs, **options)

    monkeypatch.setattr(batch, "find_inputs", slow)
    found = arrivals([str(folder)], lambda _path: True)
    assert looks(found, 20) == []
    assert walks == 1  # 0.6 s; the next one comes after 2 s

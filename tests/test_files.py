"""Files are whole or not there, and nothing that was read is written over."""

from __future__ import annotations

import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from mesovid.errors import OutputError, SettingsError
from mesovid.files import Lines, check_output, is_text, reported, whole, whole_together, write_whole

MP4 = b"\0\0\0\x18ftypisom" + bytes(100)


@pytest.fixture
def small_files() -> Iterator[int]:
    """No file may grow beyond 1,000 bytes, as on a disk that is nearly full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield 1000
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_does_not_fit_leaves_the_old_one(tmp_path: Path, small_files: int) -> None:
    file = tmp_path / "a.json"
    file.write_text("old")
    with (
        pytest.raises(OutputError, match=r"cannot write .*a\.json: File too large"),
        reported(file),
    ):
        write_whole(file, bytes(small_files + 1))
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_block_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def interrupted() -> None:
        with whole(tmp_path / "a.mp4") as partial:
            assert partial.suffix == ".mp4"  # writers of videos choose their format by it
            partial.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not os.listdir(tmp_path)


def test_a_new_file_has_the_usual_mode_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_whole(tmp_path / "new", b"")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode
    (tmp_path / "new").chmod(0o640)
    write_whole(tmp_path / "new", b"x")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there/real")
    write_whole(tmp_path / "link", b"1")
    write_whole(tmp_path / "link", b"2")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "real").read_bytes() == b"2"


def test_a_name_as_long_as_names_can_be(tmp_path: Path) -> None:
    write_whole(tmp_path / ("n" * 255), b"x")
    assert os.listdir(tmp_path) == ["n" * 255]


def test_pipes_and_open_descriptors_are_written_through(tmp_path: Path) -> None:
    log = os.open(tmp_path / "log", os.O_RDWR | os.O_CREAT)
    os.write(log, b"before ")
    write_whole(f"/dev/fd/{log}", b"after")
    with Lines(f"/dev/fd/{log}") as lines:
        lines.write("!")
    os.close(log)
    assert (tmp_path / "log").read_bytes() == b"before after!"
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_whole(tmp_path / "pipe", b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    with pytest.raises(OSError, match="No space left"):
        write_whole("/dev/full", b"x")


def test_files_that_belong_together_move_together(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_together(tmp_path, ["a", "b"]) as work:
        (work / "b").touch()
    assert not os.listdir(tmp_path)
    with whole_together(tmp_path / "new", ["a"]) as work:
        (work / "a").touch()
        (work / "not asked for").touch()
    assert os.listdir(tmp_path / "new") == ["a"]


def test_a_line_that_does_not_fit_is_taken_back(tmp_path: Path, small_files: int) -> None:
    with Lines(tmp_path / "a.jsonl") as lines:
        lines.write("first\n")
        with pytest.raises(OSError, match="too large"):
            lines.write("x" * small_files + "\n")
        lines.write("last\n")
    assert (tmp_path / "a.jsonl").read_text() == "first\nlast\n"


def test_a_line_is_on_disk_at_once(tmp_path: Path) -> None:
    with Lines(tmp_path / "a.jsonl") as lines:
        lines.write("é\n")
        assert (tmp_path / "a.jsonl").read_bytes() == b"\xc3\xa9\n"


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    (tmp_path / "clip.mp4").write_bytes(MP4)
    (tmp_path / "nameless").write_bytes(MP4)
    (tmp_path / "names").write_text("clip.mp4\n")
    (tmp_path / "hard.txt").hardlink_to(tmp_path / "names")
    (tmp_path / "soft.json").symlink_to("names")
    (tmp_path / "old.json").write_text('{"é": 1}')
    (tmp_path / "old.png").write_bytes(b"\x89PNG\r\n\x1a\n" + MP4)
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("clip.mp4", "is the input"),
        ("names", "is the input"),
        ("hard.txt", "is the input .*names, which it would destroy"),
        ("soft.json", "is the input"),
        ("nameless", "holds no text: a video, a picture or a model"),
        ("other.MP4", "name of a video or picture"),
        ("gone", "is one of the inputs"),
        ("folder", "this is a folder"),
        ("none/a.json", "there is no folder"),
        ("names/a.json", "Not a directory"),
        ("n" * 300, "File name too long"),
        ("nul\0", "null"),
    ],
)
def test_an_output_that_would_destroy_or_fail_is_refused(
    inputs: Path, name: str, says: str
) -> None:
    before = {path: path.read_bytes() for path in inputs.iterdir() if path.is_file()}
    named = [inputs / "clip.mp4", inputs / "names", inputs / "gone", inputs / ("n" * 300)]
    with pytest.raises(SettingsError, match=says):
        check_output(inputs / name, named)
    assert before == {path: path.read_bytes() for path in inputs.iterdir() if path.is_file()}


@pytest.mark.parametrize("name", ["old.json", "new.json", "/dev/null", "/dev/stdout"])
def test_other_outputs_are_not(inputs: Path, name: str) -> None:
    check_output(inputs / name, [inputs / "clip.mp4"])
    check_output(inputs / "not" / "yet" / "made.json", parents=True)


@pytest.mark.parametrize(
    ("name", "says"),
    [("names", "is no PNG file"), ("x.jpg", r"ends in \.png"), ("clip.mp4", r"\.png")],
)
def test_a_picture_takes_the_place_of_a_picture_alone(inputs: Path, name: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        check_output(inputs / name, kind="png")
    check_output(inputs / "old.png", kind="png")
    check_output(inputs / "new.png", kind="png")


@pytest.mark.parametrize(
    ("head", "text"),
    [
        (b"", True),
        ("é".encode()[:1], True),
        ("é".encode()[:1] + b"a", False),
        (b"a\0", False),
        (b"P6 \xff", False),
    ],
)
def test_what_is_text(head: bytes, text: bool) -> None:
    assert is_text(head) is text

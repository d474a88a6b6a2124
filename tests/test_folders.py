"""Folders are walked through in one way, lists are read whatever wrote them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from trees import write_files

from mesovid.folders import walk
from mesovid.texts import decode, lines


def test_files_come_in_order_and_hidden_ones_not_at_all(tmp_path: Path) -> None:
    names = ["b/c.mp4", "b/._c.mp4", "a.MP4", "._a.mp4", ".trash/x.mp4", "b/notes.txt", "b/a/d.mp4"]
    root = write_files(tmp_path, names)
    assert list(walk(root, {".mp4"})) == ["a.MP4", "b/c.mp4", "b/a/d.mp4"]
    assert list(walk(root)) == ["a.MP4", "b/c.mp4", "b/notes.txt", "b/a/d.mp4"]


@pytest.mark.parametrize("follow", [False, True])
def test_links_out_of_the_folder_are_followed_when_asked(tmp_path: Path, follow: bool) -> None:
    root = write_files(tmp_path / "in", ["pool/a.mp4"])
    write_files(tmp_path / "in-other", ["b.mp4"])  # its name begins like the folder's
    (root / "again").symlink_to("pool")
    (root / "away").symlink_to(tmp_path / "in-other")
    (root / "file.mp4").symlink_to(tmp_path / "in-other" / "b.mp4")
    (root / "inside.mp4").symlink_to("pool/a.mp4")
    skipped: list[tuple[str, str]] = []
    found = list(
        walk(root, follow_links=follow, on_skip=lambda path, why: skipped.append((path, why)))
    )
    inside = ["inside.mp4", "again/a.mp4", "pool/a.mp4"]
    assert set(found) == {*inside, *(["away/b.mp4", "file.mp4"] if follow else [])}
    assert [Path(path).name for path, _ in skipped] == ([] if follow else ["away", "file.mp4"])
    assert all(str(tmp_path / "in-other") in why and "--follow-links" in why for _, why in skipped)


def test_circles_of_links_end(tmp_path: Path) -> None:
    root = write_files(tmp_path / "in", ["a/1.mp4", "b/2.mp4", "c/3.mp4"])
    (root / "a/up").symlink_to("..")
    (root / "a/self").symlink_to(root / "a")
    (root / "a/over").symlink_to(tmp_path)
    for one, other in (("a", "b"), ("b", "c"), ("c", "a"), ("b", "a"), ("c", "b"), ("a", "c")):
        (root / one / f"to_{other}").symlink_to(root / other)
    skipped: list[str] = []
    found = list(walk(root, follow_links=True, on_skip=lambda path, _why: skipped.append(path)))
    assert {Path(path).name for path in skipped} == {"over"}
    assert [name for name in found if name.count("/") == 1] == ["a/1.mp4", "b/2.mp4", "c/3.mp4"]
    assert "a/to_b/to_c/3.mp4" in found
    # each of the orders in which three folders, or some of them, can be met
    assert len(found) == 15


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "gone.mp4").symlink_to("nowhere.mp4")
    (tmp_path / "gone.txt").symlink_to("nowhere.txt")
    skipped: list[tuple[str, str]] = []
    assert not list(walk(tmp_path, {".mp4"}, on_skip=lambda path, why: skipped.append((path, why))))
    assert [(Path(path).name, why) for path, why in skipped] == [
        ("gone.mp4", "a link to nothing"),
        ("pipe.mp4", "not a regular file"),
    ]
    assert not list(walk(tmp_path / "none", on_skip=lambda path, why: skipped.append((path, why))))
    assert skipped[-1][1] == "No such file or directory"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_text_is_read_in_any_unicode(encoding: str) -> None:
    text = "one.mp4\r\ntwo\u2028three.mp4\n\n"
    assert lines(decode(text.encode(encoding))) == ["one.mp4", "two\u2028three.mp4"]


def test_names_between_nuls_may_hold_line_ends() -> None:
    assert lines(decode(b"a\nb.mp4\0 c.mp4\0")) == ["a\nb.mp4", " c.mp4"]


def test_bytes_that_are_no_utf_8_stay() -> None:
    assert os.fsencode(decode(b"caf\xe9.mp4")) == b"caf\xe9.mp4"

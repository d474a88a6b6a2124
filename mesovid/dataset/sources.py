"""What a collection of videos or pictures offers for extraction, whatever its layout on disk."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mesovid.media import PICTURE_SUFFIXES, VIDEO_SUFFIXES

MEDIA = VIDEO_SUFFIXES | PICTURE_SUFFIXES


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One video, or the pictures that were taken from one video."""

    files: tuple[Path, ...]  # one video file, or one or more pictures in order
    video: str  # key: the path inside its collection without suffix, or the name its manifest gives it
    label: str  # "real" or "fake"
    method: str | None = None
    target: str | None = None  # identity whose video it is
    source: str | None = None  # identity whose face was put in
    original: str | None = None  # key of the video that a fake was made from, at hand or not
    group: str | None = None  # what else must stay on one side of a split
    split: str | None = None  # the collection's own
    collection: str | None = None  # identities and groups are those of this collection


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that cannot be extracted, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """What one layout reader found."""

    name: str
    layout: str
    sources: tuple[Source, ...]
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()  # one sentence each


class NotThisLayoutError(Exception):
    """The folder does not follow the layout; the text says by what that shows."""


def media_files(root: Path, suffixes: frozenset[str] = MEDIA) -> Iterator[str]:
    """All files below a folder with one of the suffixes, sorted, relative with forward slashes; nothing hidden."""
    for folder, folders, files in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        place = Path(folder).relative_to(root)
        for name in sorted(files):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in suffixes:
                yield (place / name).as_posix()


def listed(folder: Path, suffixes: frozenset[str] = MEDIA) -> list[str]:
    """Names of the files of one folder, sorted; empty when there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(
        entry.name
        for entry in folder.iterdir()
        if not entry.name.startswith(".") and entry.suffix.lower() in suffixes and entry.is_file()
    )


def video_keys(files: Iterable[str]) -> dict[str, str]:
    """A key for each file: its path without suffix, or with it where two files differ in nothing else."""
    files = list(files)
    often = Counter(os.path.splitext(file)[0] for file in files)
    return {file: stem if often[stem := os.path.splitext(file)[0]] == 1 else file for file in files}

"""What a collection of videos or pictures offers for extraction, whatever its layout on disk."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mesovid.errors import DatasetError
from mesovid.media import PICTURE_SUFFIXES, VIDEO_SUFFIXES

MEDIA = VIDEO_SUFFIXES | PICTURE_SUFFIXES


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person says of a collection, beside where it lies."""

    # class name -> label, see `parse_labels`
    labels: Mapping[str, str] = field(default_factory=dict)
    follow_links: bool = False  # to folders outside of the collection


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One video, or the pictures that were taken from one video."""

    files: tuple[Path, ...]  # one video file, or one or more pictures in order
    video: (
        str  # key: the path inside its collection without suffix, or the name its manifest gives it
    )
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
    labels_used: frozenset[str] = frozenset()  # names given by `--label` that something here has


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A way in which collections are laid out on disk: all that the rest of mesovid knows of it."""

    name: str  # as `--layout` has it
    read: Callable[[Path, Options], Collection]  # NotThisLayoutError where it does not fit
    # everything lies where the layout says; what lies elsewhere is no part of it
    fixed: bool = False
    # folders with other things than videos of faces, where it is fixed
    besides: frozenset[str] = frozenset()
    loose_lists: bool = False  # lists of official splits may lie in the collection's folder itself
    # collections in which every copy numbers the same people alike
    people: frozenset[str] = frozenset()


class NotThisLayoutError(Exception):
    """The folder does not follow the layout; the text says by what that shows."""


def in_one_line(problems: Sequence[Problem], shown: int = 5) -> str:
    """Problems as one line, without those beyond the first few."""
    more = f"; and {len(problems) - shown} more" if len(problems) > shown else ""
    return "; ".join(f"{problem.name}: {problem.why}" for problem in problems[:shown]) + more


def refuse_unused(options: Options, used: Iterable[frozenset[str]]) -> None:
    """DatasetError for a label given by hand that changed nothing in any of the collections."""
    for name in options.labels.keys() - frozenset().union(*used):
        what = (
            f"no folder or class is called {name!r}" if name else "there is nothing that takes it"
        )
        raise DatasetError(
            f"--label {name}{'=' if name else ''}{options.labels[name]}: {what}; it is for class "
            "folders and tables"
        )


def listed(folder: Path, suffixes: frozenset[str] = MEDIA) -> list[str]:
    """Names of the files of one folder, sorted; empty when there is no such folder."""
    try:
        entries = [*os.scandir(folder)]
    except OSError:
        return []
    return sorted(
        entry.name
        for entry in entries
        if not entry.name.startswith(".")
        and os.path.splitext(entry.name)[1].lower() in suffixes
        and entry.is_file()
    )


def is_key(text: str) -> bool:
    """Whether a text can name a video, and so a folder below a dataset's root: a path that leads
    nowhere else."""
    parts = text.replace(os.sep, "/").split("/")
    return (
        not any(part in ("", ".", "..") or "\0" in part for part in parts) and not Path(text).drive
    )


def video_keys(files: Iterable[str]) -> dict[str, str]:
    """A key for each file: its path without suffix, or with it where two files differ in nothing
    else."""
    files = list(files)
    often = Counter(os.path.splitext(file)[0] for file in files)
    return {file: stem if often[stem := os.path.splitext(file)[0]] == 1 else file for file in files}

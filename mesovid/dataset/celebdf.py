"""Celeb-DF, v1 and v2 (Li et al. 2020)."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from mesovid.dataset.labels import FAKE, REAL
from mesovid.dataset.sources import (
    Collection,
    Layout,
    NotThisLayoutError,
    Options,
    Problem,
    Source,
    listed,
)
from mesovid.errors import DatasetError
from mesovid.media import VIDEO_SUFFIXES
from mesovid.texts import read_text

FOLDERS = {"Celeb-real": REAL, "YouTube-real": REAL, "Celeb-synthesis": FAKE}
TEST_LIST = "List_of_testing_videos.txt"


@dataclass(frozen=True, slots=True)
class Name:
    """What a file's name says."""

    target: str
    source: str | None
    original: str  # stem of the original


def read(root: Path, _options: Options) -> Collection:
    """The three folders, wherever a `videos/` level lies; the official list makes `test`, the rest
    is `train`."""
    if not any(_folder(root, name) for name in FOLDERS):
        raise NotThisLayoutError(f"no folder {', '.join(FOLDERS)}")
    sources: dict[str, Source] = {}
    problems: list[Problem] = []
    for folder, label in FOLDERS.items():
        place = _folder(root, folder)
        for file in listed(place, VIDEO_SUFFIXES) if place else []:
            assert place is not None
            key = f"{folder}/{Path(file).stem}"
            name = parse(Path(file).stem)
            if folder != "YouTube-real" and (
                name is None or (name.source is None) != (label == REAL)
            ):
                expected = "idA_NNNN" if label == REAL else "idA_idB_NNNN"
                problems.append(
                    Problem(str(place / file), f"its name says no identity; expected {expected}")
                )
                continue
            sources[key] = Source(
                files=(place / file,),
                video=key,
                label=label,
                method="Celeb-synthesis" if label == FAKE else None,
                target=name.target if name else None,
                source=name.source if name else None,
                original=f"Celeb-real/{name.original}" if name and label == FAKE else None,
                collection="celebdf",
            )
    if not sources:
        raise NotThisLayoutError(f"no video in {', '.join(FOLDERS)}")
    notes = _apply_test_list(root, sources, problems)
    return Collection(
        name="celebdf",
        layout="celebdf",
        sources=tuple(sources.values()),
        problems=tuple(problems),
        notes=notes,
    )


def parse(stem: str) -> Name | None:
    """The identities in `id0_0001` or `id0_id16_0001`, the target first; None for others."""
    match = re.fullmatch(r"(id\d+)(?:_(id\d+))?_(\d{4})", stem)
    return Name(match[1], match[2], f"{match[1]}_{match[3]}") if match else None


def _folder(root: Path, name: str) -> Path | None:
    """Where the videos of one class lie: with a `videos` level below the class, above it, or
    without."""
    places = (root / name / "videos", root / "videos" / name, root / name)
    return next((place for place in places if listed(place, VIDEO_SUFFIXES)), None)


def _apply_test_list(
    root: Path, sources: dict[str, Source], problems: list[Problem]
) -> tuple[str, ...]:
    """Set the official split in `sources`; what the list says wrongly goes to `problems`. Returns
    notes."""
    file = root / TEST_LIST
    if not os.path.isfile(file):
        return (f"{root} has no {TEST_LIST}, so that the official split is unknown",)
    testing = set()
    for number, line in enumerate(read_text(file).split("\n"), 1):
        if not line.strip():
            continue
        match = re.fullmatch(r"([01])\s+(\S+)", line.strip())
        if match is None:
            raise DatasetError(
                f"{file}, line {number}: {line!r}; expected 1 (real) or 0 (fake) and a path"
            )
        folder, stem = Path(match[2]).parts[0], Path(match[2]).stem
        key = f"{folder}/{stem}"
        label = REAL if match[1] == "1" else FAKE
        if key not in sources:
            problems.append(Problem(match[2], f"listed in {TEST_LIST} but absent"))
        elif sources[key].label != label:
            problems.append(
                Problem(match[2], f"{label} in {TEST_LIST}, {sources.pop(key).label} by its folder")
            )
        else:
            testing.add(key)
    for key, source in sources.items():
        sources[key] = replace(source, split="test" if key in testing else "train")
    return ()


LAYOUT = Layout(name="celebdf", read=read, fixed=True, people=frozenset({"celebdf"}))

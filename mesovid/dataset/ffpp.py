"""FaceForensics++ (Rössler et al. 2019), with its DeepFakeDetection part, in the layout of its
download script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
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
from mesovid.media import PICTURE_SUFFIXES, VIDEO_SUFFIXES

REALS, FAKES = "original_sequences", "manipulated_sequences"
COMPRESSIONS = ("raw", "c0", "c23", "c40")  # beside them lie masks, which are no videos of faces


@dataclass(frozen=True, slots=True)
class Name:
    """What a file's name says."""

    target: str  # identity whose video it is
    source: str | None  # identity whose face was put in; None for originals
    original: str  # stem of the original


def read(root: Path, _options: Options) -> Collection:
    """The videos below `original_sequences` and `manipulated_sequences`, or the folders of frames
    in their place."""
    if not (root / REALS).is_dir() and not (root / FAKES).is_dir():
        raise NotThisLayoutError(f"no folder {REALS} or {FAKES}")
    sources: list[Source] = []
    problems: list[Problem] = []
    for key, files in _videos(root):
        kind, method, compression, videos, stem = key.split("/")
        name = parse(stem)
        if name is None or (name.source is None) != (kind == REALS):
            expected = "NNN or <actor>__<scene>" if kind == REALS else "<target>_<source>"
            problems.append(
                Problem(str(files[0]), f"its name says no identity; expected {expected}")
            )
            continue
        part = "actors" if "__" in stem else "youtube"
        original = "/".join((REALS, part, compression, videos, name.original))
        sources.append(
            Source(
                files=files,
                video=key,
                label=REAL if kind == REALS else FAKE,
                method=None if kind == REALS else method,
                target=name.target,
                source=name.source,
                original=None if kind == REALS else original,
                collection="ffpp",
            )
        )
    if not sources:
        raise NotThisLayoutError(
            f"no video in {REALS}/*/{{{','.join(COMPRESSIONS)}}}/videos or {FAKES}/..."
        )
    return Collection(name="ffpp", layout="ffpp", sources=tuple(sources), problems=tuple(problems))


def parse(stem: str) -> Name | None:
    """The identities in `033`, `033_097`, `01__exit_phone_room` or
    `01_02__exit_phone_room__YVGY8LOK`; None for others.

    Each video of the main part shows one person, whose identity is the video's number; actors
    become `actor01`.
    """
    if match := re.fullmatch(r"(\d{3})(?:_(\d{3}))?", stem):
        return Name(match[1], match[2], match[1])
    if match := re.fullmatch(r"(\d{2})__(.+)", stem):
        return Name(f"actor{match[1]}", None, stem)
    if match := re.fullmatch(r"(\d{2})_(\d{2})__(.+)__(\w{8})", stem):
        return Name(f"actor{match[1]}", f"actor{match[2]}", f"{match[1]}__{match[3]}")
    return None


def _videos(root: Path) -> Iterator[tuple[str, tuple[Path, ...]]]:
    """Key and files of each video; a folder of frames below `images` is one, too."""
    for folder in sorted(root.glob("*/*/*")):
        kind, _, compression = folder.relative_to(root).parts
        if kind not in (REALS, FAKES) or compression not in COMPRESSIONS:
            continue
        place = folder.relative_to(root).as_posix()
        for name in listed(folder / "videos", VIDEO_SUFFIXES):
            yield f"{place}/videos/{Path(name).stem}", (folder / "videos" / name,)
        for frames in sorted((folder / "images").glob("*")):
            if files := tuple(frames / name for name in listed(frames, PICTURE_SUFFIXES)):
                yield f"{place}/images/{frames.name}", files


LAYOUT = Layout(
    name="ffpp",
    read=read,
    fixed=True,
    besides=frozenset({"masks"}),
    loose_lists=True,  # train.json, val.json and test.json of its authors
    people=frozenset({"ffpp"}),
)

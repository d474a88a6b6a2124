"""Class folders that anybody may have made: `[split/]<class>/...` or `<class>/[split/]...`, videos or pictures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mesovid.dataset import celebdf, ffpp
from mesovid.dataset.labels import FAKE, REAL, label_of, method_of, split_of
from mesovid.dataset.sources import (
    MEDIA,
    Collection,
    NotThisLayoutError,
    Problem,
    Source,
    media_files,
    video_keys,
)
from mesovid.media import is_picture

EVERYTHING = ""  # key of a table of labels: the label of all files, whatever their folder


def read(root: Path, labels: Mapping[str, str]) -> Collection:
    """All videos and pictures whose folders name a known class; other folders with such files are problems."""
    name = root.resolve().name
    sources, unknown = find(root, MEDIA, labels)
    if not sources:
        names = ", ".join(sorted(unknown)[:5]) or "none"
        raise NotThisLayoutError(
            f"no videos or pictures in folders named like real or fake (folders: {names})"
        )
    problems = tuple(
        Problem(str(root / folder), f"{count} files of unknown label; say --label {folder}=real or =fake")
        for folder, count in sorted(unknown.items())
    )
    sources = [replace(source, collection=name) for source in sources]
    return Collection(name=name, layout="folders", sources=tuple(sources), problems=problems)


def find(
    root: Path, suffixes: frozenset[str], labels: Mapping[str, str]
) -> tuple[list[Source], Counter[str]]:
    """The sources below `root`, and the number of files below each folder at the top whose label nobody can tell.

    A picture's video is its folder below the class folder or, for pictures that lie in the class folder itself, its name
    without the frame number. Such a video is also a group, named without the split: it must not lie in two splits.
    """
    found: dict[tuple[str, str | None, str, str | None, str | None], list[Path]] = {}
    unknown: Counter[str] = Counter()
    for place, files in _by_folder(media_files(root, suffixes)).items():
        split, names = _take_split(place)
        at = next((i for i, name in enumerate(names) if label_of(name, labels)), None)
        label = labels.get(EVERYTHING) or (label_of(names[at], labels) if at is not None else None)
        if label is None:
            unknown[place[0] if place else "."] += len(files)
            continue
        method = next((known for name in names if (known := method_of(name))), None)
        below = len(names) > (0 if at is None else at + 1)  # a folder of its own, below the class
        for file, video, group in _videos(place, names, files, label, below):
            key = (video, split, label, method if label == FAKE else None, group)
            found.setdefault(key, []).append(root / file)
    sources = [
        Source(files=tuple(files), video=video, split=split, label=label, method=method, group=group)
        for (video, split, label, method, group), files in found.items()
    ]
    return _link_by_name(sources), unknown


def video_names(files: Sequence[str], label: str) -> list[str]:
    """Which video each picture of one folder belongs to: its stem without the frame number at its end.

    `044_945_12.png` and `044_945_13.png` are frames of `044_945`. A prefix without digits that most of the folder shares
    (`face_0001.jpg`, `face_0002.jpg`) numbers pictures, not frames: there each picture stands alone.
    """
    stems = [Path(file).stem for file in files]
    prefixes = [re.sub(r"[_\-. ]+(frame|f)?\d+$", "", stem, flags=re.IGNORECASE) for stem in stems]
    often = Counter(prefixes)
    shared = {
        prefix for prefix, n in often.items() if not re.search(r"\d", prefix) and n > max(1, len(stems) / 2)
    }
    return [
        stem if prefix in shared or _names_video(stem, label) else prefix
        for stem, prefix in zip(stems, prefixes, strict=True)
    ]


def _names_video(stem: str, label: str) -> bool:
    """Whether a number at the end is a video's, not a frame's: the fake `044_945.png` is a picture of `044_945`."""
    name = ffpp.parse(stem) or celebdf.parse(stem)
    return name is not None and (name.source is not None) == (label == FAKE)


def _by_folder(files: Iterable[str]) -> dict[tuple[str, ...], list[str]]:
    folders: dict[tuple[str, ...], list[str]] = {}
    for file in files:
        folders.setdefault(Path(file).parts[:-1], []).append(file)
    return folders


def _videos(
    place: tuple[str, ...], names: tuple[str, ...], files: list[str], label: str, below: bool
) -> list[tuple[str, str, str | None]]:
    """File, video key and group of each file of one folder; `names` is the place without the split."""
    clips = [file for file in files if not is_picture(file)]
    pictures = [file for file in files if is_picture(file)]
    rows: list[tuple[str, str, str | None]] = [(file, key, None) for file, key in video_keys(clips).items()]
    if below:
        rows += [(file, "/".join(place), "/".join(names)) for file in pictures]
        return rows
    for file, video in zip(pictures, video_names(pictures, label), strict=True):
        alone = video == Path(file).stem
        rows.append((file, "/".join((*place, video)), None if alone else "/".join((*names, video))))
    return rows


def _take_split(place: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """The first split folder of a place, and the place without it."""
    for i, name in enumerate(place):
        if (split := split_of(name)) is not None:
            return split, place[:i] + place[i + 1 :]
    return None, place


def _link_by_name(sources: list[Source]) -> list[Source]:
    """Fill in identities and originals where fakes are named as in FaceForensics++ or Celeb-DF and the originals are there."""
    reals = {Path(source.video).name: source.video for source in sources if source.label == REAL}
    linked = []
    for source in sources:
        stem = Path(source.video).name
        name = ffpp.parse(stem) or celebdf.parse(stem)
        if name is not None and source.label == FAKE and name.source and name.original in reals:
            linked.append(
                replace(source, target=name.target, source=name.source, original=reals[name.original])
            )
        elif name is not None and source.label == REAL and name.source is None:
            linked.append(replace(source, target=name.target))
        else:
            linked.append(source)
    return linked

"""Class folders that anybody may have made: `[split/]<class>/...` or `<class>/[split/]...`, videos
or pictures."""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mesovid.dataset import celebdf, ffpp
from mesovid.dataset.classes import HERE, Class, Classes, Place, with_split
from mesovid.dataset.labels import FAKE, REAL, SKIP, hint, method_of
from mesovid.dataset.sources import (
    MEDIA,
    Collection,
    Layout,
    NotThisLayoutError,
    Options,
    Problem,
    Source,
    video_keys,
)
from mesovid.folders import walk
from mesovid.media import is_picture

UNKNOWN = "of unknown label"
VIDEOS = "being videos among pictures"


@dataclass(frozen=True, slots=True)
class Found:
    """What lies in class folders."""

    sources: tuple[Source, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    labels_used: frozenset[str]  # keys of the labels given by hand that some folder has


def read(root: Path, options: Options) -> Collection:
    """All videos and pictures whose folders name a known class; other folders with such files are
    problems."""
    name = root.resolve().name
    found = find(root, MEDIA, options)
    if not found.sources:
        why = "; ".join(f"{problem.name}: {problem.why}" for problem in found.problems[:5])
        raise NotThisLayoutError(
            "no videos or pictures in folders named like real or fake "
            f"({why or 'there are none at all'})"
        )
    return Collection(
        name=name,
        layout="folders",
        sources=tuple(replace(source, collection=name) for source in found.sources),
        problems=found.problems,
        notes=found.notes,
        labels_used=found.labels_used,
    )


def find(root: Path, suffixes: frozenset[str], options: Options) -> Found:
    """The sources below `root` with one of the suffixes, and all else that looks like a part of the
    collection.

    A picture's video is its folder below the class folder or, for pictures that lie in the class
    folder itself, its name without the frame number. Such a video is also a group, named without
    the split: it must not lie in two splits. Problems are folders of unknown label, videos where
    pictures are wanted, class folders without a file that can be read, folders that cannot be read
    and linked ones that are not followed. DatasetError for folders that contradict each other.
    """
    problems: list[Problem] = []
    files = walk(
        root,
        follow_links=options.follow_links,
        on_skip=lambda path, why: problems.append(Problem(path, why)),
    )
    folders = _by_folder(files)
    media = {
        place: [name for name in names if _suffix(name) in MEDIA]
        for place, names in folders.items()
    }
    classes = Classes.of(root, [place for place, names in folders.items() if names], options.labels)
    videos: dict[tuple[str, str | None, str, str | None, str | None], list[Path]] = {}
    # folder with and without split, what is wrong with so many files
    lost: Counter[tuple[str, Place, str]] = Counter()
    of_class: dict[Place, bool] = {}  # class folder -> whether any file in it can be read
    skipped = 0
    other = Counter(
        _suffix(name) or "no suffix" for names in folders.values() for name in names
    ) - Counter(_suffix(name) for names in media.values() for name in names)
    for place, names in media.items():
        here = classes.at(place)
        path = with_split(place, len(here.folder) - (here.folder[-1:] == (HERE,)))
        wanted = [name for name in names if _suffix(name) in suffixes]
        if here.label == SKIP:
            skipped += len(names)
        elif here.label is None:
            lost[path, here.folder, UNKNOWN] += len(names)
        else:
            of_class[here.folder] = of_class.get(here.folder, False) or bool(names)
            lost[path, here.folder, VIDEOS] += len(names) - len(wanted)
            method = next((known for name in here.names if (known := method_of(name))), None)
            for file, video, group in _videos(place, here, wanted):
                key = (video, here.split, here.label, method if here.label == FAKE else None, group)
                videos.setdefault(key, []).append(root / file)
    for (path, folder, what), count in sorted((+lost).items()):
        problems.append(Problem(str(root / path), _why(folder, what, count)))
    for folder, readable in sorted(of_class.items()):
        if not readable:
            given = shlex.quote(f"./{'/'.join(folder)}=skip")
            why = f"holds files, but no video or picture; --label {given} leaves it out"
            problems.append(Problem(str(root.joinpath(*folder)), why))
    sources = [
        Source(
            files=tuple(files), video=video, split=split, label=label, method=method, group=group
        )
        for (video, split, label, method, group), files in videos.items()
    ]
    return Found(
        sources=tuple(_link_by_name(sources)),
        problems=tuple(problems),
        notes=(
            *([f"left out by --label ...=skip: {_files(skipped)}"] if skipped else []),
            *([f"passed over, being of other kinds: {_counted(other)}"] if other else []),
        ),
        labels_used=frozenset(classes.used),
    )


def _why(folder: Place, what: str, count: int) -> str:
    """Why files are in no source, with what would mend it."""
    mend = "mesovid extract makes crops of them"
    if what == UNKNOWN:
        mend = f"say {hint('/'.join(folder), leave_out=True)}"
    return f"{_files(count)} {what}; {mend}"


def _counted(kinds: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def _files(count: int) -> str:
    return f"{count} {'file' if count == 1 else 'files'}"


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def video_names(files: Sequence[str], label: str) -> list[str]:
    """Which video each picture of one folder belongs to: its stem without the frame number at its
    end.

    `044_945_12.png` and `044_945_13.png` are frames of `044_945`. A prefix without digits that most
    of the folder shares (`face_0001.jpg`, `face_0002.jpg`) numbers pictures, not frames: there each
    picture stands alone.
    """
    stems = [Path(file).stem for file in files]
    prefixes = [re.sub(r"[_\-. ]+(frame|f)?\d+$", "", stem, flags=re.IGNORECASE) for stem in stems]
    often = Counter(prefixes)
    shared = {
        prefix
        for prefix, n in often.items()
        if not re.search(r"\d", prefix) and n > max(1, len(stems) / 2)
    }
    return [
        stem if prefix in shared or _names_video(stem, label) else prefix
        for stem, prefix in zip(stems, prefixes, strict=True)
    ]


def _names_video(stem: str, label: str) -> bool:
    """Whether a number at the end is a video's, not a frame's: the fake `044_945.png` is a picture
    of `044_945`."""
    name = ffpp.parse(stem) or celebdf.parse(stem)
    return name is not None and (name.source is not None) == (label == FAKE)


def _by_folder(files: Iterable[str]) -> dict[Place, list[str]]:
    folders: dict[Place, list[str]] = {}
    for file in files:
        folders.setdefault(tuple(file.split("/")[:-1]), []).append(file)
    return folders


def _videos(place: Place, here: Class, files: list[str]) -> list[tuple[str, str, str | None]]:
    """File, video key and group of each file of one folder."""
    clips = [file for file in files if not is_picture(file)]
    pictures = [file for file in files if is_picture(file)]
    rows: list[tuple[str, str, str | None]] = []
    assert here.label is not None
    if len(here.names) > len(here.folder):  # a folder of its own, below the class
        rows += [(file, "/".join(place), "/".join(here.names)) for file in pictures]
    else:
        for file, video in zip(pictures, video_names(pictures, here.label), strict=True):
            alone = video == Path(file).stem
            rows.append(
                (file, "/".join((*place, video)), None if alone else "/".join((*here.names, video)))
            )
    taken = {video for _, video, _ in rows}
    for file, key in video_keys(clips).items():
        rows.append((file, file if key in taken else key, None))
    return rows


def _link_by_name(sources: list[Source]) -> list[Source]:
    """Fill in identities and originals where fakes are named as in FaceForensics++ or Celeb-DF and
    the originals are there."""
    reals = {Path(source.video).name: source.video for source in sources if source.label == REAL}
    linked = []
    for source in sources:
        stem = Path(source.video).name
        name = ffpp.parse(stem) or celebdf.parse(stem)
        if name is not None and source.label == FAKE and name.source and name.original in reals:
            linked.append(
                replace(
                    source, target=name.target, source=name.source, original=reals[name.original]
                )
            )
        elif name is not None and source.label == REAL and name.source is None:
            linked.append(replace(source, target=name.target))
        else:
            linked.append(source)
    return linked


LAYOUT = Layout(name="folders", read=read)

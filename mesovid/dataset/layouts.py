"""Recognises how a collection is laid out, and gathers its videos."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mesovid.dataset import celebdf, class_folders, dfdc, ffpp, tables
from mesovid.dataset.sources import (
    MEDIA,
    Collection,
    Layout,
    NotThisLayoutError,
    Options,
    Problem,
    Source,
    in_one_line,
    is_key,
    refuse_unused,
)
from mesovid.dataset.splits import apply_lists, find_lists, read_lists
from mesovid.dataset.twins import read_once
from mesovid.errors import DatasetError, InputError
from mesovid.folders import is_inside, walk

# in the order in which they are tried: the most telling first
LAYOUTS: Mapping[str, Layout] = {
    module.LAYOUT.name: module.LAYOUT for module in (ffpp, celebdf, tables, dfdc, class_folders)
}
AUTO = "auto"  # instead of a layout's name: the first that fits


@dataclass(frozen=True, slots=True)
class Gathered:
    """All that the given collections offer; keys and problems are unique over all of them."""

    sources: tuple[Source, ...]
    layouts: tuple[tuple[str, str], ...]  # path as given, and its layout
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]

    @property
    def layout(self) -> str:
        """The layout, or all of them joined by plus signs."""
        return "+".join(dict.fromkeys(layout for _, layout in self.layouts))


def gather(
    paths: Sequence[str | Path],
    options: Options | None = None,
    *,
    layout: str = AUTO,
    lists: Path | None = None,
) -> Gathered:
    """The videos of one or more collections, sorted by key.

    `options` say what its classes mean, `lists` is a file or folder of official splits; without it,
    one that lies beside the collection counts. With several collections each key begins with its
    collection's name. Raises InputError for a path that does not exist, DatasetError for an unknown
    layout, for folders that contradict each other, for a label that nothing has, and where no video
    is left.
    """
    options = options or Options()
    found = [recognise(Path(path), layout, options) for path in paths]
    refuse_unused(options, [collection.labels_used for collection in found])
    names = distinct_names([Path(path) for path in paths])
    sources: list[Source] = []
    problems: list[Problem] = []
    notes: list[str] = []
    given = read_lists(lists) if lists else None
    for path, name, collection in zip(paths, names, found, strict=True):
        own = list(collection.sources)
        beside = (
            find_lists(Path(path), loose=LAYOUTS[collection.layout].loose_lists)
            if Path(path).is_dir()
            else None
        )
        official = given or (read_lists(beside) if beside else None)
        if official is not None:
            own, absent, unlisted = apply_lists(own, official)
            problems += absent
            notes += unlisted
        sources += own if len(found) == 1 else [_prefixed(source, name) for source in own]
        problems += collection.problems
        notes += collection.notes
    astray = {source.video: problem for source in sources if (problem := _leads_out(source))}
    problems += astray.values()
    sources = [source for source in sources if source.video not in astray]
    _check_distinct(sources)
    sources, twice, again = read_once(sources)
    problems += twice
    notes += again
    if not sources and problems:
        raise DatasetError(f"no video or picture is left: {in_one_line(problems)}")
    return Gathered(
        sources=tuple(sorted(sources, key=lambda source: source.video)),
        layouts=tuple(
            (str(path), collection.layout) for path, collection in zip(paths, found, strict=True)
        ),
        problems=tuple(problems),
        notes=tuple(notes),
    )


def recognise(root: Path, layout: str, options: Options) -> Collection:
    """Read a collection in the layout named, or in the first one that fits. DatasetError says why
    each did not."""
    if not os.path.exists(root):
        raise InputError(f"{root}: no such file or folder")
    names = list(LAYOUTS) if layout == AUTO else [layout]
    reasons = []
    for name in names:
        try:
            return _walked(root, LAYOUTS[name].read(root, options), options)
        except NotThisLayoutError as reason:
            reasons.append(f"{name}: {reason}")
        except OSError as error:
            raise DatasetError(f"{error.filename or root}: {error.strerror or error}") from error
    if layout != AUTO:
        raise DatasetError(f"{root} is not in layout {reasons[0]}")
    raise DatasetError(
        f"{root} is in no known layout ({'; '.join(reasons)}); or say --label real or fake for all"
    )


def _walked(root: Path, collection: Collection, options: Options) -> Collection:
    """The collection, with what a reader that looks into certain folders alone cannot tell.

    Such are linked folders that lead elsewhere, folders that cannot be read, and files that are no
    part of the layout.
    """
    layout = LAYOUTS[collection.layout]
    if not layout.fixed:
        return collection
    problems: list[Problem] = []
    files = set(
        walk(
            root,
            follow_links=options.follow_links,
            on_skip=lambda path, why: problems.append(Problem(path, why)),
        )
    )
    sources = []
    known = set()
    for source in collection.sources:
        own = {os.path.relpath(file, root).replace(os.sep, "/") for file in source.files}
        if own <= files:
            sources.append(source)
            known |= own
        elif not any(
            is_inside(str(file), problem.name) for file in source.files for problem in problems
        ):
            problems.append(Problem(str(source.files[0]), f"lies outside of {root}"))
    other = Counter(
        name.split("/")[0] if "/" in name else name
        for name in files
        - known
        - {os.path.relpath(problem.name, root) for problem in collection.problems}
        if os.path.splitext(name)[1].lower() in MEDIA and not layout.besides & {*name.split("/")}
    )
    notes = tuple(
        f"{root / name}: {count} videos or pictures are no part of the layout {layout.name}"
        for name, count in sorted(other.items())
    )
    return replace(
        collection,
        sources=tuple(sources),
        problems=collection.problems + tuple(problems),
        notes=collection.notes + notes,
    )


def _leads_out(source: Source) -> Problem | None:
    """What is wrong with a source whose crops would lie outside of the dataset."""
    if not is_key(source.video):
        return Problem(
            source.video,
            "the video's name leads out of the dataset; give it one without .. or / in front",
        )
    if source.split is not None and (not is_key(source.split) or "/" in source.split):
        return Problem(
            source.video, f"split {source.split!r} is not the name of a folder; write train, say"
        )
    return None


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart. DatasetError when one is given twice or
    lies in another."""
    parts = [path.resolve().parts for path in paths]
    for i, one in enumerate(parts):
        for j, other in enumerate(parts):
            if i != j and one == other[: len(one)]:
                raise DatasetError(
                    f"{paths[j]} is given twice"
                    if one == other
                    else f"{paths[j]} lies in {paths[i]}"
                )
    length = 1
    while len({part[-length:] for part in parts}) < len(parts):
        length += 1
    return ["_".join(part[-length:]) for part in parts]


def _prefixed(source: Source, name: str) -> Source:
    return replace(
        source,
        video=f"{name}/{source.video}",
        original=None if source.original is None else f"{name}/{source.original}",
    )


def _check_distinct(sources: Sequence[Source]) -> None:
    often = Counter(source.video for source in sources)
    if double := [video for video, n in often.items() if n > 1]:
        files = " and ".join(
            str(source.files[0]) for source in sources if source.video == double[0]
        )
        raise DatasetError(
            f"two videos have the same name {double[0]!r}: {files}; rename one of them"
        )

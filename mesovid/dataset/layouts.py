"""Recognises how a collection is laid out, and gathers its videos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mesovid.dataset import celebdf, class_folders, dfdc, ffpp, tables
from mesovid.dataset.sources import Collection, NotThisLayoutError, Problem, Source
from mesovid.dataset.splits import apply_lists, find_lists, read_lists
from mesovid.errors import DatasetError, InputError

Reader = Callable[[Path, Mapping[str, str]], Collection]

# in the order in which they are tried: the most telling first
LAYOUTS: Mapping[str, Reader] = {
    "ffpp": lambda root, _: ffpp.read(root),
    "celebdf": lambda root, _: celebdf.read(root),
    "manifest": tables.read,
    "dfdc": lambda root, _: dfdc.read(root),
    "folders": class_folders.read,
}


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
    *,
    layout: str = "auto",
    labels: Mapping[str, str] | None = None,
    lists: Path | None = None,
) -> Gathered:
    """The videos of one or more collections, sorted by key.

    `labels` adds class names (see `parse_labels`), `lists` is a file or folder of official splits; without it, one that
    lies beside the collection counts. With several collections each key begins with its collection's name. Raises
    InputError for a path that does not exist, DatasetError for an unknown layout.
    """
    found = [recognise(Path(path), layout, labels or {}) for path in paths]
    names = distinct_names([Path(path) for path in paths])
    sources: list[Source] = []
    problems: list[Problem] = []
    notes: list[str] = []
    given = read_lists(lists) if lists else None
    for path, name, collection in zip(paths, names, found, strict=True):
        own = list(collection.sources)
        beside = find_lists(Path(path), loose=collection.layout == "ffpp") if Path(path).is_dir() else None
        official = given or (read_lists(beside) if beside else None)
        if official is not None:
            own, absent, unlisted = apply_lists(own, official)
            problems += absent
            notes += unlisted
        sources += own if len(found) == 1 else [_prefixed(source, name) for source in own]
        problems += collection.problems
        notes += collection.notes
    _check_distinct(sources)
    return Gathered(
        sources=tuple(sorted(sources, key=lambda source: source.video)),
        layouts=tuple((str(path), collection.layout) for path, collection in zip(paths, found, strict=True)),
        problems=tuple(problems),
        notes=tuple(notes),
    )


def recognise(root: Path, layout: str, labels: Mapping[str, str]) -> Collection:
    """Read a collection in the layout named, or in the first one that fits. DatasetError says why each did not."""
    if not root.exists():
        raise InputError(f"{root}: no such file or folder")
    names = list(LAYOUTS) if layout == "auto" else [layout]
    reasons = []
    for name in names:
        try:
            return LAYOUTS[name](root, labels)
        except NotThisLayoutError as reason:
            reasons.append(f"{name}: {reason}")
    if layout != "auto":
        raise DatasetError(f"{root} is not in layout {reasons[0]}")
    raise DatasetError(
        f"{root} is in no known layout ({'; '.join(reasons)}); or say --label real or fake for all"
    )


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart. DatasetError when one is given twice or lies in another."""
    parts = [path.resolve().parts for path in paths]
    for i, one in enumerate(parts):
        for j, other in enumerate(parts):
            if i != j and one == other[: len(one)]:
                raise DatasetError(
                    f"{paths[j]} is given twice" if one == other else f"{paths[j]} lies in {paths[i]}"
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
        files = " and ".join(str(source.files[0]) for source in sources if source.video == double[0])
        raise DatasetError(f"two videos have the same name {double[0]!r}: {files}; rename one of them")

"""Parts a collection into train, valid and test so that nothing leaks from one into another."""

from __future__ import annotations

import os
import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeVar

from mesovid.dataset.labels import split_of
from mesovid.dataset.sources import Problem, Source
from mesovid.errors import DatasetError, SettingsError
from mesovid.texts import parse_json, read_text

OWN_SPLITS = ("train", "valid", "test")


class Linked(Protocol):
    """What a leak can go through; both sources and crops of a dataset are such."""

    @property
    def video(self) -> str: ...
    @property
    def split(self) -> str | None: ...
    @property
    def target(self) -> str | None: ...
    @property
    def source(self) -> str | None: ...
    @property
    def original(self) -> str | None: ...
    @property
    def group(self) -> str | None: ...
    @property
    def collection(self) -> str | None: ...


Tied = TypeVar("Tied", bound=Linked)


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that lies in several splits and must not."""

    kind: str  # "video", "original", "identity" or "group"
    name: str
    splits: tuple[str, ...]
    videos: int  # how many videos it touches

    def __str__(self) -> str:
        return f"{self.kind} {self.name} is in {' and '.join(self.splits)} ({self.videos} videos)"


@dataclass(frozen=True, slots=True)
class SplitLists:
    """Official splits as files give them."""

    videos: Mapping[str, str] = field(default_factory=dict)  # path without suffix -> split
    # FaceForensics++ pairs: identity -> split
    identities: Mapping[str, str] = field(default_factory=dict)


def assign(
    sources: Sequence[Source],
    ratio: tuple[float, float, float],
    seed: int,
    *,
    identities: bool = True,
) -> list[Source]:
    """The sources, each with a split.

    A split that a source already has stays. The others follow what they are linked to (see
    `links`); linked sets with no split at all are dealt out by `ratio`, so that each split gets its
    share of every label and method.
    """
    split: dict[str, str] = {source.video: source.split for source in sources if source.split}
    open_sets = []
    for linked in linked_sets(sources, identities=identities):
        given = Counter(source.split for source in linked if source.split)
        if not given:
            open_sets.append(linked)
            continue
        (most, _), *_ = sorted(given.items(), key=lambda item: (-item[1], item[0]))
        split.update({source.video: most for source in linked if not source.split and most})
    for linked, name in _deal(open_sets, ratio, seed):
        split.update({source.video: name for source in linked})
    return [replace(source, split=split[source.video]) for source in sources]


def parse_ratio(text: str) -> tuple[float, float, float]:
    """Fractions of train, valid and test of a text such as `80/10/10`. Raises
    SettingsError."""
    try:
        train, valid, test = map(float, text.split("/"))
    except ValueError as error:
        raise SettingsError(
            f"split is {text!r}; write parts of train/valid/test, say 80/10/10"
        ) from error
    total = train + valid + test
    if min(train, valid, test) < 0 or not 0 < total < float("inf"):
        raise SettingsError(f"split is {text!r}; parts must not be negative, nor all be 0")
    return train / total, valid / total, test / total


def links(item: Linked, *, identities: bool = True) -> set[tuple[str, Hashable]]:
    """What ties a video to others: itself, its original, its group and, where wanted, the
    identities in it."""
    nodes: set[tuple[str, Hashable]] = {("video", item.video)}
    if item.original is not None:
        nodes.add(("video", item.original))
    if item.group is not None:
        nodes.add(("group", (item.collection, item.group)))
    if identities:
        who = {item.target, item.source} - {None}
        nodes |= {("identity", (item.collection, person)) for person in who}
    return nodes


def linked_sets(sources: Iterable[Tied], *, identities: bool = True) -> list[list[Tied]]:
    """The connected parts of the graph of links, in order of their first source."""
    sources = list(sources)
    parent: dict[Hashable, Hashable] = {}

    def find(node: Hashable) -> Hashable:
        root = node
        while parent.setdefault(root, root) != root:
            root = parent[root]
        while parent[node] != root:  # shorten the way for the next search
            parent[node], node = root, parent[node]
        return root

    for source in sources:
        first, *others = sorted(links(source, identities=identities), key=repr)
        for other in others:
            parent[find(other)] = find(first)
    sets: dict[Hashable, list[Tied]] = {}
    for source in sources:
        sets.setdefault(find(("video", source.video)), []).append(source)
    return list(sets.values())


def leaks(items: Iterable[Linked]) -> list[Leak]:
    """Every video, original, group and identity that lies in more than one split."""
    where: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for item in items:
        if item.split is None:
            continue
        for kind, node in links(item):
            name = node if isinstance(node, str) else ": ".join(str(part) for part in node if part)  # type: ignore[attr-defined]
            where[kind, name][item.split].add(item.video)
    found = []
    for (kind, name), by_split in where.items():
        if len(by_split) > 1:
            itself = sum(name in videos for videos in by_split.values())
            kind = "original" if kind == "video" and itself < 2 else kind
            videos = set().union(*by_split.values())
            found.append(Leak(kind, name, tuple(sorted(by_split)), len(videos)))
    order = ("video", "original", "group", "identity")
    return sorted(found, key=lambda leak: (order.index(leak.kind), leak.name))


def find_lists(root: Path, *, loose: bool) -> Path | None:
    """Split files that lie beside a collection: `splits.json` or `splits/`; where `loose`,
    `train.json` and so on, too."""
    for place in (root / "splits.json", root / "splits", *([root] if loose else [])):
        if os.path.isfile(place) or (os.path.isdir(place) and _list_files(place)):
            return place
    return None


def read_lists(path: Path) -> SplitLists:
    """Split lists from a file, or from a folder with one file a split.

    A file is an object {split: entries}, or the entries of the split that it is named after; an
    entry is the path of a video, or a pair [a, b] of FaceForensics++ identities. Raises
    DatasetError for anything else.
    """
    files = _list_files(path) if path.is_dir() else [path]
    if not files:
        raise DatasetError(f"{path} holds no split file such as train.json")
    videos: dict[str, str] = {}
    identities: dict[str, str] = {}
    for file in files:
        for name, entries in _load(file).items():
            for entry in entries:
                split = split_of(name) or name
                if isinstance(entry, str):
                    _put(videos, Path(entry).with_suffix("").as_posix(), split, file)
                elif isinstance(entry, list) and len(entry) == 2:
                    _put(identities, str(entry[0]), split, file)
                    _put(identities, str(entry[1]), split, file)
                else:
                    raise DatasetError(
                        f"{file}: {entry!r} is neither a video's path nor a pair of identities"
                    )
    return SplitLists(videos, identities)


def apply_lists(
    sources: Iterable[Source], lists: SplitLists
) -> tuple[list[Source], list[Problem], list[str]]:
    """The sources with the splits of `lists` in place of their own; listed videos that are absent;
    notes.

    A pair lists its two originals and the fakes between them. A fake between two pairs gets no
    split of its own.
    """
    placed = []
    seen = set()
    unlisted = 0
    for source in sources:
        split = lists.videos.get(source.video)
        if split is not None:
            seen.add(source.video)
        elif source.target is not None and source.target in lists.identities:
            split = lists.identities[source.target]
            if lists.identities.get(source.source or source.target) != split:
                split = None
        unlisted += split is None
        placed.append(replace(source, split=split))
    problems = [
        Problem(video, f"listed for {split} but absent")
        for video, split in lists.videos.items()
        if video not in seen
    ]
    notes = (
        [f"{unlisted} videos are in no list of splits; they follow what they are linked to"]
        if unlisted
        else []
    )
    return placed, problems, notes


def _deal(
    sets: list[list[Source]], ratio: tuple[float, float, float], seed: int
) -> Iterable[tuple[list[Source], str]]:
    """Each set with a split: large sets first, each to where it brings the label and method counts
    nearest to their share."""
    total: Counter[tuple[str, str | None]] = Counter(
        _stratum(source) for part in sets for source in part
    )
    shares = [(name, share) for name, share in zip(OWN_SPLITS, ratio, strict=True) if share > 0]
    have: dict[str, Counter[tuple[str, str | None]]] = {name: Counter() for name, _ in shares}
    order = list(sets)
    random.Random(seed).shuffle(order)
    for part in sorted(order, key=len, reverse=True):
        own = Counter(_stratum(source) for source in part)

        def cost(name: str, share: float, own: Counter[tuple[str, str | None]] = own) -> float:
            """How much nearer to its share the split gets, negative; summed over strata, each
            counted by its size."""
            return sum(
                (
                    (have[name][key] + n - share * total[key]) ** 2
                    - (have[name][key] - share * total[key]) ** 2
                )
                / (share * total[key])
                for key, n in own.items()
            )

        best = min(shares, key=lambda entry: cost(*entry))[0]
        have[best].update(own)
        yield part, best


def _stratum(source: Source) -> tuple[str, str | None]:
    return source.label, source.method


def _list_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.json") if split_of(file.stem) is not None)


def _load(file: Path) -> dict[str, list[object]]:
    try:
        content = parse_json(read_text(file))
    except OSError as error:
        raise DatasetError(f"{file}: {error.strerror}; expected a file of splits") from error
    except ValueError as error:
        raise DatasetError(f"{file} is damaged: {error}") from error
    if isinstance(content, list) and split_of(file.stem) is not None:
        content = {file.stem: content}
    if not isinstance(content, dict) or not all(
        isinstance(entries, list) for entries in content.values()
    ):
        raise DatasetError(
            f'{file} is no split file; expected an object such as {{"train": [...], "test": [...]}}'
        )
    return content


def _put(table: dict[str, str], name: str, split: str, file: Path) -> None:
    if table.setdefault(name, split) != split:
        raise DatasetError(f"{file}: {name} is both in {table[name]} and in {split}")

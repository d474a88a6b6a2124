"""What the folders of a collection mean: real, fake, or nothing that anybody can tell."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mesovid.dataset.labels import EVERYTHING, SKIP, hint, is_called, label_of, method_of, split_of
from mesovid.errors import DatasetError

Place = tuple[str, ...]  # names of the folders from a collection's root to a file
HERE = "."  # last in a place: what lies in a folder itself, not in the folders in it
SHOWN = 3  # contradictions that one message tells


@dataclass(frozen=True, slots=True)
class Class:
    """What the place of a file says."""

    label: str | None  # "real" or "fake"; "skip": to be left out; None: nobody can tell
    folder: Place  # without the split: the class folder, or the one to be given a label
    split: str | None
    names: Place  # all folders without the split


@dataclass(frozen=True, slots=True)
class _Mark:
    """A folder on the way to a file whose name means something."""

    depth: int  # how many names lead to it, the split left out
    label: str
    by_hand: bool = False
    method: bool = False  # it names a manipulation, and so may hold reals as well as fakes


@dataclass(frozen=True, slots=True)
class _Given:
    """A folder that a label is given to by hand."""

    text: str  # as it was written
    parts: Place  # names in which its path ends
    whole: bool  # they are all of its path

    @classmethod
    def of(cls, text: str) -> _Given:
        first, *rest = text.replace(os.sep, "/").rstrip("/").split("/")
        parts = (first, *rest) if first != HERE or not rest else tuple(rest)
        return cls(text, take_split(parts)[1] if len(parts) > 1 else parts, first == HERE)

    def is_end_of(self, way: Place) -> bool:
        if len(self.parts) > len(way) or (self.whole and len(self.parts) < len(way)):
            return False
        return all(
            is_called(name, part)
            for name, part in zip(way[-len(self.parts) :], self.parts, strict=True)
        )


@dataclass(slots=True)
class Classes:
    """The meaning of all folders of one collection.

    The innermost name that means a label counts. A folder that holds class folders is no label for
    what lies beside them. A name that contradicts one further out is an error, unless the outer one
    names a manipulation: `Deepfakes/real` holds reals. `labels` are given by hand (see
    `parse_labels`) and win over the known names: each is the end of a folder's path, or all of it
    after `./`, with `/.` behind it for what lies in the folder directly.
    """

    labels: Mapping[str, str]
    used: set[str] = field(default_factory=set)  # keys of `labels` that some folder has
    _by_hand: tuple[_Given, ...] = ()
    # of the ways asked for so far
    _known_marks: dict[Place, list[_Mark]] = field(default_factory=dict)
    _holds_classes: set[Place] = field(default_factory=set)  # folders with a class folder below
    _above: set[Place] = field(default_factory=set)  # folders with any marked folder below

    @classmethod
    def of(cls, root: Path, places: Iterable[Place], labels: Mapping[str, str]) -> Classes:
        """The classes of the folders `places` of a collection. DatasetError that names both of two
        that contradict."""
        classes = cls(
            labels, _by_hand=tuple(_Given.of(text) for text in labels if text != EVERYTHING)
        )
        known = {place: take_split(place)[1] for place in places}
        for names in known.values():
            for mark in classes._marks(names):
                above = {names[:depth] for depth in range(mark.depth)}
                classes._above |= above
                if not mark.method and mark.label != SKIP:
                    classes._holds_classes |= above
        if (
            not classes._above and known
        ):  # no class at all: those below what all folders have in common are to be told
            shared = _shared([names[:-1] for names in known.values()])
            classes._above |= {shared[:depth] for depth in range(len(shared) + 1)}
        classes._refuse_contradictions(root, known)
        return classes

    def at(self, place: Place) -> Class:
        """What lies in a folder."""
        split, names = take_split(place)
        marks = self._marks(names)
        last = marks[-1] if marks else None
        if last is not None and (last.by_hand or names[: last.depth] not in self._holds_classes):
            return Class(last.label, names[: last.depth], split, names)
        if EVERYTHING in self.labels:
            self.used.add(EVERYTHING)
            return Class(self.labels[EVERYTHING], (), split, names)
        depth = next((n for n in range(1, len(names) + 1) if names[:n] not in self._above), None)
        return Class(None, (*names, HERE) if depth is None else names[:depth], split, names)

    def _marks(self, names: Place) -> list[_Mark]:
        """From the outermost in. Of those given by hand the innermost counts, and nothing further
        out than that."""
        if names not in self._known_marks:
            self._known_marks[names] = self._found_marks(names)
        return self._known_marks[names]

    def _found_marks(self, names: Place) -> list[_Mark]:
        for depth in range(len(names), -1, -1) if self._by_hand else ():
            ways = [(*names, HERE), names] if depth == len(names) else [names[:depth]]
            for way in ways:
                fitting = [given for given in self._by_hand if given.is_end_of(way)]
                if fitting:
                    text = max(fitting, key=lambda given: len(given.parts)).text
                    self.used.add(text)
                    mark = _Mark(depth, self.labels[text], by_hand=True)
                    return [mark] if mark.label == SKIP else [mark, *self._known(names, depth)]
        return self._known(names, 0)

    def _known(self, names: Place, start: int) -> list[_Mark]:
        if EVERYTHING in self.labels:
            return []
        return [
            _Mark(depth, label, method=method_of(name) is not None)
            for depth, name in enumerate(names[start:], start + 1)
            if (label := label_of(name))
        ]

    def _refuse_contradictions(self, root: Path, known: Mapping[Place, Place]) -> None:
        found: dict[tuple[Place, Place], str] = {}
        for place, names in sorted(known.items()):
            *outer, inner = self._marks(names) or [_Mark(0, "")]
            for mark in outer:
                if mark.label != inner.label and not mark.method:
                    one, other = (with_split(place, at.depth) for at in (mark, inner))
                    found.setdefault(
                        (names[: mark.depth], names[: inner.depth]),
                        f"{one} means {mark.label}, but {other} in it means {inner.label};"
                        f" say {hint('/'.join(names[: inner.depth]))}",
                    )
        if found:
            more = f", and {len(found) - SHOWN} more such folders" if len(found) > SHOWN else ""
            raise DatasetError(f"{root}: {'; '.join([*found.values()][:SHOWN])}{more}")


def take_split(place: Place) -> tuple[str | None, Place]:
    """The first split folder of a place, and the place without it."""
    for i, name in enumerate(place):
        if (split := split_of(name)) is not None:
            return split, place[:i] + place[i + 1 :]
    return None, place


def with_split(place: Place, depth: int) -> str:
    """The path of the folder that so many names lead to, its split folder included."""
    length = next(n for n in range(len(place) + 1) if len(take_split(place[:n])[1]) == depth)
    return "/".join(place[:length])


def _shared(ways: list[Place]) -> Place:
    """The folders that all of several ways begin with."""
    first, last = min(ways), max(ways)
    equal = next(
        (i for i, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1]), None
    )
    return first[: min(len(first), len(last)) if equal is None else equal]

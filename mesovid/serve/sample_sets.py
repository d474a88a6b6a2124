"""Labelled faces of datasets on the user's disk, to look at models with."""

from __future__ import annotations

import random
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mesovid.dataset.manifest import (
    CARD,
    MANIFEST,
    CropEntry,
    Dataset,
    counts,
    digest,
    read_dataset,
)
from mesovid.errors import DatasetError, InputError
from mesovid.pictures import read_crop
from mesovid.records import Pixels
from mesovid.serve.problems import ProblemError, problem_of

UNNAMED = "none"  # the method of real faces, and of fakes of which it is unknown; likewise a split


@dataclass(frozen=True, slots=True)
class Choice:
    """Some faces of a set, by their numbers, and by which seed they were drawn."""

    numbers: tuple[int, ...]
    matching: int
    seed: int | None


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    dataset: Dataset
    about: dict[str, Any]
    by_video: dict[str, list[int]]
    fingerprint: tuple[int, ...]


class SampleSet:
    """A dataset. It is read when somebody first asks, and again when its manifest has changed."""

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.root = name, root
        self._lock = threading.Lock()
        self._known: _Read | None = None

    @property
    def dataset(self) -> Dataset:
        return self._read().dataset

    def about(self) -> dict[str, Any]:
        """How many faces and videos there are, by split, label and method; told by its digest."""
        return self._read().about

    def entry(self, n: int) -> CropEntry:
        """A face by its number. ProblemError when there is none."""
        crops = self._read().dataset.crops
        if not 0 <= n < len(crops):
            raise ProblemError(
                "no-such-sample", f"no face {n}; {self.name} has {len(crops):,}, from 0 on"
            )
        return crops[n]

    def pixels(self, n: int) -> Pixels:
        """A face. ProblemError when its file cannot be read."""
        crop = self.entry(n)
        path = self._read().dataset.path(crop)
        try:
            return read_crop(path)
        except InputError as error:
            raise ProblemError("unreadable", str(error).replace(str(path), crop.file)) from error

    def pair(self, n: int) -> int | None:
        """The face, nearest in time, of the video that a fake was made from; None: not there."""
        crop = self.entry(n)
        if crop.original is None:
            return None
        known = self._read()
        near = [
            (abs((known.dataset.crops[other].time or 0.0) - (crop.time or 0.0)),
             abs(known.dataset.crops[other].frame - crop.frame), other)
            for other in known.by_video.get(crop.original, ())
        ]  # fmt: skip
        return min(near)[2] if near else None

    def choose(
        self,
        label: Literal["real", "fake"] | None = None,
        method: str | None = None,
        split: str | None = None,
        *,
        paired: bool = False,
        draw: int | None = None,
        seed: int | None = None,
        offset: int = 0,
        limit: int = 50,
    ) -> Choice:
        """The faces that match, a page of them, or `draw` at random.

        ProblemError for a method or split that is not there, and for more than match.
        """
        known = self._read()
        self._check("method", method, known.about["methods"])
        self._check("split", split, known.about["splits"])
        found = [
            n
            for n, crop in enumerate(known.dataset.crops)
            if (label is None or crop.label == label)
            and (method is None or (crop.method or UNNAMED) == method)
            and (split is None or (crop.split or UNNAMED) == split)
            and (not paired or (crop.original is not None and crop.original in known.by_video))
        ]
        if draw is None:
            return Choice(tuple(found[offset : offset + limit]), len(found), None)
        if draw > len(found):
            raise ProblemError(
                "bad-setting",
                f"random is {draw}; it must be at most {len(found):,}, the faces that match",
                field="random",
                limit=len(found),
            )
        seed = secrets.randbelow(2**31) if seed is None else seed
        return Choice(tuple(random.Random(seed).sample(found, draw)), len(found), seed)

    def _check(self, name: str, value: str | None, known: Sequence[str]) -> None:
        if value is not None and value not in known:
            raise ProblemError(
                "bad-setting",
                f"{name} {value[:60]!r} is unknown; {self.name} has {', '.join(known)}",
                field=name,
                known=list(known),
            )

    def _read(self) -> _Read:
        with self._lock:
            now = _fingerprint(self.root)
            if self._known is None or self._known.fingerprint != now:
                try:
                    dataset = read_dataset(self.root, whole=False)
                except DatasetError as error:
                    raise problem_of(error) from error
                by_video: dict[str, list[int]] = {}
                for n, crop in enumerate(dataset.crops):
                    by_video.setdefault(crop.video, []).append(n)
                self._known = _Read(dataset, self._described(dataset), by_video, now)
            return self._known

    def _described(self, dataset: Dataset) -> dict[str, Any]:
        about = counts(dataset.crops)
        return {
            "name": self.name,
            "total": len(dataset.crops),
            "videos": about["videos"],
            "counts": about["cells"],
            "labels": sorted({crop.label for crop in dataset.crops}),
            "methods": sorted({crop.method or UNNAMED for crop in dataset.crops}),
            "splits": sorted({crop.split or UNNAMED for crop in dataset.crops}),
            "pairs": sum(crop.original is not None for crop in dataset.crops),
            "geometry": dataset.geometry.to_dict() if dataset.geometry else None,
            "digest": digest(dataset),
            "left_out": len(dataset.problems),
        }


def _fingerprint(root: Path) -> tuple[int, ...]:
    """What changes with a dataset's list of faces. Of bare class folders: with their own folder."""
    found: list[int] = []
    for path in (root, root / MANIFEST, root / CARD):
        try:
            about = path.stat()
        except OSError:
            continue
        found += [about.st_mtime_ns, about.st_size if path != root else 0]
    return tuple(found)


def sets_of(folders: Sequence[str]) -> dict[str, SampleSet]:
    """The sets of some folders, by their folders' names. DatasetError for what is no dataset."""
    found: dict[str, SampleSet] = {}
    for folder in folders:
        root = Path(folder)
        name = root.resolve().name or "samples"
        while name in found:
            name += "-2"
        found[name] = SampleSet(name, root)
        read_dataset(root, whole=False)
    return found

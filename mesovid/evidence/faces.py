"""The faces that a page shows: the most and the least suspicious of each person.

They are kept during a scan or cut out later.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from mesovid.align import align
from mesovid.errors import InputError
from mesovid.pictures import encode, resized
from mesovid.records import Crop, FaceScore, Pixels, Scan
from mesovid.report.facts import ShownFace
from mesovid.report.maps import overlay
from mesovid.report.page import FACE, MOST_LANES
from mesovid.settings import Geometry
from mesovid.video import frames_at

MOST, LEAST = 4, 2  # suspicious faces of each person that are shown
# people whose faces are kept in memory while a clip is scanned, 1.2 MB each
KEPT_PEOPLE = 2 * MOST_LANES
QUALITY = 85  # of a JPEG
SAME_TIME = 0.002  # s; a recorded time is rounded to 0.001

Item = TypeVar("Item")
# from a crop to cells (rows, columns) that add up to its logit; above 0 speaks for fake
Splitter = Callable[[Pixels], npt.NDArray[np.float64] | None]


@dataclass(frozen=True, slots=True, eq=False)
class CutFace:
    """A scored face with the pixels that were judged."""

    score: FaceScore
    pixels: Pixels  # (size, size, 3) RGB


class FaceKeeper:
    """Sees the faces of a scan go by (`on_crops`) and keeps those worth showing.

    Memory does not grow with the clip.
    """

    def __init__(self, smallest_face: float | None = None) -> None:
        # px; whose faces are smaller are shown after the others
        self._smallest_face = smallest_face or 0.0
        self._path = ""
        self._people: dict[int, _Kept[CutFace]] = {}

    def __call__(self, path: str, crops: Sequence[Crop], scores: Sequence[FaceScore]) -> None:
        if path != self._path:
            self._path, self._people = path, {}
        for crop, score in zip(crops, scores, strict=True):
            self._people.setdefault(score.person, _Kept()).add(score, CutFace(score, crop.pixels))
        if len(self._people) > KEPT_PEOPLE:
            self._people = dict(_ranked(self._people, self._smallest_face)[:MOST_LANES])

    def take(self, path: str) -> list[CutFace]:
        """The faces of the clip that was scanned last, which are let go; none of any other clip."""
        people = self._people if path == self._path else {}
        self._path, self._people = "", {}
        return [
            face
            for _, kept in _ranked(people, self._smallest_face)[:MOST_LANES]
            for face in kept.items()
        ]


class _Kept(Generic[Item]):
    """What stands for one person's faces: the most and the least suspicious."""

    def __init__(self) -> None:
        self._most: list[tuple[float, int, Item]] = []  # heaps: first the one to let go next
        self._least: list[tuple[float, int, Item]] = []
        self._count = 0
        self._total = 0.0  # of the scores
        self._sides = 0.0  # px, total

    def add(self, score: FaceScore, item: Item) -> None:
        # as it is recorded: later the same faces are chosen
        value = round(score.fake_probability, 6)
        self._count += 1
        self._total += value
        self._sides += score.face.side
        for heap, size, key in ((self._most, MOST, value), (self._least, LEAST, -value)):
            # of equal ones the earlier stays; counts differ, items are not compared
            entry = (key, -self._count, item)
            if len(heap) < size:
                heapq.heappush(heap, entry)
            else:
                heapq.heappushpop(heap, entry)

    def rank(self, smallest_face: float) -> tuple[bool, bool, float]:
        """Who is more worth showing: seen often, then large enough, then more suspicious."""
        count = self._count
        return count > LEAST, self._sides / count >= smallest_face, self._total / count

    def items(self) -> list[Item]:
        """Each once."""
        return list({number: item for _, number, item in (*self._most, *self._least)}.values())


def _ranked(
    people: Mapping[int, _Kept[Item]], smallest_face: float
) -> list[tuple[int, _Kept[Item]]]:
    return sorted(people.items(), key=lambda person: person[1].rank(smallest_face), reverse=True)


def cut_anew(scan: Scan, geometry: Geometry, smallest_face: float | None = None) -> list[CutFace]:
    """The faces of a recorded scan that are worth showing, read from the clip.

    Only their frames are decoded.

    InputError when the clip is not there, cannot be read or is another one by now.
    """
    people: dict[int, _Kept[FaceScore]] = {}
    for score in scan.scores:
        people.setdefault(score.person, _Kept()).add(score, score)
    wanted: dict[int, list[FaceScore]] = {}
    for _, kept in _ranked(people, smallest_face or 0.0)[:MOST_LANES]:
        for score in kept.items():
            wanted.setdefault(score.index, []).append(score)
    found = []
    sizes = set()
    for frame in frames_at(scan.video.path, sorted(wanted), scan.settings.get("stream")):
        sizes.add((frame.image.shape[1], frame.image.shape[0]))
        for score in wanted[frame.index]:
            if abs(frame.time - score.time) > SAME_TIME:
                raise InputError(
                    f"{scan.video.path}: not the file that was scanned: its frames have other times"
                )
            found.append(CutFace(score, align(frame.image, score.face.landmarks, geometry)))
    if sizes and (scan.video.width, scan.video.height) not in sizes:  # a video may change its size
        width, height = sizes.pop()
        raise InputError(
            f"{scan.video.path}: not the file that was scanned: this one has {width} x {height} px"
        )
    return found


def show(
    faces: Sequence[CutFace], split: Splitter | None = None
) -> dict[int, tuple[ShownFace, ...]]:
    """Pictures of faces by person.

    With `split`, what speaks for fake and for real lies over them, all on one scale.
    """
    cells = [split(face.pixels) for face in faces] if split is not None else [None] * len(faces)
    largest = max(
        (float(np.abs(values).max()) for values in cells if values is not None), default=0.0
    )
    made: dict[int, list[ShownFace]] = {}
    for face, values in zip(faces, cells, strict=True):
        small = resized(face.pixels, FACE)
        map_jpeg = None if values is None else _jpeg(overlay(small, values, largest))
        made.setdefault(face.score.person, []).append(ShownFace(face.score, _jpeg(small), map_jpeg))
    return {person: tuple(shown) for person, shown in made.items()}


def _jpeg(pixels: Pixels) -> bytes:
    return encode(resized(pixels, FACE), "jpg", QUALITY)

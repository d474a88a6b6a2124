"""Which faces of some videos and pictures tell most: the most and the least suspicious ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mesovid.boxes import side
from mesovid.errors import InputError
from mesovid.explain.explainer import Explainer
from mesovid.media import is_picture
from mesovid.pictures import read_picture, resized
from mesovid.records import Box, Crop, FaceScore, Pixels

SAMPLE = 32  # faces that say which filters are dead


@dataclass(frozen=True, slots=True, eq=False)
class TellingFace:
    """A face to explain, and where it is from. What a face that was given as a crop does not know
    is None.
    """

    path: str
    pixels: Pixels  # (size, size, 3)
    fake_probability: float
    time: float | None = None  # seconds; None for pictures
    person: int | None = None
    box: Box | None = None  # px of its frame

    @property
    def side(self) -> float | None:
        """Of its box, px."""
        return None if self.box is None else side(self.box)


def read_face(path: str, explainer: Explainer) -> TellingFace:
    """A picture that is a face already, brought to the model's size. InputError for what is no
    square picture.
    """
    if not is_picture(path):
        raise InputError(f"{path} is no picture; faces that are already cut come as pictures")
    try:
        pixels = read_picture(Path(path))
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror})") from error
    height, width = pixels.shape[:2]
    if height != width:
        raise InputError(f"{path} has {width}x{height} px; faces that are already cut are square")
    pixels = resized(pixels, explainer.card.geometry.size)
    (logit,) = explainer.logits(pixels[None])
    return TellingFace(path, pixels, explainer.fake_probability(float(logit)))


class Gathering:
    """Watches a scan (`on_crops`) and keeps the faces with the highest and the lowest P(fake), and
    a sample of all.

    Faces too small for the model are taken only where there are no others: their scores say little.
    """

    def __init__(self, most: int, smallest_face: float | None = None) -> None:
        self._most = most
        self._smallest = smallest_face or 0.0
        # by whether they are large enough
        self._kept: dict[bool, list[TellingFace]] = {True: [], False: []}
        self._sample: list[Pixels] = []
        self._rng = np.random.default_rng(0)
        self.seen = 0  # faces

    def __call__(self, path: str, crops: Sequence[Crop], scores: Sequence[FaceScore]) -> None:
        for crop, score in zip(crops, scores, strict=True):
            time = None if is_picture(path) else crop.time
            face = TellingFace(
                path, crop.pixels, score.fake_probability, time, crop.person, crop.face.box
            )
            self.add(face)

    def add(self, face: TellingFace) -> None:
        """Take one more face into account."""
        large = face.side is None or face.side >= self._smallest
        kept = [*self._kept[large], face]
        self._kept[large] = self._ends(kept)
        self.seen += 1
        if len(self._sample) < SAMPLE:
            self._sample.append(face.pixels)
        elif (
            place := int(self._rng.integers(self.seen))
        ) < SAMPLE:  # each face alike, however many come
            self._sample[place] = face.pixels

    def chosen(self) -> tuple[TellingFace, ...]:
        """The most suspicious first."""
        return tuple(self._kept[True] or self._kept[False])

    def sample(self) -> Pixels:
        """Faces (n, size, size, 3) drawn from all that were seen; n is 0 where there was none."""
        return np.stack(self._sample) if self._sample else np.zeros((0, 1, 1, 3), np.uint8)

    def _ends(self, faces: list[TellingFace]) -> list[TellingFace]:
        """Of faces, the half with the highest scores and the half with the lowest; the odd one is
        high.
        """
        ordered = sorted(faces, key=lambda face: -face.fake_probability)
        if len(ordered) <= self._most:
            return ordered
        low = self._most // 2
        return ordered[: self._most - low] + ordered[len(ordered) - low :]

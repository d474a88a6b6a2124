"""Finds faces in pictures, and follows them through a video."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise

import numpy as np

from mesovid.cascade import Cascade
from mesovid.cuts import CutDetector
from mesovid.people import overlap
from mesovid.records import Box, Face, Frame, FrameFaces, Pixels
from mesovid.settings import FaceSettings, RuntimeSettings

Faces = tuple[Face, ...]

SAME_FACE_OVERLAP = 0.4  # over the union, of one face in two frames between which it may be interpolated
TURNS = (0, 1, 3)  # quarters anticlockwise: upright, and both ways of a camera on its side
TURNED_CONFIDENCE = 0.95  # of a face that is taken for proof that a clip lies on its side
TURNED_FRAMES = 2  # of a batch without a face that are tried on their sides


class FaceFinder:
    """Keeps the detector's networks loaded. Not to be shared between threads."""

    def __init__(self, settings: FaceSettings | None = None, runtime: RuntimeSettings | None = None) -> None:
        self.settings = settings or FaceSettings()
        self._cascade = Cascade(self.settings, runtime or RuntimeSettings())

    def find(self, images: Sequence[Pixels]) -> list[Faces]:
        """The faces of each image, most confident first. Every image passes the whole cascade; they may differ in size."""
        return [self._chosen(faces) for faces in self._cascade.detect(images)]

    def follow(self, frames: Iterable[Frame], batch_size: int) -> Iterator[FrameFaces]:
        """The faces of each frame of one video, in order: those of `find`, with less work.

        Frames are taken `batch_size` at a time. The whole cascade sees the ends of each batch and of each shot, and every
        `redetect`-th frame. Between two of those that show the same faces, they are interpolated, and O-Net alone confirms and
        refines them; where the faces differ, the frame in the middle is looked at, and so on; and so is every frame in
        which a face was not confirmed. A clip that lies on its side is found out and turned; boxes and landmarks are always those
        of the frame as it came.
        """
        clip = _Clip(self._cascade, self.settings.redetect)
        stream = iter(frames)
        for first in stream:
            # no name may hold the batch: it has to be gone before the next one is gathered
            yield from self._follow_batch(clip, [first, *islice(stream, batch_size - 1)])

    def _follow_batch(self, clip: _Clip, batch: list[Frame]) -> Iterator[FrameFaces]:
        found, cuts = clip.follow([frame.image for frame in batch])
        batch.reverse()
        for faces, cut in zip(found, cuts, strict=True):
            yield FrameFaces(batch.pop(), self._chosen(faces), cut)

    def _chosen(self, faces: Faces) -> Faces:
        if self.settings.faces == "all" or not faces:
            return faces
        return (max(faces, key=lambda face: _area(face.box)),)


class _Clip:
    """One video on its way through the detector: what has to be remembered from batch to batch."""

    def __init__(self, cascade: Cascade, redetect: int) -> None:
        self._cascade = cascade
        self._redetect = redetect
        self._cuts = CutDetector()
        self._last: Faces = ()  # of the last frame of the batch before, turned
        self._shape: tuple[int, ...] = ()  # of that frame
        self._turn = 0  # quarters anticlockwise that make this clip upright
        self._settled = False  # whether a face has been found, so that the turn is right
        self._empty_batches = 0

    def follow(self, images: Sequence[Pixels]) -> tuple[list[Faces], list[bool]]:
        """Faces of the next frames of the clip, and which of them begin a new shot."""
        cuts = [self._cuts.is_cut(image) for image in images]
        breaks = self._breaks(images, cuts)
        keys = _key_frames(breaks, self._redetect)
        found = self._detect(images, keys)
        if not any(found.values()) and self._try_other_turns([images[key] for key in keys]):
            self._last = ()
            found = self._detect(images, keys)
        self._settled |= any(found.values())
        if not breaks[0]:
            found[-1] = self._last
        self._fill(images, found)
        self._last = found[len(images) - 1]
        height_widths = [image.shape[:2] for image in images]
        return [
            tuple(_turned_back(face, self._turn, height, width) for face in found[i])
            for i, (height, width) in enumerate(height_widths)
        ], cuts

    def _breaks(self, images: Sequence[Pixels], cuts: Sequence[bool]) -> list[bool]:
        """Which frames show faces elsewhere than the frame before: those of a new shot or of another size."""
        shapes = [self._shape, *(image.shape for image in images)]
        self._shape = shapes[-1]
        return [cut or before != after for cut, (before, after) in zip(cuts, pairwise(shapes), strict=True)]

    def _detect(self, images: Sequence[Pixels], numbers: Sequence[int]) -> dict[int, Faces]:
        """The whole cascade over some of the images."""
        faces = self._cascade.detect([_turned(images[i], self._turn) for i in numbers])
        return dict(zip(numbers, faces, strict=True))

    def _fill(self, images: Sequence[Pixels], found: dict[int, Faces]) -> None:
        """Add the frames between those that are known."""
        guesses: dict[int, Faces] = {}
        spans = [(a, b) for a, b in pairwise(sorted(found)) if b - a > 1]
        while spans:
            unlike = []
            for first, last in spans:
                pairs = _same_faces(found[first], found[last])
                if pairs is None:
                    unlike.append((first, (first + last) // 2, last))
                else:
                    guesses.update(_interpolated(pairs, first, last))
            found.update(self._detect(images, [middle for _, middle, _ in unlike]))
            halves = [span for a, middle, b in unlike for span in ((a, middle), (middle, b))]
            spans = [(a, b) for a, b in halves if b - a > 1]
        found.update(self._confirm(images, guesses))

    def _confirm(self, images: Sequence[Pixels], guesses: dict[int, Faces]) -> dict[int, Faces]:
        """Faces of the frames in which they were guessed; frames in which one is not found again pass the whole cascade."""
        found: dict[int, Faces] = {i: () for i, faces in guesses.items() if not faces}
        numbers = [i for i, faces in guesses.items() if faces]
        if not numbers:
            return found
        faces = self._cascade.confirm(
            [_turned(images[i], self._turn) for i in numbers], [guesses[i] for i in numbers]
        )
        found.update(zip(numbers, faces, strict=True))
        lost = [i for i in numbers if len(found[i]) < len(guesses[i])]
        return found | self._detect(images, lost)

    def _try_other_turns(self, images: Sequence[Pixels]) -> bool:
        """Whether the frames show faces when they are turned; then all further frames are."""
        self._empty_batches += 1
        # a clip that has shown faces is the right way up; asked again ever more rarely, in case that it changes
        if self._settled and self._empty_batches & (self._empty_batches - 1):
            return False
        middle = max(0, (len(images) - TURNED_FRAMES) // 2)
        few = images[middle : middle + TURNED_FRAMES]
        for turn in TURNS:
            if turn == self._turn:
                continue
            found = self._cascade.detect([_turned(image, turn) for image in few])
            if any(face.confidence >= TURNED_CONFIDENCE for faces in found for face in faces):
                self._turn = turn
                return True
        return False


def _key_frames(cuts: Sequence[bool], redetect: int) -> list[int]:
    """Frames that pass the whole cascade: both ends of each shot, the last of the batch, and every `redetect`-th between."""
    ends = {len(cuts) - 1}
    ends.update(i for i, cut in enumerate(cuts) if cut)
    ends.update(i - 1 for i, cut in enumerate(cuts) if cut and i > 0)
    keys = set(ends)
    # the frame before the batch is known, unless the batch begins with a cut
    for first, last in pairwise(sorted(ends | {-1})):
        keys.update(range(first + redetect, last, redetect))
    return sorted(keys)


def _same_faces(before: Faces, after: Faces) -> list[tuple[Face, Face]] | None:
    """Each face with itself in another frame; None when one has come, gone or moved far."""
    if len(before) != len(after):
        return None
    left = list(after)
    pairs = []
    for face in before:
        other = max(left, key=lambda other: overlap(face.box, other.box))
        if overlap(face.box, other.box) < SAME_FACE_OVERLAP:
            return None
        left.remove(other)
        pairs.append((face, other))
    return pairs


def _interpolated(pairs: Sequence[tuple[Face, Face]], first: int, last: int) -> dict[int, Faces]:
    """The faces in each frame between two, if they move evenly."""
    return {
        i: tuple(_between(before, after, (i - first) / (last - first)) for before, after in pairs)
        for i in range(first + 1, last)
    }


def _between(before: Face, after: Face, share: float) -> Face:
    left, top, right, bottom = (a + (b - a) * share for a, b in zip(before.box, after.box, strict=True))
    landmarks = before.landmarks + (after.landmarks - before.landmarks) * np.float32(share)
    return Face((left, top, right, bottom), min(before.confidence, after.confidence), landmarks)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _turned(image: Pixels, turn: int) -> Pixels:
    return np.ascontiguousarray(np.rot90(image, turn)) if turn else image


def _turned_back(face: Face, turn: int, height: int, width: int) -> Face:
    """A face found in an image that was turned, in pixels of the image as it was, `height` x `width`."""
    if turn == 0:
        return face
    left, top, right, bottom = face.box
    x, y = face.landmarks.T
    if turn == 1:
        return Face(
            (width - bottom, left, width - top, right), face.confidence, np.stack([width - 1 - y, x], axis=1)
        )
    return Face(
        (top, height - right, bottom, height - left), face.confidence, np.stack([y, height - 1 - x], axis=1)
    )

"""Finds faces in pictures, and follows them through a video."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise

import numpy as np
import numpy.typing as npt

from mesovid.boxes import overlap
from mesovid.cascade import ALL_ROLLS, CERTAIN, UPRIGHT, Cascade, roll_of
from mesovid.cuts import CutDetector
from mesovid.opencv import cv2
from mesovid.records import Face, Frame, FrameFaces, Pixels
from mesovid.settings import FaceSettings, RuntimeSettings

Faces = tuple[Face, ...]

# over the union, of one face in two frames between which it may be interpolated
SAME_FACE_OVERLAP = 0.4
LOOKED_AROUND = 2  # frames of a batch, at most, in which faces are looked for at every roll
AROUND_AGAIN = 4  # batches 1, 4, 16 ... are, those with a new shot, and all until there is a face
ROLL_STEP = 45.0  # degrees between the rolls that are looked at
NEAR_ROLL = 30.0  # degrees to both sides of a roll in which faces are found well

_ROTATIONS = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}


class FaceFinder:
    """Keeps the detector's networks loaded. Not to be shared between threads."""

    def __init__(
        self, settings: FaceSettings | None = None, runtime: RuntimeSettings | None = None
    ) -> None:
        self.settings = settings or FaceSettings()
        self._cascade = Cascade(self.settings, runtime or RuntimeSettings())

    def find(self, images: Sequence[Pixels]) -> list[Faces]:
        """The faces of each image, most confident first.

        Every image passes the whole cascade; they may differ in size.
        """
        return [self._chosen(faces) for faces in self._cascade.detect(images, ALL_ROLLS)]

    def follow(self, frames: Iterable[Frame], batch_size: int) -> Iterator[FrameFaces]:
        """The faces of each frame of one video, in order: those of `find`, with less work.

        Frames are taken `batch_size` at a time. The whole cascade sees the ends of each batch and
        of each shot, and every `redetect`-th frame. Between two of those that show the same faces,
        they are interpolated, and O-Net alone confirms and refines them; where the faces differ,
        the frame in the middle is looked at, and so on; and so is every frame in which a face was
        not confirmed. Now and then a frame is searched for faces at every roll; the rolls that are
        found so are looked at in all frames from there on, and a clip most of whose faces lie on
        their side or upside down is turned as a whole. Boxes and landmarks are always those of the
        frame as it came.
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
        return (max(faces, key=lambda face: face.area),)


class _Clip:
    """One video on its way through the detector: what has to be remembered from batch to batch."""

    def __init__(self, cascade: Cascade, redetect: int) -> None:
        self._cascade = cascade
        self._redetect = redetect
        self._cuts = CutDetector()
        self._last: Faces = ()  # of the last frame of the batch before, turned
        self._shape: tuple[int, ...] = ()  # of that frame
        self._turn = 0  # quarters anticlockwise that make most of this clip's faces upright
        self._rolls: tuple[float, ...] = UPRIGHT  # to look for faces at, in the turned clip
        self._settled = False  # whether a face has been found
        self._batches = 0
        self._next_around = 0  # batch in which to look at every roll

    def follow(self, images: Sequence[Pixels]) -> tuple[list[Faces], list[bool]]:
        """Faces of the next frames of the clip, and which of them begin a new shot."""
        cuts = [self._cuts.is_cut(image) for image in images]
        breaks = self._breaks(images, cuts)
        keys = _key_frames(breaks, self._redetect)
        found = self._detect_keys(images, keys, new_shot=any(breaks))
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
        """Which frames show faces elsewhere than the frame before.

        Those are frames of a new shot or of another size.
        """
        shapes = [self._shape, *(image.shape for image in images)]
        self._shape = shapes[-1]
        return [
            cut or before != after
            for cut, (before, after) in zip(cuts, pairwise(shapes), strict=True)
        ]

    def _detect_keys(
        self, images: Sequence[Pixels], keys: Sequence[int], new_shot: bool
    ) -> dict[int, Faces]:
        """The whole cascade over the key frames; some of them are searched at every roll."""
        self._batches += 1
        due = new_shot or not self._settled or self._batches >= self._next_around
        sight = self._cascade.look(
            [_turned(images[key], self._turn) for key in keys], self._rolls, due
        )
        faces = self._cascade.faces(sight)
        if due:
            self._next_around = self._batches * AROUND_AGAIN
            doubtful = _most_doubtful(sight.certainty())
            around = self._cascade.faces(self._cascade.look_around(sight.of_images(doubtful)))
            self._settled |= any(around)
            if self._learn_rolls([face for each in around for face in each]):
                return self._detect(images, keys)
            for i, each in zip(doubtful, around, strict=True):
                faces[i] = each
        self._settled |= any(faces)
        return dict(zip(keys, faces, strict=True))

    def _learn_rolls(self, faces: Sequence[Face]) -> bool:
        """Turn the clip as most faces are turned; whether that or the rolls to look at changed."""
        if not faces:
            return False
        rolls = roll_of(np.stack([face.landmarks for face in faces]))
        quarters, counts = np.unique(np.round(rolls / 90).astype(int) % 4, return_counts=True)
        most = quarters[counts == counts.max()]
        turn = 0 if 0 in most else int(most[0])
        known = {(roll - 90 * turn) % 360 for roll in self._rolls} | {0.0}
        for roll in (rolls - 90 * turn).tolist():
            if min(abs((roll - other + 180) % 360 - 180) for other in known) > NEAR_ROLL:
                known.add(round(roll / ROLL_STEP) * ROLL_STEP % 360)
        before = self._rolls
        self._rolls = (0.0, *sorted(known - {0.0}))
        if turn:
            self._turn = (self._turn + turn) % 4
            self._last = ()
        return turn != 0 or self._rolls != before

    def _detect(self, images: Sequence[Pixels], numbers: Sequence[int]) -> dict[int, Faces]:
        """The whole cascade over some of the images."""
        turned = [_turned(images[i], self._turn) for i in numbers]
        faces = self._cascade.detect(turned, self._rolls)
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
        """Faces of the frames in which they were guessed.

        Frames in which one is not found again pass the whole cascade.
        """
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


def _key_frames(cuts: Sequence[bool], redetect: int) -> list[int]:
    """Frames that pass the whole cascade.

    Both ends of each shot, the last of the batch, and every `redetect`-th between.
    """
    ends = {len(cuts) - 1}
    ends.update(i for i, cut in enumerate(cuts) if cut)
    ends.update(i - 1 for i, cut in enumerate(cuts) if cut and i > 0)
    keys = set(ends)
    # the frame before the batch is known, unless the batch begins with a cut
    for first, last in pairwise(sorted(ends | {-1})):
        keys.update(range(first + redetect, last, redetect))
    return sorted(keys)


def _most_doubtful(certainty: npt.NDArray[np.float32]) -> list[int]:
    """Numbers of the frames to look around in: one, or more where the faces are not certain."""
    order = certainty.argsort(kind="stable")[:LOOKED_AROUND].tolist()
    return [i for place, i in enumerate(order) if place == 0 or certainty[i] < CERTAIN]


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
        i: tuple(before.between(after, (i - first) / (last - first)) for before, after in pairs)
        for i in range(first + 1, last)
    }


def _turned(image: Pixels, turn: int) -> Pixels:
    return np.asarray(cv2.rotate(image, _ROTATIONS[turn]), np.uint8) if turn else image


def _turned_back(face: Face, turn: int, height: int, width: int) -> Face:
    """A face found in an image that was turned.

    It is in pixels of the image as it was, `height` x `width`.
    """
    if turn == 0:
        return face
    left, top, right, bottom = face.box
    x, y = face.landmarks.T
    if turn == 1:
        box, points = (width - bottom, left, width - top, right), (width - 1 - y, x)
    elif turn == 2:
        box, points = (
            (width - right, height - bottom, width - left, height - top),
            (width - 1 - x, height - 1 - y),
        )
    else:
        box, points = (top, height - right, bottom, height - left), (y, height - 1 - x)
    return Face(box, face.confidence, np.stack(points, axis=1))

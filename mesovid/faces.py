"""Finds faces: the MTCNN cascade (Zhang et al. 2016, arXiv 1604.02878) over the mtcnn package's networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mesovid.networks import load_detector
from mesovid.records import Face, Pixels
from mesovid.settings import FaceSettings, RuntimeSettings

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

# What follows are the mtcnn package's own values (1.0.0), but the first.
LARGEST_START = 0.85  # the pyramid starts so much below the smallest face asked for: P-Net is weak on a face that just fills it
PYRAMID_STEP = 0.709  # size of a level over the one before
CELL, STRIDE = 12, 2  # px of a level: the side of P-Net's window, and how far apart windows lie
PROPOSAL_CONFIDENCE, REFINEMENT_CONFIDENCE, OUTPUT_CONFIDENCE = 0.6, 0.7, 0.8
LEVEL_OVERLAP, PROPOSAL_OVERLAP, REFINEMENT_OVERLAP, OUTPUT_OVERLAP = 0.5, 0.7, 0.7, 0.7
REFINEMENT_SIDE, OUTPUT_SIDE = 24, 48  # px, input of R-Net and O-Net
GREY = (128, 128, 128)  # what lies outside of a frame


class FaceFinder:
    """Keeps the detector's networks loaded. Not to be shared between threads."""

    def __init__(self, settings: FaceSettings | None = None, runtime: RuntimeSettings | None = None) -> None:
        self.settings = settings or FaceSettings()
        self._networks = load_detector(runtime or RuntimeSettings())

    def find(self, images: Sequence[Pixels]) -> list[tuple[Face, ...]]:
        """The faces of each image, most confident first; every image passes the full cascade.

        Images may differ in size; those of one size pass the networks together.
        """
        candidates = Candidates.join(
            [
                self._propose([images[i] for i in group], np.array(group, np.intp))
                for group in _by_size(images).values()
            ]
        )
        return self._decide(images, self._refine(images, candidates))

    def _propose(self, images: Sequence[Pixels], numbers: Indices) -> Candidates:
        """P-Net over a pyramid of images of one size: square candidates, numbered by `numbers`."""
        height, width = images[0].shape[:2]
        levels = []
        bases = images
        for scale in pyramid(height, width, self.settings.min_face):
            size = int(width * scale), int(height * scale)
            bases = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in bases]
            levels.append(self._propose_level(np.stack(bases), scale))
        if not levels:
            return Candidates.none()
        found = Candidates.join(levels)
        level = np.repeat(np.arange(len(levels)), [len(each.image) for each in levels])
        kept = [
            own[_without_overlaps(found.box[own], found.confidence[own], level[own])]
            for own in (np.flatnonzero(found.image == i) for i in range(len(images)))
        ]
        found = found.take(np.concatenate(kept))
        return Candidates(numbers[found.image], _squares(found.box), found.confidence)

    def _propose_level(self, images: Pixels, scale: float) -> Candidates:
        """P-Net over one level `(n, height, width, 3)`; boxes in pixels of the original images."""
        probability, offsets = self._networks.proposal(images)
        image, row, column = np.nonzero(probability > PROPOSAL_CONFIDENCE)
        corner = np.stack([column, row, column, row], axis=1) * STRIDE + (0, 0, CELL, CELL)
        box = (corner + offsets[image, :, row, column] * CELL) / scale
        return Candidates(image, box.astype(np.float32), probability[image, row, column])

    def _refine(self, images: Sequence[Pixels], candidates: Candidates) -> Candidates:
        """R-Net: better boxes, squared, for those candidates that it takes for faces."""
        if not len(candidates.image):
            return candidates
        patches = _patches(images, candidates, REFINEMENT_SIDE)
        confidence, offsets = self._networks.refinement(patches)[:2]
        kept = np.flatnonzero(confidence > REFINEMENT_CONFIDENCE)
        box = _shifted(candidates.box[kept], offsets[kept])
        refined = Candidates(candidates.image[kept], box, confidence[kept])
        refined = refined.take(_keep_each(refined, REFINEMENT_OVERLAP, of_smaller=False))
        return Candidates(refined.image, _squares(refined.box), refined.confidence)

    def _decide(self, images: Sequence[Pixels], candidates: Candidates) -> list[tuple[Face, ...]]:
        """O-Net: the faces of each image, with landmarks."""
        faces: list[tuple[Face, ...]] = [() for _ in images]
        if not len(candidates.image):
            return faces
        patches = _patches(images, candidates, OUTPUT_SIDE)
        confidence, offsets, points = self._networks.output(patches)
        kept = np.flatnonzero(confidence > max(OUTPUT_CONFIDENCE, self.settings.confidence))
        square = candidates.box[kept]
        found = Candidates(candidates.image[kept], _shifted(square, offsets[kept]), confidence[kept])
        landmarks = _landmarks(square, points[kept])
        best = _keep_each(found, OUTPUT_OVERLAP, of_smaller=True)
        for i in best:
            number = found.image[i]
            face = _face(found.box[i], found.confidence[i], landmarks[i], images[number].shape)
            faces[number] = (*faces[number], face)
        return faces


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Boxes that may be faces."""

    image: Indices  # (n,) number of the image that each lies in
    box: Floats  # (n, 4) left, top, right, bottom; px of the image
    confidence: Floats  # (n,)

    @classmethod
    def none(cls) -> Candidates:
        return cls(np.empty(0, np.intp), np.empty((0, 4), np.float32), np.empty(0, np.float32))

    @classmethod
    def join(cls, parts: Sequence[Candidates]) -> Candidates:
        if not parts:
            return cls.none()
        return cls(
            np.concatenate([part.image for part in parts]),
            np.concatenate([part.box for part in parts]),
            np.concatenate([part.confidence for part in parts]),
        )

    def take(self, rows: Indices) -> Candidates:
        return Candidates(self.image[rows], self.box[rows], self.confidence[rows])


def pyramid(height: int, width: int, min_face: float) -> list[float]:
    """Scales at which P-Net looks at an image: from the one that shows the smallest face, down to where nothing fits."""
    scales = []
    scale = min(CELL / (min_face * LARGEST_START), 1.0)
    while min(height, width) * scale >= CELL:
        scales.append(scale)
        scale *= PYRAMID_STEP
    return scales


def _by_size(images: Sequence[Pixels]) -> dict[tuple[int, ...], list[int]]:
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, image in enumerate(images):
        groups.setdefault(image.shape, []).append(number)
    return groups


def _squares(box: Floats) -> Floats:
    """Boxes widened or heightened to squares about their centres."""
    centre = (box[:, :2] + box[:, 2:]) / 2
    half = (box[:, 2:] - box[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def _shifted(box: Floats, offsets: Floats) -> Floats:
    """Boxes with each side moved by its offset, in units of the box's size (counted with both border pixels, as in mtcnn)."""
    size = box[:, 2:] - box[:, :2] + 1
    return np.asarray(box + offsets * np.concatenate([size, size], axis=1), np.float32)


def _landmarks(box: Floats, points: Floats) -> Floats:
    """Landmarks (n, 5, 2) in pixels, from O-Net's five x and five y in units of its square input."""
    size = box[:, None, 2:] - box[:, None, :2] + 1
    return points.reshape(-1, 2, 5).transpose(0, 2, 1) * size + box[:, None, :2] - 1


def _patches(images: Sequence[Pixels], candidates: Candidates, side: int) -> Pixels:
    """Candidates cut out and resampled, (n, side, side, 3), as TensorFlow's crop_and_resize does: corners on corners, bilinear."""
    patches = np.empty((len(candidates.image), side, side, 3), np.uint8)
    for i, (number, box) in enumerate(zip(candidates.image, candidates.box.tolist(), strict=True)):
        image = images[number]
        height, width = image.shape[:2]
        left, top, right, bottom = box
        across, down = (width - 1) / width, (height - 1) / height
        matrix = np.array(
            [
                [(right - left) * across / (side - 1), 0, left * across],
                [0, (bottom - top) * down / (side - 1), top * down],
            ]
        )
        cv2.warpAffine(
            image,
            matrix,
            (side, side),
            dst=patches[i],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=GREY,
        )
    return patches


def _without_overlaps(box: Floats, confidence: Floats, level: Indices) -> Indices:
    """P-Net's candidates of one image that stay: the best of each place, first within a level, then over all."""
    order: Indices = np.argsort(-confidence, kind="stable")
    box, level = box[order], level[order]
    overlap = np.triu(_overlaps(box, of_smaller=False), k=1)
    beaten = ((overlap > LEVEL_OVERLAP) & (level[:, None] == level)).any(axis=0)
    order, overlap = order[~beaten], overlap[np.ix_(~beaten, ~beaten)]
    return order[~(overlap > PROPOSAL_OVERLAP).any(axis=0)]


def _keep_each(candidates: Candidates, threshold: float, of_smaller: bool) -> Indices:
    """Rows of the candidates that stay, image by image, most confident first.

    As in the mtcnn package, a box goes when any better one overlaps it, even one that has gone itself.
    """
    kept = []
    for image in np.unique(candidates.image):
        own = np.flatnonzero(candidates.image == image)
        own = own[np.argsort(-candidates.confidence[own], kind="stable")]
        overlap = np.triu(_overlaps(candidates.box[own], of_smaller), k=1)
        kept.append(own[~(overlap > threshold).any(axis=0)])
    return np.concatenate(kept) if kept else np.empty(0, np.intp)


def _overlaps(box: Floats, of_smaller: bool) -> Floats:
    """Overlap of each box with each, (n, n): over the union, or over the smaller of the two."""
    low = np.maximum(box[:, None, :2], box[None, :, :2])
    high = np.minimum(box[:, None, 2:], box[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(axis=2)
    area = (box[:, 2:] - box[:, :2]).prod(axis=1)
    whole = np.minimum(area[:, None], area) if of_smaller else area[:, None] + area - shared
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(shared / whole, np.float32)


def _face(box: Floats, confidence: float, landmarks: Floats, shape: tuple[int, ...]) -> Face:
    height, width = shape[:2]
    left, top, right, bottom = np.clip(box, 0, (width, height, width, height)).tolist()
    return Face((left, top, right, bottom), float(confidence), landmarks)

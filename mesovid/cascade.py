"""The MTCNN cascade (Zhang et al. 2016, arXiv 1604.02878) over the mtcnn package's networks: images in, faces out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mesovid.networks import Array, Network, load_detector
from mesovid.opencv import cv2
from mesovid.records import Face, Pixels
from mesovid.settings import FaceSettings, RuntimeSettings

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]

# Geometry and overlaps are the mtcnn package's own (1.0.0), or what finds the same faces with less work: benchmarks/detection.py
# measures that. The package has .709 for the step, .6 and .7 for the confidences.
CELL, STRIDE = 12, 2  # px of a level: the side of P-Net's window, and how far apart windows lie
LARGEST_FACE = 1.1  # the first level shows a face of `min_face` px so much smaller than P-Net's window: it finds those too
PYRAMID_STEP = 0.6  # size of a level over the one before
PROPOSAL_CONFIDENCE, REFINEMENT_CONFIDENCE = 0.85, 0.8
LEVEL_OVERLAP, PROPOSAL_OVERLAP, REFINEMENT_OVERLAP, OUTPUT_OVERLAP = 0.5, 0.7, 0.7, 0.7
# O-Net's square about landmarks, in their root mean square distance from their mean: its side, and how far it lies above their middle
SPANNED_SIDE, SPANNED_ABOVE = 4.07, 0.37
SETTLING = 6  # rounds of O-Net until landmarks come to rest, at most
AT_REST = 0.002  # of the side of O-Net's square: landmarks that moved less in a round stay
REFINEMENT_SIDE, OUTPUT_SIDE = 24, 48  # px, input of R-Net and O-Net
GREY = (128, 128, 128)  # what lies outside of an image
SIZE_TOLERANCE = 0.9  # a box is sure to about a tenth: a face of 37 px may be one of 40

# More at once is slower on a processor, whose caches it overflows, and takes memory.
PIXELS_AT_ONCE = 1 << 17  # of a level, in P-Net
PATCHES_AT_ONCE = 16  # in R-Net and O-Net


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Boxes that may be faces."""

    image: Indices  # (n,) number of the image that each lies in
    box: Floats  # (n, 4) left, top, right, bottom; px of the image
    confidence: Floats  # (n,)

    @classmethod
    def join(cls, parts: Sequence[Candidates]) -> Candidates:
        """All candidates of all parts, in their order."""
        if not parts:
            return cls(np.empty(0, np.intp), np.empty((0, 4), np.float32), np.empty(0, np.float32))
        return cls(
            np.concatenate([part.image for part in parts]),
            np.concatenate([part.box for part in parts]),
            np.concatenate([part.confidence for part in parts]),
        )

    def take(self, rows: Indices) -> Candidates:
        """The candidates of these rows, in their order."""
        return Candidates(self.image[rows], self.box[rows], self.confidence[rows])

    def each_image(self) -> Iterator[Indices]:
        """The rows of each image, most confident first."""
        for number in np.unique(self.image):
            rows = np.flatnonzero(self.image == number)
            yield rows[np.argsort(-self.confidence[rows], kind="stable")]

    def without_overlaps(self, threshold: float, of_smaller: bool) -> Indices:
        """The rows that stay when those go that a better one of the same image overlaps."""
        kept = [rows[_best(_overlaps(self.box[rows], of_smaller) > threshold)] for rows in self.each_image()]
        return np.concatenate([np.empty(0, np.intp), *kept])


class Cascade:
    """P-Net proposes boxes all over an image, R-Net and O-Net sort them out and refine them."""

    def __init__(self, settings: FaceSettings, runtime: RuntimeSettings) -> None:
        self._settings = settings
        self._networks = load_detector(runtime)

    def detect(self, images: Sequence[Pixels]) -> list[tuple[Face, ...]]:
        """The faces of each image, most confident first. Images may differ in size."""
        faces: list[tuple[Face, ...]] = [() for _ in images]
        found, landmarks = self._decide(images, self._refine(images, self._propose(images)))
        sure, settled = self._settle(images, found.image, landmarks)
        smallest = self._settings.min_face * SIZE_TOLERANCE
        for i, (image, box, confidence) in enumerate(
            zip(found.image.tolist(), found.box, found.confidence, strict=True)
        ):
            if (box[2:] - box[:2]).max() < smallest:
                continue
            points = settled[i] if sure[i] >= self._settings.confidence else landmarks[i]
            faces[image] = (*faces[image], _face(box, confidence, points, images[image].shape))
        return faces

    def confirm(
        self, images: Sequence[Pixels], guesses: Sequence[tuple[Face, ...]]
    ) -> list[tuple[Face, ...]]:
        """Those faces of each image that are there, most confident first, of such as were guessed from other frames."""
        faces: list[tuple[Face, ...]] = [() for _ in images]
        flat = [face for each in guesses for face in each]
        image = np.repeat(np.arange(len(images)), [len(each) for each in guesses])
        guessed = np.array([face.landmarks for face in flat], np.float32).reshape(-1, 5, 2)
        confidence, landmarks = self._settle(images, image, guessed)
        moved = np.tile((landmarks - guessed).mean(axis=1), 2)
        box = np.array([face.box for face in flat], np.float32).reshape(-1, 4) + moved
        sure = np.flatnonzero(confidence >= self._settings.confidence)
        found, landmarks = Candidates(image[sure], box[sure], confidence[sure]), landmarks[sure]
        # two guesses may come to rest on one face
        for i in found.without_overlaps(OUTPUT_OVERLAP, of_smaller=True):
            shape = images[found.image[i]].shape
            face = _face(found.box[i], found.confidence[i], landmarks[i], shape)
            faces[found.image[i]] = (*faces[found.image[i]], face)
        return faces

    def _settle(self, images: Sequence[Pixels], image: Indices, landmarks: Floats) -> tuple[Floats, Floats]:
        """Confidence `(n,)` and landmarks of O-Net, shown again and again the square that its own landmarks span.

        Landmarks depend on the box that O-Net is shown: by 1 % of a face's width between two boxes that are both good, which
        the classifiers feel. This comes to rest on landmarks that do not depend on where it began, and so makes no
        difference between the whole cascade and `confirm`. Some swing to and fro: the mean of the last two rounds is taken.
        """
        confidence = np.zeros(len(landmarks), np.float32)
        landmarks, begin = landmarks.copy(), landmarks
        moving = np.arange(len(landmarks))
        for _ in range(SETTLING):
            if not len(moving):
                break
            square = _spanned(begin)
            confidence[moving], _, points = self._output(images, image[moving], square)
            end = _landmarks(square, points)
            landmarks[moving] = (begin + end) / 2
            far = np.abs(end - begin).max(axis=(1, 2)) > AT_REST * (square[:, 2] - square[:, 0])
            begin, moving = end[far], moving[far]
        return confidence, landmarks

    def _decide(self, images: Sequence[Pixels], squares: Candidates) -> tuple[Candidates, Floats]:
        """O-Net: those square candidates that are faces, one for each place, with landmarks `(n, 5, 2)`."""
        if not len(squares.image):
            return squares, np.empty((0, 5, 2), np.float32)
        confidence, offsets, points = self._output(images, squares.image, squares.box)
        sure = np.flatnonzero(confidence >= self._settings.confidence)
        square = squares.box[sure]
        found = Candidates(squares.image[sure], _shifted(square, offsets[sure]), confidence[sure])
        kept = found.without_overlaps(OUTPUT_OVERLAP, of_smaller=True)
        return found.take(kept), _landmarks(square, points[sure])[kept]

    def _output(self, images: Sequence[Pixels], image: Indices, square: Floats) -> tuple[Array, ...]:
        return _run(self._networks.output, _patches(images, image, square, OUTPUT_SIDE))

    def _propose(self, images: Sequence[Pixels]) -> Candidates:
        """P-Net over a pyramid of each image: square candidates."""
        sizes: dict[tuple[int, ...], list[int]] = {}
        for number, image in enumerate(images):
            sizes.setdefault(image.shape, []).append(number)
        found = []
        for shape, numbers in sizes.items():
            scales = pyramid(shape[0], shape[1], self._settings.min_face)
            at_once = max(1, int(PIXELS_AT_ONCE / (shape[0] * shape[1] * scales[0] ** 2))) if scales else 1
            for i in range(0, len(numbers) if scales else 0, at_once):
                group = numbers[i : i + at_once]
                few = self._propose_few([images[number] for number in group], scales)
                found.append(Candidates(np.array(group, np.intp)[few.image], few.box, few.confidence))
        return Candidates.join(found)

    def _propose_few(self, images: Sequence[Pixels], scales: Sequence[float]) -> Candidates:
        height, width = images[0].shape[:2]
        found = []
        level = images
        for scale in scales:
            level = [_reduced(image, int(width * scale), int(height * scale)) for image in level]
            found.append(self._propose_level(np.stack(level), scale))
        candidates = Candidates.join(found)
        levels = np.repeat(np.arange(len(found)), [len(each.image) for each in found])
        kept = [rows[_best_proposals(candidates.box[rows], levels[rows])] for rows in candidates.each_image()]
        if not kept:
            return candidates
        candidates = candidates.take(np.concatenate(kept))
        return Candidates(candidates.image, squares(candidates.box), candidates.confidence)

    def _propose_level(self, level: Pixels, scale: float) -> Candidates:
        """P-Net over one level `(n, height, width, 3)` of n images; boxes in pixels of the images."""
        probability, offsets = self._networks.proposal(level)
        image, row, column = np.nonzero(probability > PROPOSAL_CONFIDENCE)
        window = np.stack([column, row, column, row], axis=1) * STRIDE + (0, 0, CELL, CELL)
        box = (window + offsets[image, :, row, column] * CELL) / scale
        return Candidates(image, box.astype(np.float32), probability[image, row, column])

    def _refine(self, images: Sequence[Pixels], candidates: Candidates) -> Candidates:
        """R-Net: better boxes, squared again, for those square candidates that it takes for faces."""
        if not len(candidates.image):
            return candidates
        patches = _patches(images, candidates.image, candidates.box, REFINEMENT_SIDE)
        confidence, offsets = _run(self._networks.refinement, patches)
        sure = np.flatnonzero(confidence > REFINEMENT_CONFIDENCE)
        box = _shifted(candidates.box[sure], offsets[sure])
        refined = Candidates(candidates.image[sure], box, confidence[sure])
        refined = refined.take(refined.without_overlaps(REFINEMENT_OVERLAP, of_smaller=False))
        return Candidates(refined.image, squares(refined.box), refined.confidence)


def pyramid(height: int, width: int, min_face: float) -> list[float]:
    """Scales at which P-Net looks at an image: from the one that shows the smallest face, down to where nothing fits."""
    scales = []
    scale = min(CELL / (min_face * LARGEST_FACE), 1.0)
    while int(min(height, width) * scale) >= CELL:
        scales.append(scale)
        scale *= PYRAMID_STEP
    return scales


def squares(box: Floats) -> Floats:
    """Boxes `(n, 4)` widened or heightened to squares about their centres."""
    centre = (box[:, :2] + box[:, 2:]) / 2
    half = (box[:, 2:] - box[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def _reduced(image: Pixels, width: int, height: int) -> Pixels:
    """An image made smaller: halved while it can be, then resampled linearly. As good as averaging, in a tenth of the time."""
    while image.shape[1] >= 2 * width and image.shape[0] >= 2 * height:
        halves = image.shape[1] // 2, image.shape[0] // 2
        image = cv2.resize(image, halves, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _run(network: Network, patches: Pixels) -> tuple[Array, ...]:
    parts = [network(patches[i : i + PATCHES_AT_ONCE]) for i in range(0, len(patches), PATCHES_AT_ONCE)]
    return tuple(np.concatenate(outputs) for outputs in zip(*parts, strict=True))


def _patches(images: Sequence[Pixels], image_numbers: Indices, boxes: Floats, side: int) -> Pixels:
    """Boxes cut out and resampled, `(n, side, side, 3)`: bilinear, corners on corners, as TensorFlow's crop_and_resize."""
    patches = np.empty((len(boxes), side, side, 3), np.uint8)
    for patch, number, box in zip(patches, image_numbers.tolist(), boxes.tolist(), strict=True):
        image = images[number]
        height, width = image.shape[:2]
        left, top, right, bottom = box
        across, down = 1 - 1 / width, 1 - 1 / height
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
            dst=patch,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=GREY,
        )
    return patches


def _shifted(box: Floats, offsets: Floats) -> Floats:
    """Boxes with each side moved by its offset, in units of the box's size (which counts both border pixels)."""
    size = box[:, 2:] - box[:, :2] + 1
    return np.asarray(box + offsets * np.concatenate([size, size], axis=1), np.float32)


def _landmarks(square: Floats, points: Floats) -> Floats:
    """Landmarks `(n, 5, 2)` in px from O-Net's five x and five y, which are in units of its square input."""
    size = square[:, None, 2:] - square[:, None, :2] + 1
    return np.asarray(
        points.reshape(-1, 2, 5).transpose(0, 2, 1) * size + square[:, None, :2] - 1, np.float32
    )


def _spanned(landmarks: Floats) -> Floats:
    """Squares `(n, 4)` about the faces of landmarks `(n, 5, 2)`, as O-Net likes them: a little tighter than its boxes."""
    eyes, mouth = landmarks[:, :2].mean(axis=1), landmarks[:, 3:].mean(axis=1)
    upwards = (eyes - mouth) / np.maximum(np.linalg.norm(eyes - mouth, axis=1, keepdims=True), 1e-6)
    spread = np.sqrt(landmarks.var(axis=1).sum(axis=1))[:, None]
    centre = (eyes + mouth) / 2 + SPANNED_ABOVE * spread * upwards
    half = SPANNED_SIDE / 2 * spread
    return np.concatenate([centre - half, centre + half], axis=1)


def _best_proposals(box: Floats, level: Indices) -> Indices:
    """Rows that stay of P-Net's candidates of one image, given best first: within each level, then over all."""
    overlap = _overlaps(box, of_smaller=False)
    first = _best((overlap > LEVEL_OVERLAP) & (level[:, None] == level))
    return first[_best(overlap[np.ix_(first, first)] > PROPOSAL_OVERLAP)]


def _best(clash: npt.NDArray[np.bool_]) -> Indices:
    """Rows that clash with none before them; as in the mtcnn package, also with none that has gone itself."""
    return np.flatnonzero(~np.triu(clash, k=1).any(axis=0))


def _overlaps(box: Floats, of_smaller: bool) -> Floats:
    """Overlap of each box with each, `(n, n)`: over their union, or over the smaller of the two."""
    left, top, right, bottom = np.ascontiguousarray(box.T)
    across = np.minimum.outer(right, right) - np.maximum.outer(left, left)
    down = np.minimum.outer(bottom, bottom) - np.maximum.outer(top, top)
    shared = np.maximum(across, 0) * np.maximum(down, 0)
    area = (right - left) * (bottom - top)
    whole = np.minimum.outer(area, area) if of_smaller else np.add.outer(area, area) - shared
    return np.asarray(shared / np.maximum(whole, 1e-6), np.float32)


def _face(box: Floats, confidence: float, landmarks: Floats, shape: tuple[int, ...]) -> Face:
    height, width = shape[:2]
    left, top, right, bottom = np.clip(box, 0, (width, height, width, height)).tolist()
    return Face((left, top, right, bottom), float(confidence), landmarks)

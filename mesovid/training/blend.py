"""Pseudo-fakes from real faces alone: a face blended onto itself (Shiohara and Yamasaki 2022, arXiv
2204.08376) or onto another person's (Li et al. 2020, arXiv 1912.13458).

In the first, source and target are the same crop, made to differ a little in colour, sharpness,
compression and place, as a swapped face and its frame do; in the second, features and light differ
too. What a detector learns from them is the seam and the mismatch, not the habits of one generator.
A real fake, too, can be laid on its own original in part: its traces then turn up in few places,
and elsewhere the frame is as true as its pair. The papers draw masks from 68 or 81 landmarks; here
a standard outline is laid through MTCNN's five.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mesovid.damage import LEVELS, jpeg, noise, relit, sharpen
from mesovid.opencv import cv2
from mesovid.pictures import resized
from mesovid.records import Pixels
from mesovid.settings import Geometry
from mesovid.training.augment import denoise, grow, like_h264, shrink

Points = npt.NDArray[np.float32]
Mask = npt.NDArray[np.float32]  # (size, size), 0 to 1

# A frontal mean face. The unit is half the distance of the eyes, the origin lies between them, y
# points down; after the 112 px template of ArcFace and the outline of the 68 points of iBUG 300-W.
TEMPLATE = np.array([(-1, 0), (1, 0), (0, 1.14), (-0.83, 2.31), (0.83, 2.31)], np.float32)
_JAW = [(-2.05, 0.1), (-2.0, 0.9), (-1.85, 1.7), (-1.5, 2.6), (-0.9, 3.3), (0, 3.65)]
_BROW = [(-1.75, -0.65), (-1.2, -0.95), (-0.4, -0.85)]
_HAIRLINE = [(-1.9, -0.8), (-1.4, -1.6), (-0.5, -1.95)]
_INNER = [(-1.7, -0.55), (-1.55, 0.6), (-1.25, 2.2), (-0.6, 2.95)]
_LOWER = [(-1.9, 0.75), (-1.85, 1.7), (-1.5, 2.6), (-0.9, 3.3), (0, 3.65), (-0.5, 0.4)]
_MIDDLE = [(-1.75, -0.75), (-0.4, -0.8), (-1.7, 0.55), (-0.75, 1.4), (0, 1.55)]
_MOUTH = [(-1.35, 1.5), (-1.35, 2.6), (-0.7, 3.2), (-0.5, 1.3)]
_BOX = [(-2.1, -1.2), (-2.1, 3.2)]  # swapping tools paste a square back
OUTLINES = (  # left halves; which part of the face is exchanged
    _JAW + _BROW,
    _JAW + _BROW,  # the whole face twice: it is what swaps replace
    _JAW + _HAIRLINE,
    _INNER,
    _LOWER,
    _MIDDLE,
    _MOUTH,
    _BOX,
)

WHOLE = (1.0,)
STRENGTHS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)  # of the blend, as in the paper
RECOLOURED = (0.6, 1.0)  # how far another person's face takes on the colours that it covers
GAINS = (0.5, 2.0)  # of contrast, in doing so
COLOUR_SHIFT = 20  # of 255, a channel
VALUE_CHANGE = 0.2  # saturation and brightness, 1 -+ this
TRANSLATION = (0.03, 0.015)  # sides of a crop, across and down
SCALING = 0.05  # 1 -+ this
JITTER = 0.15  # of the outline's points, in its unit
WAVES = 6  # cells a side of the field that deforms the mask
DEFORMATION = 0.04  # sides of a crop, sigma


@dataclass(frozen=True, slots=True, eq=False)
class Blended:
    """A blended face and what it was made with."""

    fake: Pixels
    source: Pixels  # what was blended in
    mask: Mask  # how much of it


def self_blend(crop: Pixels, landmarks: Points, rng: np.random.Generator) -> Blended:
    """Blend a face onto itself.

    `landmarks` (5, 2) are px of the crop. Where they are NaN, a frontal face is assumed.
    """
    mask = blend_mask(crop.shape[0], landmarks, rng)
    source, target = _altered(crop, rng), crop
    if rng.random() < 0.5:
        source, target = target, source
    # only what is blended in: a coded frame around a clean face would teach that coding means fake
    source = _coded(source, rng)
    move = _small_move(crop.shape[0], rng)
    mask = cv2.warpAffine(mask, move, mask.shape, flags=cv2.INTER_LINEAR)
    return _laid(_warped(source, move), target, mask)


def swap_blend(
    crop: Pixels,
    landmarks: Points,
    donor: Pixels,
    donor_landmarks: Points,
    rng: np.random.Generator,
) -> Blended:
    """Blend a part of the donor's face onto another's, in place and in its colours.

    All landmarks must be known.
    """
    mask = blend_mask(crop.shape[0], landmarks, rng, WHOLE)
    source = _warped(_altered(donor, rng), _affine(donor_landmarks, landmarks).T)
    source = _recoloured(source, crop, mask, rng.uniform(*RECOLOURED))
    return _laid(_coded(source, rng), crop, mask)


def partial_fake(
    fake: Pixels,
    landmarks: Points,
    original: Pixels,
    original_landmarks: Points,
    rng: np.random.Generator,
) -> Blended:
    """Lay a part of a fake face on the frame that it was made from.

    Where landmarks are NaN, both crops are taken to lie alike.
    """
    mask = blend_mask(fake.shape[0], landmarks, rng, WHOLE)
    if np.isfinite(landmarks).all() and np.isfinite(original_landmarks).all():
        original = _warped(original, _affine(original_landmarks, landmarks).T)
    return _laid(fake, original, mask)


def blend_mask(
    size: int, landmarks: Points, rng: np.random.Generator, strengths: Sequence[float] = STRENGTHS
) -> Mask:
    """A soft, deformed mask of a part of the face that is drawn at random, as strong as drawn."""
    outline = outline_of(size, landmarks, OUTLINES[rng.integers(len(OUTLINES))], rng)
    mask = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(outline.round().astype(np.int32)), 255)
    mask = _deformed(mask, rng)
    # softened twice, and between shrunk to what was fully inside, so that the edge's fall is no
    # plain Gaussian
    first, second = rng.uniform(0.008, 0.04) * size, rng.uniform(0.006, 0.06) * size
    inside = (cv2.GaussianBlur(mask, (0, 0), first) >= 250).astype(np.float32)
    if not inside.any():
        inside = (mask > 127).astype(np.float32)
    soft = cv2.GaussianBlur(inside, (0, 0), second)
    strength = strengths[int(rng.integers(len(strengths)))]
    return np.asarray(soft * np.float32(strength / max(float(soft.max()), 1e-3)), np.float32)


def outline_of(
    size: int, landmarks: Points, half: Sequence[tuple[float, float]], rng: np.random.Generator
) -> Points:
    """The points (n, 2) of an outline on a face, px, each moved a little."""
    points = np.array([*half, *((-x, y) for x, y in half)])
    points += rng.uniform(-JITTER, JITTER, points.shape)
    matrix = _affine(TEMPLATE, landmarks if np.isfinite(landmarks).all() else usual_landmarks(size))
    return np.asarray(points @ matrix[:2] + matrix[2], np.float32)


def usual_landmarks(size: int) -> Points:
    """Where the landmarks of a frontal face lie in a crop of the default geometry."""
    geometry = Geometry(size=size)
    # the eyes' distance is less than that to the mouth
    side = geometry.scale * float(TEMPLATE[3, 1])
    centre = np.array([0, geometry.centre * TEMPLATE[2, 1]], np.float32)
    return np.asarray((TEMPLATE - centre) * (size / side) + (size - 1) / 2, np.float32)


def blend_sheet(crops: Sequence[Pixels], made: Sequence[Blended], side: int = 160) -> Pixels:
    """Samples side by side, a row each.

    A row is real, source, mask, fake, and four times their difference around grey.
    """
    rows = []
    for crop, blended in zip(crops, made, strict=True):
        mask = np.repeat((blended.mask * 255).astype(np.uint8)[..., None], 3, axis=2)
        difference = np.clip(128 + 4 * (blended.fake.astype(np.int16) - crop), 0, 255)
        panels = (crop, blended.source, mask, blended.fake, difference.astype(np.uint8))
        rows.append(np.hstack([resized(panel, side) for panel in panels]))
    return np.asarray(np.vstack(rows), np.uint8)


def _laid(source: Pixels, target: Pixels, mask: Mask) -> Blended:
    fake = cv2.blendLinear(source, target, mask, 1 - mask)
    return Blended(np.asarray(fake, np.uint8), np.asarray(source, np.uint8), mask)


def _warped(crop: Pixels, move: npt.NDArray[np.floating[Any]]) -> Pixels:
    """The crop moved by an affine map (2, 3), mirrored beyond its edges."""
    side = (crop.shape[0], crop.shape[0])
    moved = cv2.warpAffine(
        crop, move, side, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.asarray(moved, np.uint8)


def _affine(points: Points, onto: Points) -> Points:
    """The affine map (3, 2) that takes points (n, 2) nearest to others.

    From the template it follows turned heads in part.
    """
    known = np.column_stack([points, np.ones(len(points))])
    matrix, *_ = np.linalg.lstsq(known, onto, rcond=None)
    return np.asarray(matrix, np.float32)


def _recoloured(crop: Pixels, like: Pixels, mask: Mask, share: float) -> Pixels:
    """The crop with each Lab channel under the mask nearer to that of another crop.

    Mean and deviation are moved (Reinhard et al. 2001).
    """
    lab, wanted = (
        cv2.cvtColor(each, cv2.COLOR_RGB2LAB).astype(np.float32) for each in (crop, like)
    )
    inside = mask > 0.5 * mask.max()
    for channel in range(3):
        values, others = lab[..., channel], wanted[inside, channel]
        mean, deviation = values[inside].mean(), values[inside].std()
        gain = np.clip(others.std() / max(deviation, 1.0), *GAINS)
        matched = (values - mean) * gain + others.mean()
        lab[..., channel] = values + share * (matched - values)
    recoloured = cv2.cvtColor(np.clip(lab + 0.5, 0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)
    return np.asarray(recoloured, np.uint8)


def _deformed(mask: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Elastic deformation by a smooth random field."""
    size = mask.shape[0]
    field = rng.normal(0, DEFORMATION * size * rng.random(), (WAVES, WAVES, 2)).astype(np.float32)
    places = cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC)
    places += np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1).astype(np.float32)
    return np.asarray(cv2.remap(mask, places, None, cv2.INTER_LINEAR), np.uint8)


def _altered(crop: Pixels, rng: np.random.Generator) -> Pixels:
    """The crop in other colours, then softer, sharper or smoother."""
    shift = rng.uniform(-COLOUR_SHIFT, COLOUR_SHIFT, 3) if rng.random() < 0.7 else np.zeros(3)
    values = LEVELS[:, None] * rng.uniform(1 - VALUE_CHANGE, 1 + VALUE_CHANGE) + shift
    values = (values - 128) * rng.uniform(0.9, 1.1) + 128
    altered = relit(crop, values)
    if rng.random() < 0.5:
        grey = cv2.cvtColor(cv2.cvtColor(altered, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        factor = rng.uniform(1 - VALUE_CHANGE, 1 + VALUE_CHANGE)
        altered = cv2.addWeighted(altered, factor, grey, 1 - factor, 0)
    kind = rng.random()
    if kind < 0.4:
        size, share = altered.shape[0], rng.uniform(0.25, 0.8)
        altered = grow(shrink(altered, share), size, int(rng.integers(3)))
        if rng.random() < 0.3:  # as face enhancers do
            altered = sharpen(altered, rng.uniform(0.3, 1.5))
    elif kind < 0.65:
        altered = sharpen(altered, rng.uniform(0.2, 0.8))
    elif kind < 0.8:
        altered = denoise(altered, rng.random(4))
    return np.asarray(altered, np.uint8)


def _coded(crop: Pixels, rng: np.random.Generator) -> Pixels:
    """Now and then compressed or noisy, as what a generator gives."""
    kind = rng.random()
    if kind < 0.2:
        return jpeg(crop, int(rng.integers(40, 95)))
    if kind < 0.4:
        return like_h264(crop, rng.uniform(20, 34))
    if kind < 0.5:
        sigma, own = rng.uniform(1, 5), np.random.default_rng(int(rng.integers(2**31)))
        return noise(crop, sigma, own)
    return crop


def _small_move(size: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Shift and scale (2, 3) about the middle, which leave the face nearly in place."""
    scale = rng.uniform(1 - SCALING, 1 + SCALING)
    shift = size * rng.uniform(-1, 1, 2) * TRANSLATION
    middle = (size - 1) / 2
    return np.array(
        [[scale, 0, middle * (1 - scale) + shift[0]], [0, scale, middle * (1 - scale) + shift[1]]]
    )

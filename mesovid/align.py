"""Cuts an aligned square face out of a frame, from its landmarks. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mesovid.opencv import cv2
from mesovid.records import Pixels
from mesovid.settings import Geometry

DETAIL_SQUARE = 1.44  # side of the square that `detail` looks at, in the unit of `Geometry.scale`
DETAIL_SIDE = 80  # px to which it is brought

_BORDERS = {
    "reflect": cv2.BORDER_REFLECT_101,
    "replicate": cv2.BORDER_REPLICATE,
    "black": cv2.BORDER_CONSTANT,
}


def align(image: Pixels, landmarks: npt.NDArray[np.float32], geometry: Geometry) -> Pixels:
    """The face of `landmarks` (5, 2), px of `image` (h, w, 3), upright and to scale.

    It is (size, size, 3).
    """
    matrix = transform(landmarks, geometry)
    flags = cv2.INTER_CUBIC if geometry.interpolation == "cubic" else cv2.INTER_LINEAR
    border = _BORDERS[geometry.border]
    size = (geometry.size, geometry.size)
    if geometry.interpolation == "area":
        image, matrix = _shrink(image, matrix)
    crop: Pixels = cv2.warpAffine(image, matrix, size, flags=flags, borderMode=border)
    return crop


def transform(landmarks: npt.NDArray[np.float32], geometry: Geometry) -> npt.NDArray[np.float64]:
    """The similarity (2, 3) from a frame's pixels to a crop's.

    `Geometry` says where its side and centre come from.

    The face's horizontal is the eyes' line averaged with the normal of the line from the eyes to
    the mouth, after FFHQ (Karras et al. 2019, arXiv 1812.04948): in a profile view the eyes all but
    coincide and their line alone says nothing.
    """
    left_eye, right_eye, nose, left_mouth, right_mouth = landmarks.astype(np.float64)
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    across, down = right_eye - left_eye, mouth - eyes
    # px; 1 keeps broken landmarks finite
    side = max(geometry.scale * max(np.hypot(*across), np.hypot(*down)), 1.0)
    centre = eyes + geometry.centre * (nose - eyes)
    horizontal = (
        across + np.array([down[1], -down[0]]) if geometry.remove_roll else np.array([1.0, 0.0])
    )
    length = np.hypot(*horizontal)
    cos, sin = horizontal / length if length > 0 else (1.0, 0.0)
    zoom = geometry.size / side
    linear = zoom * np.array([[cos, sin], [-sin, cos]])
    middle = (geometry.size - 1) / 2  # px, between the two middle pixels of an even side
    return np.column_stack([linear, middle - linear @ centre])


def detail(crop: Pixels, geometry: Geometry) -> float | None:
    """How sharp an aligned face is: the contrast of its finest details over that of its features.

    Both are taken from a Laplacian pyramid (Burt and Adelson 1983) of a square about the face's
    middle, sampled so that a face of some 100 px still fills its finest level: details of about
    1/40 of the square against features of 1/10 to 1/5. Light and size of the face cancel out; blur
    takes the details and leaves the features. Sharp faces have .2 to .5, those blurred by 2 % of
    their width .1. None of crops that are too coarse to tell.
    """
    size = crop.shape[0]
    part = round(size * min(DETAIL_SQUARE / geometry.scale, 1.0))
    if part < DETAIL_SIDE:
        return None
    first = (size - part) // 2
    grey = cv2.cvtColor(
        np.ascontiguousarray(crop[first : first + part, first : first + part]), cv2.COLOR_RGB2GRAY
    )
    level = cv2.resize(grey, (DETAIL_SIDE, DETAIL_SIDE), interpolation=cv2.INTER_AREA).astype(
        np.float32
    )
    contrast = []
    for _ in range(4):
        smaller = cv2.pyrDown(level)
        contrast.append(float((level - cv2.pyrUp(smaller, dstsize=level.shape[::-1])).std()))
        level = smaller
    return contrast[0] / max(float(np.hypot(contrast[2], contrast[3])), 1e-6)


def _shrink(
    image: Pixels, matrix: npt.NDArray[np.float64]
) -> tuple[Pixels, npt.NDArray[np.float64]]:
    """Average whole blocks of pixels first where the crop would skip some.

    Shrinking then does not alias.
    """
    factor = int(1 / np.hypot(matrix[0, 0], matrix[0, 1]))
    if factor < 2:
        return image, matrix
    height, width = image.shape[0] // factor * factor, image.shape[1] // factor * factor
    if not height or not width:
        return image, matrix
    small = cv2.resize(
        image[:height, :width], (width // factor, height // factor), interpolation=cv2.INTER_AREA
    )
    # a small pixel x covers the pixels factor * x ... factor * x + factor - 1, whose centre is
    # factor * x + (factor - 1) / 2
    shift = matrix[:, :2] @ np.full(2, (factor - 1) / 2)
    return small, np.column_stack([matrix[:, :2] * factor, matrix[:, 2] + shift])

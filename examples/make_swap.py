"""Makes examples/swapped.mp4: the clip of make_clip.py with a part of the face exchanged.

python examples/make_swap.py [OUTPUT]

What is put in is the same public-domain portrait, mirrored: turned and scaled onto the eyes and the
mouth, made as soft as what a generator gives, and blended in along a soft edge. So nobody is shown
who was not asked, and the traces are those of a swap: another sharpness within the edge than
without, and a seam.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from make_clip import write

# the portrait's eyes, nose and mouth corners, px
LANDMARKS = np.array([(204, 110), (248, 112), (228, 142), (202, 154), (244, 156)], np.float32)
# left half of the exchanged part; unit: half the distance of the eyes, from the point between them
OUTLINE = [(-1.7, -0.6), (-1.75, 0.7), (-1.4, 2.2), (-0.8, 3.0)]
SOFTNESS = 0.35  # the source is shrunk to this and enlarged again
EDGE = 4.0  # px, sigma of the edge
TINT = (6, 0, -8)  # RGB levels that the source is off


def main() -> None:
    output = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("swapped.mp4")
    write(swapped(skimage.data.astronaut()), output)


def swapped(picture: np.ndarray) -> np.ndarray:
    """The portrait (512, 512, 3) RGB with a part of its face exchanged."""
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    theirs = LANDMARKS[[1, 0, 2, 4, 3]] * (-1, 1) + (picture.shape[1] - 1, 0)
    source = cv2.warpAffine(
        mirrored, onto(theirs, LANDMARKS), picture.shape[1::-1], flags=cv2.INTER_CUBIC
    )
    small = cv2.resize(source, None, fx=SOFTNESS, fy=SOFTNESS, interpolation=cv2.INTER_AREA)
    soft = (
        cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR).astype(np.float32)
        + TINT
    )
    share = mask(picture.shape[0])[..., None]
    return np.clip(share * soft + (1 - share) * picture + 0.5, 0, 255).astype(np.uint8)


def onto(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The similarity (2, 3) that takes landmarks nearest to others."""
    matrix, _ = cv2.estimateAffinePartial2D(points.astype(np.float32), others, method=cv2.LMEDS)
    return matrix


def mask(size: int) -> np.ndarray:
    """How much of the source is shown, (size, size) from 0 to 1."""
    left_eye, right_eye = LANDMARKS[:2]
    middle, across = (left_eye + right_eye) / 2, (right_eye - left_eye) / 2
    down = np.array([-across[1], across[0]])
    half = np.array(OUTLINE)
    points = np.vstack([half, half * (-1, 1)])
    outline = middle + points[:, :1] * across + points[:, 1:] * down
    filled = np.zeros((size, size), np.float32)
    cv2.fillConvexPoly(filled, cv2.convexHull(outline.round().astype(np.int32)), 1.0)
    return cv2.GaussianBlur(filled, (0, 0), EDGE)


if __name__ == "__main__":
    main()

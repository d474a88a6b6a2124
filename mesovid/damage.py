"""What the world does to a picture, one function a damage: codecs, blur, noise, light. Pure.

Training draws how much of each at random (`training/augment.py`), measuring fixes it
(`evaluation/degrade.py`). On uint8 RGB (h, w, 3) with OpenCV, which lets go of Python's lock. The
size of a picture is changed by `pictures.scaled`.
"""

from __future__ import annotations

import zlib
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mesovid.opencv import cv2
from mesovid.pictures import decode, encode
from mesovid.records import Pixels

Levels = npt.NDArray[np.float64]  # (256,), or (256, 3) by channel: what each level becomes

LEVELS: Levels = np.arange(256, dtype=np.float64)
_GRAINS = (np.random.default_rng(20).standard_normal(4 * 1024 * 1024) * 32).astype(np.float32)
_BAND = len(_GRAINS) // 2  # values, at most, that one draw covers


def jpeg(image: Pixels, quality: int) -> Pixels:
    """Through a JPEG file of that quality (4:2:0) and back."""
    return decode(encode(image, "jpg", quality))


def blur(image: Pixels, sigma: float) -> Pixels:
    """Under a Gaussian; `sigma` in px."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def sharpen(image: Pixels, amount: float, sigma: float = 1.5) -> Pixels:
    """Under an unsharp mask: `amount` of what a blur takes is added. `sigma` in px."""
    sharp = cv2.addWeighted(image, 1 + amount, blur(image, sigma), -amount, 0)
    return np.asarray(sharp, np.uint8)


def noise(image: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    """With Gaussian noise; `sigma` of 255.

    Half of its power is common to all channels, as where sensors' noise has been through
    demosaicing.
    """
    rows = max(1, _BAND // (image.shape[1] * image.shape[2]))
    edges = [*range(0, image.shape[0], rows), image.shape[0]]
    bands = [_noisy(image[top:bottom], sigma, rng) for top, bottom in pairwise(edges)]
    return bands[0] if len(bands) == 1 else np.concatenate(bands)


def own_rng(image: Pixels) -> np.random.Generator:
    """Random numbers that follow from a picture: other ones for each frame, the same each time."""
    return np.random.default_rng(zlib.crc32(image.tobytes()))


def relit(image: Pixels, levels: Levels) -> Pixels:
    """With each level replaced by another, rounded and clipped here and only here."""
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8).reshape(256, 1, -1)
    return np.asarray(cv2.LUT(image, table), np.uint8)


def gamma(levels: Levels, exponent: float) -> Levels:
    """Levels as fractions of the brightest, raised to a power."""
    return 255 * (levels / 255) ** exponent


def brightness(levels: Levels, factor: float) -> Levels:
    """Levels times a factor."""
    return levels * factor


def _noisy(image: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    # deviates are drawn once and read at random places: they cost more than all else here
    grey, coloured = (
        _GRAINS[start : start + image.size]
        for start in rng.integers(len(_GRAINS) - image.size, size=2)
    )
    common = grey[: image.size // 3].reshape(*image.shape[:2], 1)
    grains = (common + coloured.reshape(image.shape)) * (sigma / np.sqrt(2) / 32)
    return np.asarray(cv2.add(image, np.rint(grains).astype(np.int16), dtype=cv2.CV_8U), np.uint8)

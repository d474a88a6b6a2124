"""Varies crops in training: what the paper did, and what happens to faces in video. On uint8 RGB
with OpenCV, which lets go of Python's lock, so that threads prepare batches in parallel; one table
look-up and one warp take the place of a dozen passes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mesovid.damage import LEVELS, Levels, blur, brightness, gamma, jpeg, noise, relit, sharpen
from mesovid.opencv import cv2
from mesovid.pictures import Growth, resized, scaled
from mesovid.records import Pixels
from mesovid.settings import AugmentSettings

SHRINKAGE = (0.25, 0.9)  # of a side, by rescaling
BLUR = (0.3, 2.0)  # px, sigma
SHARPNESS = (0.3, 1.5)  # fraction of the detail that is added
NOISE = (1.0, 10.0)  # of 255, sigma
JPEG_QUALITY = (30, 95)
MIRRORED = 0.5  # of the crops
BRIGHTNESS = 0.2  # 1 -+ this, as in the paper
QP = (20, 40)  # quantisation parameter of H.264
CONTRAST = 0.2  # 1 -+ this
SATURATION = 0.3
WHITE_BALANCE = 0.08
GAMMA = (0.7, 1.4)
DENOISED_AT = (0.4, 1.0)  # of a side: the size at which a face was smoothed
TOLERANCE = (8.0, 45.0)  # of 255; differences up to about this are smoothed away
HALO = (0.8, 2.5)  # px, sigma of the unsharp mask that follows

GROWTHS: tuple[Growth, ...] = ("linear", "cubic", "lanczos")

BLOCK = 8  # px, side of a transform
# from 30 on H.264 quantises colour more finely than brightness (its table 8-15)
_QP = (0, 29, 34, 39, 45, 51)
_CHROMA_QP = (0, 29, 32, 35, 37, 39)


def augment(crop: Pixels, settings: AugmentSettings, rng: np.random.Generator) -> Pixels:
    """A random variant of a crop `(size, size, 3)`, or the crop itself without augmentation.

    Equal settings and generator states give equal variants.
    """
    if not settings.augment:
        return crop
    draw = rng.random
    # every choice is drawn whether it is used or not: switching one augmentation leaves the others
    # as they were
    chances = draw(10)
    crop = _move(crop, settings, draw(6))
    recoloured, other_gamma = chances[0] < settings.colour, chances[1] < settings.gamma
    crop = relit(crop, _levels(settings, draw(8), recoloured, other_gamma))
    amounts, smoothing = draw(6), draw(4)
    if chances[0] < settings.colour:
        crop = _saturate(crop, 1 + SATURATION * (2 * amounts[0] - 1))
    if chances[8] < settings.grey:
        crop = _saturate(crop, 0)
    if chances[9] < settings.denoise:
        crop = denoise(crop, smoothing)
    size = crop.shape[0]
    if chances[2] < settings.rescale:
        # what follows happens to the small picture, as to a small face in a video, and is enlarged
        # with it
        crop = shrink(crop, _between(SHRINKAGE, amounts[1]))
    kind = int(draw() * 3)
    scale = crop.shape[0] / size
    if chances[3] < settings.blur:
        crop = blur(crop, _between(BLUR, amounts[2]) * scale)
    elif chances[4] < settings.sharpen:
        crop = sharpen(crop, _between(SHARPNESS, amounts[2]))
    if chances[5] < settings.noise:
        own = np.random.default_rng(int(rng.integers(2**31)))
        crop = noise(crop, _between(NOISE, amounts[3]), own)
    if chances[6] < settings.h264:
        crop = like_h264(crop, _between(QP, amounts[4]))
    if chances[7] < settings.jpeg:
        crop = jpeg(crop, round(_between(JPEG_QUALITY, amounts[5])))
    return grow(crop, size, kind)


def shrink(crop: Pixels, share: float) -> Pixels:
    """Scaled down to `share` of its side, in whole blocks of a video coder."""
    side = max(1, round(crop.shape[0] * share / (2 * BLOCK))) * 2 * BLOCK
    if side >= crop.shape[0]:
        return crop
    return resized(crop, side)


def grow(crop: Pixels, size: int, kind: int) -> Pixels:
    """Scaled up to `size` pixels a side, as faces are cut; `kind` 0 to 2 chooses how."""
    return scaled(crop, size, size, GROWTHS[kind])


def denoise(crop: Pixels, draws: npt.NDArray[np.float64]) -> Pixels:
    """A crop with detail smoothed away and edges kept, then sharpened.

    The filter is bilateral (Tomasi and Manduchi 1998).

    So look faces after noise reduction in phones and television, and under beauty filters. `draws`
    (4,) in 0 ... 1 say at what size, how smooth, how wide the halo and how sharp.
    """
    size = crop.shape[0]
    small = shrink(crop, _between(DENOISED_AT, draws[0]))
    small = cv2.bilateralFilter(small, 5, _between(TOLERANCE, draws[1]), 3)
    smooth = grow(small, size, 1)
    if draws[3] < 0.5:
        return smooth
    return sharpen(smooth, _between(SHARPNESS, 2 * draws[3] - 1), _between(HALO, draws[2]))


def like_h264(crop: Pixels, qp: float) -> Pixels:
    """What a video coder of the H.264 kind leaves of a crop.

    It quantises by a parameter and predicts nothing.

    Colour at half the resolution, an 8x8 transform, the flat quantisation of the standard (a step
    that doubles every 6 QP) with the rounding of encoders, which drops weak detail, and smoothed
    block edges. A real encoder takes 20 times as long.
    """
    size = crop.shape[0] // (2 * BLOCK) * 2 * BLOCK
    if size < 2 * BLOCK:
        return crop
    ycc = cv2.cvtColor(crop[:size, :size], cv2.COLOR_RGB2YCrCb)
    half = cv2.resize(ycc[..., 1:], (size // 2, size // 2), interpolation=cv2.INTER_AREA)
    luma = _quantise(ycc[..., 0], _step(qp))
    finer = _step(np.interp(qp, _QP, _CHROMA_QP))
    chroma = np.stack([_quantise(half[..., channel], finer) for channel in (0, 1)], axis=-1)
    coded = np.dstack([luma, cv2.resize(chroma, (size, size), interpolation=cv2.INTER_LINEAR)])
    result = crop.copy()
    result[:size, :size] = cv2.cvtColor(coded, cv2.COLOR_YCrCb2RGB)
    return result


def _step(qp: float) -> float:
    """Size of a quantisation step, of 255: table of Qstep in H.264, where it doubles every 6."""
    return 0.625 * float(2 ** (qp / 6))


def _quantise(plane: npt.NDArray[np.uint8], step: float) -> npt.NDArray[np.uint8]:
    """One plane through the transform, dead-zone quantisation and deblocking."""
    rows, columns = plane.shape[0] // BLOCK, plane.shape[1] // BLOCK
    blocks = plane.reshape(rows, BLOCK, columns, BLOCK).transpose(0, 2, 1, 3).astype(np.float32)
    spectrum = _DCT @ blocks @ _DCT.T
    # 1/3 as encoders round intra blocks; truncation towards 0 does the rest
    levels = np.trunc(spectrum / step + np.copysign(np.float32(1 / 3), spectrum))
    decoded = (_DCT.T @ (levels * step) @ _DCT).transpose(0, 2, 1, 3).reshape(plane.shape)
    return _deblock(np.clip(decoded + 0.5, 0, 255).astype(np.uint8), step)


def _deblock(plane: npt.NDArray[np.uint8], step: float) -> npt.NDArray[np.uint8]:
    """Smooth the two pixels at each block edge whose difference quantisation can make."""
    wide = plane.astype(np.int16)
    for axis in (0, 1):
        lines = np.moveaxis(wide, axis, 0)
        before, after = lines[BLOCK - 1 : -1 : BLOCK], lines[BLOCK::BLOCK]
        gap = after - before
        change = np.where(np.abs(gap) < step, gap // 4, 0).astype(np.int16)
        lines[BLOCK - 1 : -1 : BLOCK] = before + change
        lines[BLOCK::BLOCK] = after - change
    return wide.astype(np.uint8)


def _move(crop: Pixels, settings: AugmentSettings, draws: npt.NDArray[np.float64]) -> Pixels:
    """Rotation, zoom, shift and mirror in one warp."""
    size = crop.shape[0]
    around = 2 * draws - 1  # -1 ... 1
    angle = np.deg2rad(settings.rotation * around[0])
    zoom = 1 + settings.zoom * around[1:3]
    mirror = -1.0 if draws[5] < MIRRORED else 1.0
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * zoom
    linear = linear @ np.diag([mirror, 1.0])
    middle = np.full(2, (size - 1) / 2)
    matrix = np.column_stack(
        [linear, middle - linear @ middle + settings.shift * size * around[3:5]]
    )
    if np.array_equal(matrix, [[-1, 0, size - 1], [0, 1, 0]]):
        mirrored: Pixels = cv2.flip(crop, 1)
        return mirrored
    if np.array_equal(matrix, [[1, 0, 0], [0, 1, 0]]):
        return crop
    # the nearest pixel beyond the edge, as Keras's generator fills it
    moved: Pixels = cv2.warpAffine(
        crop, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return moved


def _levels(
    settings: AugmentSettings, draws: npt.NDArray[np.float64], colour: bool, other_gamma: bool
) -> Levels:
    """What all changes that act on single levels make of them, (256, 3)."""
    around = 2 * draws - 1
    values = LEVELS[:, None].repeat(3, axis=1)
    if other_gamma:
        values = gamma(values, _between(GAMMA, draws[0]))
    if colour:
        values = (values - 128) * (1 + CONTRAST * around[1]) + 128
        values = values * (1 + WHITE_BALANCE * around[2:5])
    values = brightness(values, 1 + BRIGHTNESS * around[5])
    shifted: Levels = values + settings.channel_shift * around[6]
    return shifted


def _saturate(crop: Pixels, factor: float) -> Pixels:
    grey = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    saturated: Pixels = cv2.addWeighted(crop, factor, grey, 1 - factor, 0)
    return saturated


def _between(ends: tuple[float, float], share: float) -> float:
    return ends[0] + (ends[1] - ends[0]) * float(share)


def _transform_matrix() -> npt.NDArray[np.float32]:
    """The orthonormal DCT-II of BLOCK points, as rows."""
    n = np.arange(BLOCK)
    matrix = np.cos(np.pi * (2 * n[None] + 1) * n[:, None] / (2 * BLOCK)) * np.sqrt(2 / BLOCK)
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix, np.float32)


_DCT = _transform_matrix()

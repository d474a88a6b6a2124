"""What the world does to a face before a detector sees it: codecs, small sizes, blur, noise, light.

On whole videos, `degrade_video` does what happens outside: a new file, in which faces are found and
cut again. On the aligned crops that a dataset holds, `degrade` comes near to it at a fraction of
the time: each crop is brought to the size that it had in its video, damaged there, and what the
damage changed is carried over to the crop. A codec is harsher so, since it is given only a face,
and frames that lie apart.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from mesovid.damage import LEVELS, blur, brightness, gamma, jpeg, noise, own_rng, relit
from mesovid.errors import SettingsError
from mesovid.opencv import cv2
from mesovid.pictures import resized, scaled
from mesovid.records import Pixels

_SMALLEST = 16  # px, least side of a crop on its way


# to pictures of any size, in order of time
Apply = Callable[[Sequence[Pixels], float], list[Pixels]]


@dataclass(frozen=True, slots=True)
class Degradation:
    """One kind of damage and how strong it is."""

    kind: str  # a key of KINDS
    amount: float

    def __str__(self) -> str:
        return f"{self.kind}:{self.amount:g}"


@dataclass(frozen=True, slots=True)
class _Kind:
    meaning: str
    least: float
    most: float
    harmless: float  # the amount that would change nothing, or next to nothing
    apply: Apply
    pointwise: bool = False  # changes each pixel by itself


def parse(text: str) -> tuple[Degradation, ...]:
    """`h264:35,blur:1` as degradations.

    SettingsError for an unknown kind or an amount out of range.
    """
    found = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        kind, _, amount = item.partition(":")
        if kind not in KINDS:
            raise SettingsError(
                f"unknown degradation {item!r}; known: {', '.join(KINDS)}, as in h264:35,blur:1"
            )
        known = KINDS[kind]
        try:
            value = float(amount)
        except ValueError:
            value = float("nan")
        if not known.least <= value <= known.most:
            raise SettingsError(
                f"{kind} takes {known.meaning}, from {known.least:g} to {known.most:g}; got "
                f"{amount!r}"
            )
        found.append(Degradation(kind, value))
    return tuple(found)


def degrade(
    crops: Sequence[Pixels], degradation: Degradation, native: Sequence[float | None]
) -> list[Pixels]:
    """Damage the crops of one person in order of time, and give them back at their size.

    Crops are uint8 RGB (s, s, 3).

    `native` is each crop's side in its video, px; None leaves a crop at the size it has.
    """
    kind = KINDS[degradation.kind]
    if kind.pointwise:
        return kind.apply(crops, degradation.amount)
    sides = [_side(crop, size) for crop, size in zip(crops, native, strict=True)]
    small = [resized(crop, side) for crop, side in zip(crops, sides, strict=True)]
    damaged = kind.apply(small, degradation.amount)
    return [_carried(*images) for images in zip(crops, small, damaged, strict=True)]


def _carried(crop: Pixels, small: Pixels, damaged: Pixels) -> Pixels:
    """The crop with what the damage changed.

    An enlarged picture would be blurred, and that is no damage of its kind.
    """
    change = resized(damaged, small.shape[0]).astype(np.float32) - small
    side = crop.shape[0]
    if side != small.shape[0]:
        change = cv2.resize(change, (side, side), interpolation=cv2.INTER_LINEAR)
    return _to_uint8(crop + change)


def severity(degradation: Degradation) -> float:
    """How far an amount is from harmless, for ordering the amounts of one kind."""
    return abs(degradation.amount - KINDS[degradation.kind].harmless)


def _side(crop: Pixels, size: float | None) -> int:
    # upscaling beyond the crop would invent detail that the crop has lost
    whole = int(crop.shape[0] if size is None else min(round(size), crop.shape[0]))
    return max(_SMALLEST, whole - whole % 2)  # codecs want even sides


def x264_options(crf: float) -> dict[str, str]:
    """Options of libx264 with which the same pictures become the same bytes every time.

    One thread, and no macroblock tree: with it frames of 12 to 15 blocks' width came out otherwise
    each time (libx264 of PyAV 18, on a processor with AVX-512; with AVX2 alone they did not).
    """
    return {"crf": f"{crf:g}", "threads": "1", "x264-params": "mbtree=0"}


def _h264(crops: Sequence[Pixels], crf: float) -> list[Pixels]:
    """Through libx264 as one clip; its frames all have the side of the first crop."""
    side = crops[0].shape[0]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options=x264_options(crf))
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        for crop in crops:
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(resized(crop, side)), format="rgb24"
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as clip:
        decoded = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    return [np.asarray(image, dtype=np.uint8) for image in decoded]


def _each(damage: Callable[[Pixels, float], Pixels]) -> Apply:
    """A damage to single pictures, done to several."""
    return lambda images, amount: [damage(image, amount) for image in images]


def _jpeg(image: Pixels, quality: float) -> Pixels:
    return jpeg(image, round(quality))


def _smaller(image: Pixels, factor: float) -> Pixels:
    height, width = image.shape[:2]
    small = scaled(image, max(2, round(width * factor)), max(2, round(height * factor)))
    return scaled(small, width, height)


def _fitted(image: Pixels, side: float) -> Pixels:
    """Scaled down until the shorter side has so many px; what is smaller already stays."""
    height, width = image.shape[:2]
    factor = side / min(height, width)
    if factor >= 1:
        return image
    return scaled(image, max(2, round(width * factor)), max(2, round(height * factor)))


def _noise(image: Pixels, sigma: float) -> Pixels:
    return noise(image, sigma, own_rng(image))


def _brightness(image: Pixels, factor: float) -> Pixels:
    return relit(image, brightness(LEVELS, factor))


def _gamma(image: Pixels, exponent: float) -> Pixels:
    return relit(image, gamma(LEVELS, exponent))


def _to_uint8(values: npt.NDArray[np.floating[Any]]) -> Pixels:
    clipped: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return clipped


KINDS = {
    "h264": _Kind("a constant rate factor of libx264", 0, 51, 0, _h264),
    "jpeg": _Kind("a JPEG quality", 1, 100, 100, _each(_jpeg)),
    "resize": _Kind("a factor down and up (0.5 makes 360p of 720p)", 0.05, 1, 1, _each(_smaller)),
    "fit": _Kind("the shorter side of what is larger, px", 16, 8192, 8192, _each(_fitted)),
    "blur": _Kind("the sigma of a Gaussian, px of the video", 0.1, 50, 0, _each(blur)),
    "noise": _Kind("the sigma of added noise, in levels of 255", 0.1, 128, 0, _each(_noise)),
    "brightness": _Kind("a factor", 0.05, 5, 1, _each(_brightness), pointwise=True),
    "gamma": _Kind("an exponent", 0.1, 10, 1, _each(_gamma), pointwise=True),
}

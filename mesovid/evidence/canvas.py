"""Draws on pictures as codecs hold them, Y'CbCr 4:2:0, in place.

A conversion to RGB and back would cost more than the encoding.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from av.video.frame import VideoFrame

from mesovid.opencv import cv2
from mesovid.records import Box, Pixels

Plane = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]  # RGB
FORMAT = "yuv420p"
WHITE, BLACK, GREY = (255, 255, 255), (0, 0, 0), (185, 191, 200)
DASH = 4  # thicknesses of a line
_FONT = cv2.FONT_HERSHEY_SIMPLEX


class Canvas:
    """The planes of one picture in 4:2:0, which is changed.

    Places are in px of the picture. What lies outside is cut off.
    """

    def __init__(self, picture: VideoFrame) -> None:
        self.width, self.height = picture.width, picture.height
        half = (-(-self.height // 2), -(-self.width // 2))
        shapes = ((self.height, self.width), half, half)
        self._planes = [
            np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: shape[0], : shape[1]]  # type: ignore[call-overload]
            for plane, shape in zip(picture.planes, shapes, strict=True)
        ]

    def frame(self, box: Box, colour: Colour, thickness: int, *, dashed: bool = False) -> None:
        """The outline of a box, between two dark lines."""
        left, top, right, bottom = (round(value) // 2 * 2 for value in box)
        for inset, shade, wide in ((-2, BLACK, thickness + 4), (0, colour, thickness)):
            sides = (
                (left + inset, right - inset, top + inset, top + inset + wide, True),
                (left + inset, right - inset, bottom - inset - wide, bottom - inset, True),
                (left + inset, left + inset + wide, top + inset, bottom - inset, False),
                (right - inset - wide, right - inset, top + inset, bottom - inset, False),
            )
            for x0, x1, y0, y1, lies in sides:
                self._fill(x0, x1, y0, y1, shade, (DASH * thickness if dashed else 0), lies)

    def paste(self, tile: tuple[Plane, Plane, Plane], left: int, top: int) -> None:
        """A picture that `tile` made, with its upper left corner near a place."""
        left, top = left // 2 * 2, top // 2 * 2
        for number, (plane, piece) in enumerate(zip(self._planes, tile, strict=True)):
            x, y = (left, top) if number == 0 else (left // 2, top // 2)
            height, width = piece.shape
            x0, y0 = max(x, 0), max(y, 0)
            x1, y1 = min(x + width, plane.shape[1]), min(y + height, plane.shape[0])
            if x0 < x1 and y0 < y1:
                plane[y0:y1, x0:x1] = piece[y0 - y : y1 - y, x0 - x : x1 - x]

    def _fill(
        self, x0: int, x1: int, y0: int, y1: int, colour: Colour, dash: int, lies: bool
    ) -> None:
        """A filled rectangle.

        With `dash` only half of it, in pieces of that length along its longer side.
        """
        for number, (plane, value) in enumerate(zip(self._planes, stored(colour), strict=True)):
            part = 1 if number == 0 else 2
            height, width = plane.shape
            xs = slice(min(max(x0 // part, 0), width), min(max(x1 // part, 0), width))
            ys = slice(min(max(y0 // part, 0), height), min(max(y1 // part, 0), height))
            if not dash:
                plane[ys, xs] = value
            elif lies:
                plane[ys, _dashes(xs.start, xs.stop, dash // part)] = value
            else:
                plane[_dashes(ys.start, ys.stop, dash // part), xs] = value


def _dashes(start: int, stop: int, length: int) -> npt.NDArray[np.intp]:
    places: npt.NDArray[np.intp] = np.arange(start, stop)
    drawn: npt.NDArray[np.intp] = places[places // length % 2 == 0]
    return drawn


@lru_cache(256)
def stored(colour: Colour) -> tuple[int, int, int]:
    """Y', Cb and Cr of a colour, in the narrow range of BT.601.

    BT.709's differ too little to show in a line.
    """
    pixel = np.full((2, 2, 3), colour, np.uint8)
    planes = cv2.cvtColor(pixel, cv2.COLOR_RGB2YUV_I420)
    y, u, v = int(planes[0, 0]), int(planes[2, 0]), int(planes[2, 1])
    return y, u, v


def tile(image: Pixels) -> tuple[Plane, Plane, Plane]:
    """An RGB picture with even sides, to be pasted."""
    height, width = image.shape[:2]
    planes = np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2YUV_I420), np.uint8)
    colour = planes[height:].reshape(2, height // 2, width // 2)
    return planes[:height], colour[0], colour[1]


@lru_cache(512)
def label(text: str, mark: Colour, height: int) -> tuple[Plane, Plane, Plane]:
    """White words on black behind a patch of colour, `height` px high."""
    scale = height / 32
    thickness = max(1, round(height / 20))
    (wide, _), _ = cv2.getTextSize(text, _FONT, scale, thickness)
    image = np.zeros((height, (wide + height + height // 2) // 2 * 2, 3), np.uint8)
    image[:, : height // 2] = mark
    place = (height // 2 + height // 4, round(0.72 * height))
    cv2.putText(image, text, place, _FONT, scale, WHITE, thickness, cv2.LINE_AA)
    return tile(image)


@lru_cache(256)
def score_bar(
    probability: float | None,
    text: str,
    threshold: float,
    band: tuple[float, float] | None,
    zones: tuple[Colour, Colour],
    size: tuple[int, int],
) -> tuple[Plane, Plane, Plane]:
    """A strip of `size` (width, height).

    It holds words, and the line from real to fake with a mark at the score.
    """
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    scale, thickness = height / 40, max(1, round(height / 26))
    free = width - height // 2
    if probability is not None:
        left, right = round(0.62 * width), round(0.93 * width)
        top, bottom = round(0.3 * height), round(0.7 * height)
        ends = [
            round(left + share * (right - left))
            for share in (0.0, *(band or (threshold, threshold)), 1.0)
        ]
        for start, end, colour in zip(ends, ends[1:], (zones[0], GREY, zones[1]), strict=False):
            image[top:bottom, start:end] = colour
        x, half = round(left + probability * (right - left)), max(2, height // 14)
        image[:, x - half - 2 : x + half + 2] = BLACK
        image[round(0.1 * height) : round(0.9 * height), x - half : x + half] = WHITE
        room = width - right - height // 2
        _write(image, "real", left - height // 4, 0.8 * scale, thickness, room, right=True)
        _write(image, "fake", right + height // 4, 0.8 * scale, thickness, room)
        free = left - room - height
    _write(image, text, height // 4, scale, thickness, free)
    return tile(image)


def _write(
    image: Pixels,
    text: str,
    x: int,
    scale: float,
    thickness: int,
    room: int,
    *,
    right: bool = False,
) -> None:
    """Words in a strip, from `x` on or, with `right`, up to it, as large as there is room."""
    (wide, high), _ = cv2.getTextSize(text, _FONT, scale, thickness)
    if wide > room > 0:
        scale *= room / wide
        (wide, high), _ = cv2.getTextSize(text, _FONT, scale, thickness)
    place = (x - wide if right else x, (image.shape[0] + high) // 2)
    cv2.putText(image, text, place, _FONT, scale, WHITE, thickness, cv2.LINE_AA)

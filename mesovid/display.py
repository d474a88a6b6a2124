"""Decoded pictures as a player shows them: the right way round, with square pixels, in RGB."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from mesovid.errors import InputError
from mesovid.opencv import cv2
from mesovid.records import Pixels

Orientation = tuple[
    bool, bool, bool
]  # rows become columns; then left and right change sides; then top and bottom

EXIF = 31  # AV_FRAME_DATA_EXIF
AS_STORED = (False, False, False)
MATRICES = frozenset(
    [0, 1, 2, 4, 5, 6, 7, 9]
)  # of Y'CbCr to RGB, by their numbers in H.273, that swscale knows
UNSPECIFIED = 2
LEAST_ASPECT, MOST_ASPECT = Fraction(1, 4), Fraction(4)  # of pixels; anamorphic video has 1:2 to 35:12
NEARLY_SQUARE = Fraction(1, 100)  # from 1: resampling would cost more detail than it would put right
SIZES_NAMED = 4


class Display:
    """How the pictures of one video are shown. Each has its own size, pixel aspect and orientation.

    A picture that says nothing of its orientation has that of the first one: a message in a stream need not be repeated.
    """

    def __init__(self, first: VideoFrame) -> None:
        self._orientation = orientation(first) or AS_STORED
        self._reformatter = VideoReformatter()
        self._sizes: list[tuple[int, int]] = []  # width, height of the pictures shown; each change once
        self._absurd: Fraction | None = None  # a pixel aspect that was not believed

    def size(self, picture: VideoFrame, aspect: Fraction | None) -> tuple[int, int]:
        """Width and height of a picture on display; `aspect` is the width of its pixels over their height."""
        width, height = _square(picture.width, picture.height, aspect)
        transposed, _, _ = orientation(picture) or self._orientation
        return (height, width) if transposed else (width, height)

    def image(self, picture: VideoFrame, aspect: Fraction | None) -> Pixels:
        """The picture upright, (height, width, 3) RGB. InputError when its pixel format is not known here."""
        try:
            image = self._rgb(picture)
        except av.FFmpegError as error:
            raise InputError(f"pictures stored as {picture.format.name} cannot be shown") from error
        if aspect and not LEAST_ASPECT <= aspect <= MOST_ASPECT:
            self._absurd = aspect
        size = _square(picture.width, picture.height, aspect)
        if size != (picture.width, picture.height):
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
        image = _oriented(image, orientation(picture) or self._orientation)
        size = image.shape[1], image.shape[0]
        if self._sizes[-1:] != [size]:
            self._sizes.append(size)
        return image

    def forget(self) -> None:
        """Begin anew with what `warnings` tells."""
        self._sizes.clear()
        self._absurd = None

    def warnings(self) -> Iterator[str]:
        """What was odd about the pictures shown so far, a sentence each."""
        if len(self._sizes) > 1:
            sizes = [f"{width}x{height}" for width, height in self._sizes[:SIZES_NAMED]]
            more = ["and so on"] * (len(self._sizes) > SIZES_NAMED)
            yield f"the video changes its size: {', '.join(sizes + more)}"
        if self._absurd is not None:
            ratio = f"{self._absurd.numerator}:{self._absurd.denominator}"
            yield f"the video says that its pixels are {ratio} wide; they are taken for square ones"

    def _rgb(self, picture: VideoFrame) -> Pixels:
        """The picture as stored."""
        if picture.colorspace not in MATRICES:
            picture.colorspace = UNSPECIFIED
        rgb = self._reformatter.reformat(picture, picture.width, picture.height, "rgb24", threads=1)
        return np.asarray(rgb.to_ndarray(), np.uint8)


def orientation(picture: VideoFrame) -> Orientation | None:
    """The nearest of the eight orientations to what the display matrix of the picture asks for; None when it has none.

    The matrix sends a pixel at (x, y) to (a x + c y, b x + d y); one that asks for no turn by quarters, as of a camera held
    askew, gives the nearest that does.
    """
    content = _matrix(picture)
    if content is None:
        return None
    a, b, _, c, d, *_ = np.frombuffer(content, np.int32, 9).tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return False, a < 0, d < 0
    return True, c < 0, b < 0


def _matrix(picture: VideoFrame) -> bytes | None:
    """Nine numbers of 32 bits, row by row."""
    try:
        # `picture.side_data` would do, but refers to the picture that keeps it: neither is freed at once
        return bytes(SideDataContainer(picture)[Type.DISPLAYMATRIX])  # type: ignore[call-arg]
    except KeyError:
        return None
    except (
        ValueError
    ):  # there is data beside the picture that this PyAV has no name for: an EXIF block, in motion JPEG
        picture = _without_exif(picture)
    try:
        return bytes(SideDataContainer(picture)[Type.DISPLAYMATRIX])  # type: ignore[call-arg]
    except (KeyError, ValueError):
        return None


def _without_exif(picture: VideoFrame) -> VideoFrame:
    graph = Graph()
    source = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format, time_base=Fraction(1, 1000)
    )
    graph.link_nodes(source, graph.add("sidedata", f"mode=delete:type={EXIF}"), graph.add("buffersink"))
    graph.configure()
    graph.vpush(picture)
    return graph.vpull()


def _oriented(image: Pixels, wanted: Orientation) -> Pixels:
    transposed, mirrored, upside_down = wanted
    if transposed:
        image = image.transpose(1, 0, 2)
    if mirrored:
        image = image[:, ::-1]
    if upside_down:
        image = image[::-1]
    return np.ascontiguousarray(image)


def _square(width: int, height: int, aspect: Fraction | None) -> tuple[int, int]:
    """The size at which pixels are square. One side grows, so that nothing is lost."""
    if not aspect or not LEAST_ASPECT <= aspect <= MOST_ASPECT or abs(aspect - 1) < NEARLY_SQUARE:
        return width, height
    if aspect > 1:
        return max(round(width * aspect), 1), height
    return width, max(round(height / aspect), 1)

"""Turns decoded pictures into what a player shows.

They are upright and progressive, with square pixels, in SDR and RGB.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
import numpy.typing as npt
from av.filter import Graph
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from mesovid import tones
from mesovid.cropping import NO_CROP, Crop
from mesovid.errors import InputError
from mesovid.fields import Separator, woven
from mesovid.opencv import cv2
from mesovid.records import Pixels

RGB = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]  # (height, width, 3)
# rows become columns; then left and right change sides; then top and bottom
Orientation = tuple[bool, bool, bool]

FULL_RANGE = 2  # AVCOL_RANGE_JPEG
EXIF = 31  # AV_FRAME_DATA_EXIF
AS_STORED = (False, False, False)
# of Y'CbCr to RGB, by their numbers in H.273, that swscale knows
MATRICES = frozenset([0, 1, 2, 4, 5, 6, 7, 9])
UNSPECIFIED, YCGCO, BT2020, BT2020_CONSTANT = 2, 8, 9, 10
STRANGE_MATRICES = range(BT2020_CONSTANT, 18)  # defined, but of colours that are rarely stored so
# of pixels; anamorphic video has 1:2 to 35:12
LEAST_ASPECT, MOST_ASPECT = (Fraction(1, 4), Fraction(4))
# from 1: resampling would cost more detail than it would put right
NEARLY_SQUARE = Fraction(1, 100)
SIZES_NAMED = 4


class Colours(NamedTuple):
    """How colours are stored, by the numbers of ITU-T H.273."""

    color_trc: int
    color_primaries: int
    colorspace: int


class Display:
    """How the pictures of one video are shown. Each has its own size, pixel aspect and orientation.

    A picture that says nothing of its orientation has that of the first one: a message in a stream
    need not be repeated.
    """

    def __init__(self, first: VideoFrame, colours: Colours, crop: Crop = NO_CROP) -> None:
        """Set up from what the container says.

        `colours` serve pictures that say nothing of theirs; `crop` is what the container hides.
        """
        self._crop = crop
        self._colours = colours
        self._orientation = orientation(first) or AS_STORED
        self._reformatter = VideoReformatter()
        self._separator = Separator()
        # by transfer characteristic and primaries
        self._tone_maps: dict[tuple[int, int], tones.ToneMap] = {}
        # width, height of the pictures shown; each change once
        self._sizes: list[tuple[int, int]] = []
        self._absurd: Fraction | None = None  # a pixel aspect that was not believed
        self._combed = 0  # pictures of two fields that differ
        self.unreliable: str | None = None  # why the pictures cannot be relied on

    def size(self, picture: VideoFrame, aspect: Fraction | None) -> tuple[int, int]:
        """Width and height of a picture on display.

        `aspect` is the width of its pixels over their height.
        """
        left, top, right, bottom = self._crop_of(picture)
        width, height = _square(picture.width - left - right, picture.height - top - bottom, aspect)
        transposed, _, _ = orientation(picture) or self._orientation
        return (height, width) if transposed else (width, height)

    def image(self, picture: VideoFrame, aspect: Fraction | None) -> Pixels:
        """The picture upright, (height, width, 3) RGB.

        InputError when its pixel format is not known here.
        """
        try:
            image = self._in_sdr(picture)
        except av.FFmpegError as error:
            raise InputError(f"pictures stored as {picture.format.name} cannot be shown") from error
        if aspect and not LEAST_ASPECT <= aspect <= MOST_ASPECT:
            self._absurd = aspect
        left, top, right, bottom = self._crop_of(picture)
        image = image[top : image.shape[0] - bottom, left : image.shape[1] - right]
        height, width = image.shape[:2]
        size = _square(width, height, aspect)
        if size != (width, height):
            method = cv2.INTER_CUBIC if size[0] > width else cv2.INTER_AREA
            image = np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)
        image = _oriented(image, orientation(picture) or self._orientation)
        size = image.shape[1], image.shape[0]
        if self._sizes[-1:] != [size]:
            self._sizes.append(size)
        return image

    def _crop_of(self, picture: VideoFrame) -> Crop:
        """What is hidden of a picture.

        Nothing of one that is too small for that, in a stream that changes its size.
        """
        left, top, right, bottom = self._crop
        fits = left + right < picture.width and top + bottom < picture.height
        return self._crop if fits else NO_CROP

    def forget(self) -> None:
        """Begin anew with what `warnings` tells."""
        self._sizes.clear()
        self._absurd, self._combed, self.unreliable = None, 0, None

    def warnings(self) -> Iterator[str]:
        """What was odd about the pictures shown so far, a sentence each."""
        if len(self._sizes) > 1:
            sizes = [f"{width}x{height}" for width, height in self._sizes[:SIZES_NAMED]]
            more = ["and so on"] * (len(self._sizes) > SIZES_NAMED)
            yield f"the video changes its size: {', '.join(sizes + more)}"
        for transfer, _ in self._tone_maps:
            if transfer in tones.TRANSFERS:
                yield (
                    f"the video is in {tones.TRANSFERS[transfer][0]}; its tones are mapped to "
                    "SDR, as players do"
                )
        if self._combed:
            yield (
                f"{self._combed} frames are interlaced: what moves in them is shown by one of "
                "their two fields"
            )
        if self.unreliable is not None:
            yield self.unreliable
        if self._absurd is not None:
            ratio = f"{self._absurd.numerator}:{self._absurd.denominator}"
            yield f"the video says that its pixels are {ratio} wide; they are taken for square ones"

    def _in_sdr(self, picture: VideoFrame) -> Pixels:
        """The picture as stored, but for its tones."""
        for name, value in self._colours._asdict().items():
            if getattr(picture, name) == UNSPECIFIED:
                setattr(picture, name, value)
        key = picture.color_trc, picture.color_primaries
        # of CIE XYZ FFmpeg makes sRGB on its own
        if not tones.wanted(*key) or picture.format.name.startswith("xyz"):
            return np.asarray(self._progressive(picture, "rgb24"), np.uint8)
        if key not in self._tone_maps:
            self._tone_maps[key] = tones.ToneMap(*key)
        return self._tone_maps[key](np.asarray(self._progressive(picture, "rgb48le"), np.uint16))

    def _progressive(self, picture: VideoFrame, pixels: str) -> RGB:
        if not picture.interlaced_frame:
            return self._rgb(picture, pixels)
        if picture.height % 4:  # no two fields of 4:2:0
            whole = self._rgb(picture, pixels)
            upper, lower = whole[0::2], whole[1::2]
        else:
            upper, lower = (self._rgb(field, pixels) for field in self._separator(picture))
        image, combed = woven(upper, lower)
        self._combed += combed
        return image

    def _rgb(self, picture: VideoFrame, pixels: str) -> RGB:
        """The picture in RGB of 8 or 16 bits."""
        matrix = picture.colorspace
        if matrix not in MATRICES:
            picture.colorspace = BT2020 if matrix == BT2020_CONSTANT else UNSPECIFIED
            if matrix == YCGCO and not picture.format.is_rgb:
                return self._of_ycgco(picture, pixels)
            if matrix in STRANGE_MATRICES and not picture.format.is_rgb:
                self.unreliable = (
                    f"its colours are stored by matrix {matrix} of H.273, which mesovid cannot "
                    "convert"
                )
        rgb = self._reformatter.reformat(picture, picture.width, picture.height, pixels, threads=1)
        array = rgb.to_ndarray()
        return np.asarray(array, np.uint8) if pixels == "rgb24" else np.asarray(array, np.uint16)

    def _of_ycgco(self, picture: VideoFrame, pixels: str) -> RGB:
        """A picture in luma, green and orange differences, as screen recorders store it.

        swscale cannot convert it.
        """
        full = picture.color_range
        planes = self._reformatter.reformat(
            picture, format="yuv444p16le", src_color_range=full, dst_color_range=full, threads=1
        ).to_ndarray(channel_last=True)
        values = planes.astype(np.float32) - (0, 32768, 32768)
        if full != FULL_RANGE:
            values = (values - (4096, 0, 0)) * np.float32(65535 / 256) / (219, 224, 224)
        luma, green, orange = np.moveaxis(values, 2, 0)
        image = np.stack([luma - green + orange, luma + green, luma - green - orange], axis=2)
        image = np.clip(image, 0, 65535)
        if pixels == "rgb24":
            return np.asarray(np.rint(image / 257), np.uint8)
        return np.asarray(np.rint(image), np.uint16)


def orientation(picture: VideoFrame) -> Orientation | None:
    """The orientation, of eight, nearest to what the display matrix of the picture asks for.

    None when it has no matrix.

    The matrix sends a pixel at (x, y) to (a x + c y, b x + d y); one that asks for no turn by
    quarters, as of a camera held askew, gives the nearest that does.
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
        # `picture.side_data` would do, but refers to the picture that keeps it: neither is freed at
        # once
        return bytes(SideDataContainer(picture)[Type.DISPLAYMATRIX])  # type: ignore[call-arg]
    except KeyError:
        return None
    # there is data beside the picture that this PyAV has no name for: an EXIF block, in motion JPEG
    except ValueError:
        picture = _without_exif(picture)
    try:
        return bytes(SideDataContainer(picture)[Type.DISPLAYMATRIX])  # type: ignore[call-arg]
    except (KeyError, ValueError):
        return None


def _without_exif(picture: VideoFrame) -> VideoFrame:
    graph = Graph()
    source = graph.add_buffer(
        width=picture.width,
        height=picture.height,
        format=picture.format,
        time_base=Fraction(1, 1000),
    )
    graph.link_nodes(
        source, graph.add("sidedata", f"mode=delete:type={EXIF}"), graph.add("buffersink")
    )
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
    """The size at which pixels are square.

    Rows stay as they are, so that the height of a face means its resolution.
    """
    if not aspect or not LEAST_ASPECT <= aspect <= MOST_ASPECT or abs(aspect - 1) < NEARLY_SQUARE:
        return width, height
    return max(round(width * aspect), 1), height

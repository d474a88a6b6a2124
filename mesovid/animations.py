"""Animated PNG and WebP pictures as videos; those of other kinds FFmpeg reads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from mesovid.errors import InputError
from mesovid.pictures import (
    DAMAGED,
    LONGEST_ANIMATION,
    check_length,
    check_size,
    header,
    png_chunks,
    read_file,
    riff_chunks,
    to_srgb,
)
from mesovid.records import Frame, VideoInfo
from mesovid.settings import SampleSettings
from mesovid.timeline import Integers, Times, choose

SHORTEST = 0.01  # seconds; browsers show a frame that asks for no more for as long as...
USUAL = 0.1  # ...this
ANIMATED = frozenset(["png", "webp"])  # kinds that are read here
MOST_PIXELS = 2**26  # of a frame, several of which are held: 8192 x 8192
NO_KEYS: Integers = np.empty(0, np.int64)


def is_moving(path: Path, kind: str, beginning: bytes) -> bool:
    """Whether a picture of this kind that begins like this has two or more frames."""
    if kind == "gif":
        from PIL.GifImagePlugin import GifImageFile
        from PIL.Image import DecompressionBombError

        try:
            with GifImageFile(path) as image:
                return image.is_animated
        except (*DAMAGED, DecompressionBombError):
            return True  # FFmpeg knows more of damage
    if kind == "png":
        still = b"IDAT" in beginning and b"acTL" not in beginning
    elif kind == "webp":
        still = not _is_animated_webp(beginning)
    else:
        still = kind not in ("avif", "heif")
    if still:
        return False
    content = read_file(path)
    if kind in ("avif", "heif"):
        return _track_frames(content) > 1
    return len(list(islice(_durations(content, kind), 2))) > 1


class Animation:
    """An animated PNG or WebP as a video.

    Its frames are composed in order, because they cover each other in part.
    """

    unreliable = None
    tags: Mapping[str, str] = MappingProxyType({})

    def __init__(self, path: Path, kind: str) -> None:
        content = read_file(path)
        self._path = path
        self._kind = kind
        size, self._profile = header(content, kind)
        if size is not None:
            check_size(path, *size, MOST_PIXELS)
        durations = list(islice(_durations(content, kind), LONGEST_ANIMATION + 1))
        check_length(path, len(durations))
        ends = np.cumsum([duration if duration > SHORTEST else USUAL for duration in durations])
        self._times: Times = np.concatenate([[0.0], ends[:-1]])
        self._end = float(ends[-1])
        self.planned: int | None = None
        self._image = self._open()
        width, height = self._image.size
        check_size(path, width, height, MOST_PIXELS)
        count = len(durations)
        self.info = VideoInfo(str(path), width, height, count / self._end, count, self._end)

    def _open(self) -> Any:
        from PIL.PngImagePlugin import PngImageFile
        from PIL.WebPImagePlugin import WebPImageFile

        try:
            return (PngImageFile if self._kind == "png" else WebPImageFile)(self._path)
        except DAMAGED as error:
            raise InputError(
                f"{self._path}: not an animation that can be read; it is damaged or cut off"
            ) from error

    def frames(self, settings: SampleSettings, warnings: list[str]) -> Iterator[Frame]:
        """The chosen frames; notes in `warnings` what could not be read."""
        chosen = choose(self._times, self._end, NO_KEYS, settings).tolist()
        self.planned = len(chosen)
        if not chosen:
            raise InputError(
                f"{self._path}: no frame in the part asked for; the animation lasts "
                f"{self._end:.2f} s"
            )
        given = 0
        try:
            for index in chosen:
                frame = self._frame(index)
                given += 1
                yield frame
        except DAMAGED as error:
            if not given:
                raise InputError(
                    f"{self._path}: no frame of it can be read; it is damaged or cut off"
                ) from error
            warnings.append(
                f"{given} of {len(chosen)} frames could be read; the animation is damaged"
            )

    def frames_at(self, indices: Sequence[int]) -> Iterator[Frame]:
        """The frames with these numbers, in ascending order.

        Frames that are not there or cannot be read are left out.
        """
        with contextlib.suppress(*DAMAGED):
            yield from map(
                self._frame, sorted({index for index in indices if 0 <= index < len(self._times)})
            )

    def _frame(self, index: int) -> Frame:
        # a PNG may show another picture to those who know no animations
        self._image.seek(index + int(getattr(self._image, "default_image", False)))
        pixels = np.asarray(self._image.convert("RGB"), np.uint8)
        return Frame(index, float(self._times[index]), to_srgb(pixels, self._profile))

    def close(self) -> None:
        """Let go of the file."""
        self._image.close()


def _durations(content: bytes, kind: str) -> Iterator[float]:
    """Seconds that each frame of an animated PNG or WebP is shown; none for a still one."""
    if kind == "webp":
        for chunk, frame in riff_chunks(content) if _is_animated_webp(content) else ():
            if chunk == b"ANMF" and len(frame) >= 16:
                yield int.from_bytes(frame[12:15], "little") / 1000
        return
    animated = False
    for name, body in png_chunks(content):
        animated = animated or name == b"acTL"
        if name == b"IDAT" and not animated:
            return
        if name == b"fcTL" and len(body) >= 24:
            yield int.from_bytes(body[20:22]) / (int.from_bytes(body[22:24]) or 100)


def _track_frames(content: bytes) -> int:
    """How many frames the longest track of an AVIF or HEIC sequence has.

    A picture has no track: 0.
    """
    at, most = content.find(b"moov"), 0
    while at >= 0 and (at := content.find(b"stsz", at + 4)) >= 0:
        most = max(most, int.from_bytes(content[at + 12 : at + 16]))
    return most


def _is_animated_webp(beginning: bytes) -> bool:
    return beginning[12:16] == b"VP8X" and len(beginning) > 20 and bool(beginning[20] & 2)

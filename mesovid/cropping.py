"""The part of a video's pictures that its container says is to be shown.

PyAV does not tell it, so the few elements are read here: `PixelCrop...` of Matroska (RFC 9559,
5.1.4.1.28) and the clean aperture of QuickTime and MP4 (`clap`, ISO/IEC 14496-12, 12.1.4). Players
that show what they hide are the exception.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from av.video.stream import VideoStream

from mesovid.atoms import MOST_BOXES, boxes

SEGMENT, TRACKS, CLUSTER, TRACK, TRACK_TYPE, VIDEO = (
    0x18538067,
    0x1654AE6B,
    0x1F43B675,
    0xAE,
    0x83,
    0xE0,
)
CROP_LEFT, CROP_TOP, CROP_RIGHT, CROP_BOTTOM = 0x54CC, 0x54BB, 0x54DD, 0x54AA
VIDEO_TRACK = 1  # a TRACK_TYPE
MOST_BYTES = 1 << 22  # of a description of tracks
SAMPLE_ENTRY = 86  # bytes of a visual sample entry before its boxes


class Crop(NamedTuple):
    """Pixels that are not shown at each side of a stored picture."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0


NO_CROP = Crop()


def container_crop(path: Path, kind: str, stream: VideoStream) -> Crop:
    """What a container of this kind, by FFmpeg's name, hides of a stream's pictures."""
    try:
        with path.open("rb") as file:
            if "matroska" in kind:
                streams = [other.index for other in stream.container.streams.video]
                crops = list(_matroska_crops(file))
                place = streams.index(stream.index)
                crop = crops[place] if place < len(crops) else NO_CROP
            elif "mov" in kind:
                crop = _aperture(file, stream)
            else:
                return NO_CROP
    except (OSError, struct.error, ValueError):
        return NO_CROP
    shown = stream.width - crop.left - crop.right, stream.height - crop.top - crop.bottom
    return crop if min(crop) >= 0 and min(shown) > 0 else NO_CROP


# --- Matroska


def _matroska_crops(file: BinaryIO) -> Iterator[Crop]:
    """Of each video track, in order."""
    for tracks in _tracks(file):
        for track in _values(tracks, TRACK):
            kind = next(_values(track, TRACK_TYPE), b"")
            if int.from_bytes(kind) == VIDEO_TRACK:
                video = next(_values(track, VIDEO), b"")
                sides = (CROP_LEFT, CROP_TOP, CROP_RIGHT, CROP_BOTTOM)
                yield Crop(*(int.from_bytes(next(_values(video, side), b"")) for side in sides))


def _tracks(file: BinaryIO) -> Iterator[bytes]:
    """The description of the tracks, which lies before the first cluster."""
    for _ in range(MOST_BOXES):
        head = file.read(12)
        if len(head) < 2:
            return
        name, start = _number(head, 0, marked=True)
        size, start = _number(head, start, marked=False)
        file.seek(start - len(head), 1)
        if name == SEGMENT:
            continue  # into it
        if name == CLUSTER:
            return
        if name == TRACKS:
            yield file.read(min(size, MOST_BYTES))
            return
        file.seek(size, 1)


def _values(content: bytes, wanted: int) -> Iterator[bytes]:
    """The contents of those elements that have this name."""
    at = 0
    while at < len(content):
        name, at = _number(content, at, marked=True)
        size, at = _number(content, at, marked=False)
        if name == wanted:
            yield content[at : at + size]
        at += size


def _number(content: bytes, at: int, *, marked: bool) -> tuple[int, int]:
    """A number of variable length, and where it ends.

    Its first bits tell its length; a name keeps them, a size does not.
    """
    if at >= len(content) or not content[at]:
        raise ValueError("no number of EBML")
    length = 9 - content[at].bit_length()
    value = int.from_bytes(content[at : at + length])
    return value if marked else value & ~(1 << 7 * length), at + length


# --- QuickTime and MP4


def _aperture(file: BinaryIO, stream: VideoStream) -> Crop:
    """By the clean aperture of the track with the stream's number."""
    end = file.seek(0, 2)
    for movie in boxes(file, 0, end, b"moov"):
        for track in boxes(file, *movie, b"trak"):
            header = next(boxes(file, *track, b"tkhd"), None)
            if header is None or _track_number(file, header[0]) != stream.id:
                continue
            place: tuple[int, int] | None = track
            for name in (b"mdia", b"minf", b"stbl", b"stsd"):
                place = next(boxes(file, *place, name), None) if place else None
            if place is None:
                continue
            start = place[0] + 8  # version, flags, number of entries
            file.seek(start)
            (size,) = struct.unpack(">I", file.read(4))
            for aperture in boxes(file, start + SAMPLE_ENTRY, min(start + size, place[1]), b"clap"):
                file.seek(aperture[0])
                return _around(struct.unpack(">8i", file.read(32)), stream.width, stream.height)
    return NO_CROP


def _around(aperture: tuple[int, ...], width: int, height: int) -> Crop:
    """The crop that leaves an aperture.

    Width, height and the offset of its centre are fractions.
    """
    if not all(aperture[1::2]):
        return NO_CROP
    inner_width, inner_height, right, down = (
        numerator / denominator
        for numerator, denominator in zip(aperture[::2], aperture[1::2], strict=True)
    )
    left, top = round((width - inner_width) / 2 + right), round((height - inner_height) / 2 + down)
    return Crop(left, top, width - left - round(inner_width), height - top - round(inner_height))


def _track_number(file: BinaryIO, at: int) -> int:
    file.seek(at)
    version = file.read(1)
    file.seek(at + (20 if version == b"\1" else 12))
    return int.from_bytes(file.read(4))

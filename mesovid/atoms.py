"""The boxes of QuickTime and MP4 files (ISO/IEC 14496-12), and how many frames these claim to hold.

FFmpeg makes an entry of an index for each frame that a file claims, before it has seen one: a file
of a thousand bytes can ask for gigabytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

MOST_BOXES = 10_000  # on the way to one
MOST_PIECES = 250_000  # of a file, at its outermost; fragments of a second of ten hours are 72,000
MOST_FRAMES = 10_000_000  # of all tracks together: 24 hours at 100 frames a second
Place = tuple[int, int]  # where the content of a box begins and ends


def boxes(
    file: BinaryIO, start: int, end: int, wanted: bytes, most: int = MOST_BOXES
) -> Iterator[Place]:
    """Where the contents of the boxes with this name begin and end."""
    for name, begin, finish in all_boxes(file, start, end, most):
        if name == wanted:
            yield begin, finish


def all_boxes(
    file: BinaryIO, start: int, end: int, most: int = MOST_BOXES
) -> Iterator[tuple[bytes, int, int]]:
    """Each box's name, and where its content begins and ends."""
    for _ in range(most):
        if start + 8 > end:
            return
        file.seek(start)
        size, name = struct.unpack(">I4s", file.read(8))
        inner = start + 8
        if size == 1:  # a long one
            (size,) = struct.unpack(">Q", file.read(8))
            inner += 8
        if size == 0:  # the last one
            size = end - start
        if size < inner - start:
            return
        yield name, inner, min(start + size, end)
        start += size


def false_claim(path: Path) -> str | None:
    """What a file claims to hold that it cannot; None for one that claims nothing of the kind."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            most = min(end, MOST_FRAMES)  # a frame has a byte at least
            claimed = 0
            for number, (name, *place) in enumerate(all_boxes(file, 0, end, MOST_PIECES + 1)):
                if number == MOST_PIECES:
                    return f"more than {MOST_PIECES:,} pieces"
                if name in (b"moov", b"moof"):
                    claimed += _frames(file, name, (place[0], place[1]))
                if claimed > most:
                    return f"{claimed:,} frames in {end:,} bytes"
    except (OSError, struct.error):
        pass
    return None


def _frames(file: BinaryIO, kind: bytes, place: Place) -> int:
    if kind == b"moov":
        return sum(_track_frames(file, track) for track in boxes(file, *place, b"trak"))
    runs = (run for track in boxes(file, *place, b"traf") for run in boxes(file, *track, b"trun"))
    return sum(_number(file, begin + 4) for begin, _ in runs)


def _track_frames(file: BinaryIO, track: Place) -> int:
    """Frames of a track whose size is said once for all: those of others have a number each."""
    for media in boxes(file, *track, b"mdia"):
        for information in boxes(file, *media, b"minf"):
            for table in boxes(file, *information, b"stbl"):
                return sum(
                    _number(file, begin + 8)
                    for begin, _ in boxes(file, *table, b"stsz")
                    if _number(file, begin + 4) and not _is_plain_sound(file, media, table)
                )
    return 0


def _is_plain_sound(file: BinaryIO, media: Place, table: Place) -> bool:
    """Whether these are samples of sound without compression, which come in few pieces."""
    sound = any(
        _number(file, begin + 8) == int.from_bytes(b"soun")
        for begin, _ in boxes(file, *media, b"hdlr")
    )
    return sound and any(
        (_number(file, begin + 4), _number(file, begin + 12)) == (1, 1)
        for begin, _ in boxes(file, *table, b"stts")
    )


def _number(file: BinaryIO, at: int) -> int:
    file.seek(at)
    return int.from_bytes(file.read(4))

"""The first half of scanning and of extraction: from the frames of one video to aligned faces.

Frames are decoded in a thread and faces are found and followed in them (`find`), linked to people
and cut out (`cut_out`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

from mesovid.align import align
from mesovid.faces import FaceFinder
from mesovid.people import PeopleLinker
from mesovid.records import Crop, Face, Frame, FrameFaces
from mesovid.settings import Geometry
from mesovid.stopwatch import Stopwatch
from mesovid.video import prefetch

STAGES = ("decode", "wait", "detect", "align")  # that a stopwatch tells apart


@dataclass(frozen=True, slots=True, eq=False)
class FrameCrops:
    """A frame with its faces, and their crops in the same order."""

    found: FrameFaces
    shot: int  # by which frames between two cuts are told from others
    crops: tuple[Crop, ...]


def find(
    frames: Iterable[Frame], finder: FaceFinder, batch_size: int, watch: Stopwatch | None = None
) -> Generator[FrameFaces, None, None]:
    """The faces of each frame of one video, found while the next frames decode in a thread.

    Close it before the video.
    """
    watch = watch or Stopwatch(STAGES)
    decoded = prefetch(watch.each("decode", frames), batch_size)
    yield from watch.each("detect", finder.follow(watch.each("wait", decoded), batch_size))
    # the finder pulls its frames: its time includes the waiting for them
    watch.seconds["detect"] -= watch.seconds["wait"]


def cut_out(
    found: Iterable[FrameFaces],
    geometry: Geometry,
    watch: Stopwatch | None = None,
    *,
    apart: bool = False,
) -> Iterator[FrameCrops]:
    """The faces of one video's frames, in order of time, as crops that know their person.

    `apart` is for pictures, of which none follows another: each has people of its own.
    """
    watch = watch or Stopwatch(STAGES)
    linker = PeopleLinker()
    shot = 0
    for item in found:
        shot += item.cut
        if apart:
            linker = PeopleLinker()
        people = linker.link(item)
        with watch("align"):
            crops = tuple(
                _crop(item.frame, face, person, geometry)
                for face, person in zip(item.faces, people, strict=True)
            )
        yield FrameCrops(item, shot, crops)


def _crop(frame: Frame, face: Face, person: int, geometry: Geometry) -> Crop:
    pixels = align(frame.image, face.landmarks, geometry)
    return Crop(frame.index, frame.time, face, person, pixels)

"""The first half of scanning and of extraction: frames to aligned faces that know their person."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import mesovid
from mesovid.align import align
from mesovid.cli.extract import command as extract
from mesovid.crops import STAGES, cut_out, find
from mesovid.dataset.manifest import read_dataset
from mesovid.errors import InputError
from mesovid.faces import FaceFinder
from mesovid.records import Crop, Face, FaceScore, Frame, FrameFaces
from mesovid.settings import Geometry
from mesovid.stopwatch import Stopwatch

GEOMETRY = Geometry(size=32)
LANDMARKS = np.array([(30, 40), (60, 40), (45, 58), (35, 75), (55, 75)], np.float32)


def face(right: float = 0) -> Face:
    return Face((20, 20, 70, 90), 0.9, LANDMARKS).moved(right, 0)


def frame(index: int) -> Frame:
    return Frame(index, index / 10, np.full((120, 400, 3), 20 * index, np.uint8))


class EveryFrameShows:
    """A finder that finds the same faces in each frame."""

    def __init__(self, *faces: Face) -> None:
        self._faces = faces

    def follow(self, frames: Iterable[Frame], _batch_size: int) -> Iterator[FrameFaces]:
        for each in frames:
            yield FrameFaces(each, self._faces, False)


def finder(*faces: Face) -> FaceFinder:
    return cast(FaceFinder, EveryFrameShows(*faces))


def test_crops_are_the_faces_of_each_frame_in_its_order() -> None:
    found = [FrameFaces(frame(0), (), False), FrameFaces(frame(1), (face(200), face()), False)]
    first, second = cut_out(found, GEOMETRY)
    assert first.crops == ()
    assert [(crop.index, crop.time, crop.person) for crop in second.crops] == [
        (1, 0.1, 0),
        (1, 0.1, 1),
    ]
    for crop, shown in zip(second.crops, found[1].faces, strict=True):
        assert crop.face is shown
        expected = align(found[1].frame.image, shown.landmarks, GEOMETRY)
        np.testing.assert_array_equal(crop.pixels, expected)


def test_a_cut_parts_shots_and_people() -> None:
    cuts = [False, False, True, False]
    found = [FrameFaces(frame(i), (face(),), cut) for i, cut in enumerate(cuts)]
    assert [(each.shot, each.crops[0].person) for each in cut_out(found, GEOMETRY)] == [
        (0, 0),
        (0, 0),
        (1, 1),
        (1, 1),
    ]


def test_pictures_have_people_of_their_own() -> None:
    found = [FrameFaces(frame(i), (face(), face(200)), True) for i in range(3)]
    apart = list(cut_out(found, GEOMETRY, apart=True))
    assert [[crop.person for crop in each.crops] for each in apart] == 3 * [[0, 1]]
    assert len({each.shot for each in apart}) == 3


def test_frames_come_in_order_and_their_stages_are_timed() -> None:
    watch = Stopwatch(STAGES)
    found = find(map(frame, range(5)), finder(face()), 2, watch)
    crops = [crop for each in cut_out(found, GEOMETRY, watch) for crop in each.crops]
    assert [crop.index for crop in crops] == [0, 1, 2, 3, 4]
    assert tuple(watch.seconds) == STAGES
    assert all(watch.seconds[stage] > 0 for stage in ("decode", "wait", "align"))


def test_closing_ends_the_thread_that_decodes() -> None:
    before = set(threading.enumerate())
    found = find(repeat(frame(0)), finder(face()), 2)
    next(found)
    (decoding,) = set(threading.enumerate()) - before
    found.close()
    assert not decoding.is_alive()


def test_a_frame_that_cannot_be_decoded_ends_it_with_its_error() -> None:
    def frames() -> Iterator[Frame]:
        yield frame(0)
        raise InputError("clip.mp4: cut off")

    found = find(frames(), finder(face()), 4)
    assert next(found).frame.index == 0
    with pytest.raises(InputError, match="cut off"):
        next(found)


def test_extraction_cuts_the_very_faces_that_a_scan_scores(
    tmp_path: Path, astronaut: np.ndarray
) -> None:
    (tmp_path / "set/real").mkdir(parents=True)
    clip = tmp_path / "set/real/astronaut.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"FFV1"), 10, (400, 360))
    for step in range(0, 40, 8):
        picture = np.ascontiguousarray(astronaut[:360, step : step + 400, ::-1])
        writer.write(picture)
    writer.release()
    scored: list[Crop] = []

    def keep(_: str, crops: list[Crop], __: list[FaceScore]) -> None:
        scored.extend(crops)

    mesovid.Scanner(frames=5).scan(clip, on_crops=keep)
    out = tmp_path / "out"
    words = [str(tmp_path / "set"), "-o", str(out), "--frames", "5", "--workers", "0", "-q"]
    assert CliRunner().invoke(extract, words).exit_code == 0
    dataset = read_dataset(out)
    assert len(dataset.crops) == len(scored) == 5
    for entry, crop in zip(dataset.crops, scored, strict=True):
        kept = cv2.imread(str(dataset.path(entry)))[..., ::-1]
        np.testing.assert_array_equal(kept, crop.pixels)
        assert (entry.frame, entry.person) == (crop.index, crop.person)
        assert entry.box == tuple(round(float(place), 2) for place in crop.face.box)

"""Faces are linked into persons over time, and two people never share an id."""

from __future__ import annotations

import numpy as np
import pytest

from mesovid.boxes import overlap
from mesovid.people import PATIENCE, PeopleLinker
from mesovid.records import Box, Face, Frame, FrameFaces


def seen(*boxes: Box, cut: bool = False, size: int = 1) -> FrameFaces:
    frame = Frame(0, 0.0, np.zeros((size, 2 * size, 3), np.uint8))
    faces = tuple(Face(box, 0.99, np.zeros((5, 2), np.float32)) for box in boxes)
    return FrameFaces(frame, faces, cut)


def at(x: float, y: float = 0.0, side: float = 100.0) -> Box:
    return (x, y, x + side, y + side)


def test_one_moving_person_keeps_the_id() -> None:
    linker = PeopleLinker()
    assert [linker.link(seen(at(30.0 * step))) for step in range(10)] == [(0,)] * 10


def test_two_people_keep_their_ids_when_their_order_changes() -> None:
    linker = PeopleLinker()
    assert linker.link(seen(at(0), at(300))) == (0, 1)
    assert linker.link(seen(at(310), at(10))) == (1, 0)


def test_a_person_stays_the_same_when_the_frame_grows() -> None:
    linker = PeopleLinker()
    assert linker.link(seen(at(0), at(200), size=300)) == (0, 1)
    assert linker.link(seen(at(800, side=400), at(0, side=400), size=1200)) == (1, 0)
    assert linker.link(seen(size=600)) == ()
    assert linker.link(seen(at(0), at(200), size=300)) == (0, 1)


def test_a_newcomer_gets_a_new_id() -> None:
    linker = PeopleLinker()
    linker.link(seen(at(0)))
    assert linker.link(seen(at(5), at(400))) == (0, 1)


def test_a_cut_makes_everybody_new() -> None:
    linker = PeopleLinker()
    linker.link(seen(at(0)))
    assert linker.link(seen(at(0), cut=True)) == (1,)


@pytest.mark.parametrize(
    ("missing", "expected"), [(PATIENCE, (0,)), (PATIENCE + 1, (1,))], ids=["patient", "forgotten"]
)
def test_a_person_out_of_sight_is_remembered_for_a_while(
    missing: int, expected: tuple[int, ...]
) -> None:
    linker = PeopleLinker()
    linker.link(seen(at(0)))
    for _ in range(missing):
        linker.link(seen())
    assert linker.link(seen(at(0))) == expected


def test_a_face_of_another_size_is_somebody_else() -> None:
    linker = PeopleLinker()
    linker.link(seen(at(0)))
    assert linker.link(seen(at(20, 20, side=40))) == (1,)


def test_a_person_takes_the_nearer_of_two_faces() -> None:
    linker = PeopleLinker()
    linker.link(seen(at(0)))
    assert linker.link(seen(at(60), at(10))) == (1, 0)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (at(0), at(0), 1.0),
        (at(0), at(50), 1 / 3),
        (at(0), at(100), 0.0),
        (at(0), at(0, side=50), 0.25),
    ],
    ids=["same", "half", "touching", "inside"],
)
def test_overlap(a: Box, b: Box, expected: float) -> None:
    assert overlap(a, b) == pytest.approx(expected)
    assert overlap(b, a) == pytest.approx(expected)

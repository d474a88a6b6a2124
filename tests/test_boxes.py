"""Where boxes and faces go: laws of moving, scaling and going between."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesovid.boxes import Box, area, between, distance, moved, overlap, scaled, side
from mesovid.records import Face

places = st.floats(-2000, 8000)
sizes = st.floats(1, 4000)
boxes = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), places, places, sizes, sizes)
factors = st.floats(0.1, 10)
FINE = 1e-9  # px, far above the rounding of a place in a picture


def face(box: Box, confidence: float = 0.9) -> Face:
    """A face with its landmarks spread over its box."""
    left, top, right, bottom = box
    spread = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)])
    landmarks = np.array([left, top]) + spread * [right - left, bottom - top]
    return Face(box, confidence, landmarks.astype(np.float32))


@given(boxes, boxes)
def test_a_way_begins_at_one_box_and_ends_at_the_other(a: Box, b: Box) -> None:
    assert between(a, b, 0) == a
    assert between(a, b, 1) == pytest.approx(b, abs=FINE)


@given(boxes, boxes, st.floats(0, 1))
def test_a_box_on_its_way_lies_between(a: Box, b: Box, t: float) -> None:
    for first, here, last in zip(a, between(a, b, t), b, strict=True):
        assert min(first, last) - FINE <= here <= max(first, last) + FINE
        assert here - first == pytest.approx((last - first) * t, abs=FINE)


@given(boxes, st.floats(0, 1))
def test_what_does_not_move_stays_to_the_last_bit(box: Box, t: float) -> None:
    assert between(box, box, t) == box
    here = face(box)
    np.testing.assert_array_equal(here.between(here, t).landmarks, here.landmarks)


@given(boxes, boxes, st.floats(0, 1))
def test_a_face_goes_with_its_box_and_its_landmarks(a: Box, b: Box, t: float) -> None:
    first, last = face(a, 0.9), face(b, 0.7)
    here = first.between(last, t)
    assert here.box == between(a, b, t)
    assert here.confidence == 0.7
    assert here.landmarks.dtype == np.float32
    np.testing.assert_allclose(here.landmarks, face(here.box).landmarks, atol=5e-3)
    np.testing.assert_array_equal(first.between(last, 0).landmarks, first.landmarks)
    np.testing.assert_allclose(first.between(last, 1).landmarks, last.landmarks, atol=5e-3)


@given(boxes, factors, factors)
def test_a_face_scaled_lies_where_it_lies_in_the_scaled_picture(
    box: Box, across: float, down: float
) -> None:
    here = face(box).scaled(across, down)
    assert here.box == scaled(box, across, down)
    np.testing.assert_allclose(here.landmarks, face(here.box).landmarks, rtol=1e-4, atol=0.1)
    assert here.area == pytest.approx(area(box) * across * down, rel=1e-6)
    assert scaled(here.box, 1 / across, 1 / down) == pytest.approx(box, rel=1e-9, abs=FINE)


@given(boxes, places, places)
def test_a_face_moved_keeps_its_size(box: Box, right: float, down: float) -> None:
    here = face(box).moved(right, down)
    assert here.box == moved(box, right, down)
    assert here.side == pytest.approx(side(box), abs=1e-6)
    np.testing.assert_allclose(here.landmarks, face(here.box).landmarks, atol=5e-3)


def test_a_face_is_moved_by_different_lengths_each_way() -> None:
    assert face((10, 20, 30, 60)).moved(1, -5).box == (11, 15, 31, 55)
    assert face((10, 20, 30, 60)).scaled(2, 0.5).box == (20, 10, 60, 30)
    assert (face((10, 20, 30, 60)).side, face((10, 20, 30, 60)).area) == (40, 800)


@given(boxes, boxes)
def test_overlap_is_a_fraction_and_the_same_both_ways(a: Box, b: Box) -> None:
    assert 0 <= overlap(a, b) <= 1 + FINE
    assert overlap(a, b) == pytest.approx(overlap(b, a), abs=FINE)
    assert overlap(a, a) == pytest.approx(1)
    assert distance(a, b) == pytest.approx(distance(b, a), abs=FINE)

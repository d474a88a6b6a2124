"""Aligned crops put the face where the geometry says."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesovid.align import align, detail, transform
from mesovid.settings import Geometry

UPRIGHT = np.array([[80, 100], [120, 100], [100, 125], [85, 145], [115, 145]], dtype=np.float32)


def mapped(landmarks: np.ndarray, geometry: Geometry) -> np.ndarray:
    matrix = transform(landmarks, geometry)
    return landmarks @ matrix[:, :2].T + matrix[:, 2]


def turned(
    landmarks: np.ndarray, degrees: float, zoom: float = 1.0, shift: tuple[float, float] = (0, 0)
) -> np.ndarray:
    angle = np.radians(degrees)
    rotation = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (landmarks @ rotation.T + shift).astype(np.float32)


def test_centre_of_the_crop_lies_between_eyes_and_nose() -> None:
    geometry = Geometry(scale=3.0, centre=0.5)
    matrix = transform(UPRIGHT, geometry)
    point = np.array([100.0, 112.5])  # half way from the eyes' centre to the nose
    np.testing.assert_allclose(matrix[:, :2] @ point + matrix[:, 2], [127.5, 127.5])


def test_side_is_scale_times_the_larger_measure_of_the_face() -> None:
    eyes_to_mouth = 45.0  # px, more than the eyes' distance of 40
    matrix = transform(UPRIGHT, Geometry(scale=3.0))
    assert np.hypot(matrix[0, 0], matrix[0, 1]) == pytest.approx(256 / (3.0 * eyes_to_mouth))


@given(
    degrees=st.floats(-180, 180),
    zoom=st.floats(0.3, 5),
    shift=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
def test_turned_scaled_and_moved_faces_give_the_same_crop(
    degrees: float, zoom: float, shift: tuple[float, float]
) -> None:
    geometry = Geometry()
    np.testing.assert_allclose(
        mapped(turned(UPRIGHT, degrees, zoom, shift), geometry),
        mapped(UPRIGHT, geometry),
        atol=0.05,
    )


def test_roll_stays_when_asked() -> None:
    left, right = mapped(turned(UPRIGHT, 30), Geometry(remove_roll=False))[:2]
    assert np.degrees(np.arctan2(right[1] - left[1], right[0] - left[0])) == pytest.approx(
        30, abs=1e-3
    )


def test_profile_face_stays_upright_though_its_eyes_coincide() -> None:
    profile = np.array(
        [[100, 101], [100, 100], [120, 125], [108, 145], [108, 146]], dtype=np.float32
    )
    mouth, eyes = (
        mapped(profile, Geometry())[3:].mean(axis=0),
        mapped(profile, Geometry())[:2].mean(axis=0),
    )
    direction = mouth - eyes
    assert direction[1] > 0
    assert abs(np.degrees(np.arctan2(direction[0], direction[1]))) < 15


@pytest.mark.parametrize("interpolation", ["linear", "cubic", "area"])
def test_pixels_land_where_the_transform_says(interpolation: str) -> None:
    # a picture whose red is x and whose green is y, so that a crop's pixels tell where they come
    # from
    image = np.zeros((200, 200, 3), dtype=np.uint8)
    image[..., 0], image[..., 1] = np.arange(200)[None, :], np.arange(200)[:, None]
    geometry = Geometry(scale=2.0, size=64, interpolation=interpolation)  # type: ignore[arg-type]
    crop = align(image, UPRIGHT, geometry)
    assert crop.shape == (64, 64, 3)
    matrix = np.linalg.inv(np.vstack([transform(UPRIGHT, geometry), [0, 0, 1]]))
    x, y, _ = matrix @ [40, 20, 1]
    np.testing.assert_allclose(crop[20, 40, :2], [x, y], atol=1.5)


def test_area_averages_where_linear_skips() -> None:
    stripes = np.zeros((1200, 1200, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    big = UPRIGHT * 6
    area = align(stripes, big, Geometry(interpolation="area", size=64))
    assert abs(float(area.mean()) - 127.5) < 2
    assert area.std() < 20


@pytest.mark.parametrize(
    ("border", "expected"), [("reflect", 200), ("replicate", 200), ("black", 0)]
)
def test_border_fills_what_lies_outside(border: str, expected: int) -> None:
    image = np.full((60, 60, 3), 200, dtype=np.uint8)
    crop = align(image, UPRIGHT - [70, 90], Geometry(border=border))  # type: ignore[arg-type]
    assert crop[0, 0, 0] == expected


def test_landmarks_in_one_point_give_a_crop_all_the_same() -> None:
    crop = align(np.full((50, 50, 3), 9, np.uint8), np.full((5, 2), 20, np.float32), Geometry())
    assert crop.shape == (256, 256, 3)


GEOMETRY = Geometry()
# px, in the portrait
EYES = np.array([[205, 101], [243, 101], [226, 124], [208, 141], [241, 141]], np.float32)


def portrait_detail(image: np.ndarray, zoom: float = 1.0, geometry: Geometry = GEOMETRY) -> float:
    landmarks = (EYES + 0.5) * zoom - 0.5
    value = detail(align(image, landmarks, geometry), geometry)
    assert value is not None
    return value


def test_detail_falls_with_blur(astronaut: np.ndarray) -> None:
    face = 100  # px, its width
    sharp = portrait_detail(astronaut)
    blurred = [
        portrait_detail(cv2.GaussianBlur(astronaut, (0, 0), share * face))
        for share in (0.01, 0.02, 0.04)
    ]
    assert sharp > 0.25
    assert sharp > blurred[0] > blurred[1] > blurred[2]
    assert blurred[1] < 0.15


@pytest.mark.parametrize(
    "change",
    [
        lambda image: (image * 0.5).astype(np.uint8),
        lambda image: (40 + image * 0.6).astype(np.uint8),
        lambda image: image[..., ::-1],
    ],
    ids=["darker", "flatter", "colours"],
)
def test_light_and_colour_leave_detail_as_it_is(
    astronaut: np.ndarray, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    changed = np.ascontiguousarray(change(astronaut))
    assert portrait_detail(changed) == pytest.approx(portrait_detail(astronaut), rel=0.1)


@pytest.mark.parametrize("zoom", [0.9, 1.5, 3.0])
def test_detail_is_relative_to_the_face(astronaut: np.ndarray, zoom: float) -> None:
    blurred = cv2.GaussianBlur(astronaut, (0, 0), 1)
    method = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    larger = cv2.resize(blurred, None, fx=zoom, fy=zoom, interpolation=method)
    assert portrait_detail(larger, larger.shape[0] / 512) == pytest.approx(
        portrait_detail(blurred), rel=0.15
    )


@pytest.mark.parametrize("scale", [2.3, 2.96, 4.0])
def test_detail_looks_at_the_same_square_in_every_geometry(
    astronaut: np.ndarray, scale: float
) -> None:
    found = portrait_detail(astronaut, geometry=Geometry(scale=scale))
    assert found == pytest.approx(portrait_detail(astronaut, geometry=Geometry(scale=2.3)), rel=0.2)


def test_a_crop_too_coarse_to_tell_has_no_detail() -> None:
    assert detail(np.zeros((64, 64, 3), np.uint8), Geometry(size=64)) is None


def test_a_flat_crop_has_none_to_speak_of() -> None:
    assert detail(np.full((256, 256, 3), 90, np.uint8), Geometry()) == 0

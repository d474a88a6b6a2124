"""Blended faces differ from their real ones inside a soft mask of the face.

They follow from their seed.
"""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mesovid.align import align, transform
from mesovid.settings import Geometry
from mesovid.training.blend import (
    OUTLINES,
    blend_mask,
    blend_sheet,
    outline_of,
    partial_fake,
    self_blend,
    swap_blend,
    usual_landmarks,
)

# the astronaut's eyes, nose and mouth corners as MTCNN finds them, px
LANDMARKS = np.array([[206, 105], [242, 108], [220, 128], [208, 146], [237, 148]], np.float32)
GEOMETRY = Geometry(size=128)
UNKNOWN = np.full((5, 2), np.nan, np.float32)


@pytest.fixture(scope="module")
def face(astronaut: np.ndarray) -> np.ndarray:
    return align(astronaut, LANDMARKS, GEOMETRY)


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    matrix = transform(LANDMARKS, GEOMETRY)
    return (LANDMARKS @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def test_equal_seeds_give_equal_blends(face: np.ndarray, points: np.ndarray) -> None:
    before = face.copy()
    one, two, other = (self_blend(face, points, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.fake, two.fake)
    assert (one.fake != other.fake).any()
    assert one.fake.dtype == np.uint8
    assert one.fake.shape == face.shape
    np.testing.assert_array_equal(face, before)


def test_every_blend_changes_the_face_a_little(face: np.ndarray, points: np.ndarray) -> None:
    for seed in range(30):
        made = self_blend(face, points, np.random.default_rng(seed))
        change = np.abs(made.fake.astype(int) - face)
        assert change.max() > 0
        assert change.mean() < 60


def test_the_fake_is_the_mixture_that_its_mask_says(face: np.ndarray, points: np.ndarray) -> None:
    made = self_blend(face, points, np.random.default_rng(3))
    full, none = made.mask > 0.999, made.mask == 0
    np.testing.assert_array_equal(made.fake[full], made.source[full])
    assert none.any()


def test_masks_are_soft_lie_on_the_face_and_vary(points: np.ndarray) -> None:
    masks = [blend_mask(128, points, np.random.default_rng(seed)) for seed in range(40)]
    for mask in masks:
        assert 0.2 < mask.max() <= 1.0001
        assert mask.min() >= 0
        assert ((mask > 0.01) & (mask < 0.9 * mask.max())).any()
        assert 0.005 < (mask > 0.5 * mask.max()).mean() < 0.6
        assert mask[:4].max() < 0.35  # the upper corners are hair and background
    mean = np.mean(masks, axis=0)
    middle = points[2].round().astype(int)
    assert mean[middle[1], middle[0]] > 0.4
    assert max(mean[0, 0], mean[0, -1]) < 0.02
    assert np.std([mask.sum() for mask in masks]) > 0.1 * np.mean([mask.sum() for mask in masks])


def test_the_outline_follows_the_landmarks(points: np.ndarray) -> None:
    def hull(landmarks: np.ndarray) -> np.ndarray:
        return outline_of(128, landmarks, OUTLINES[0], np.random.default_rng(0))

    np.testing.assert_allclose(hull(points + 7), hull(points) + 7, atol=0.01)
    around = cv2.convexHull(hull(points))
    assert all(cv2.pointPolygonTest(around, (float(x), float(y)), False) > 0 for x, y in points)


def test_unknown_landmarks_mean_a_frontal_face(face: np.ndarray) -> None:
    assert np.isfinite(self_blend(face, UNKNOWN, np.random.default_rng(0)).mask).all()
    usual = usual_landmarks(128)
    np.testing.assert_allclose(transform(usual, GEOMETRY), [[1, 0, 0], [0, 1, 0]], atol=0.01)


@pytest.mark.parametrize(
    "points", [np.zeros((5, 2)), np.full((5, 2), 1e4)], ids=["one point", "outside"]
)
def test_broken_landmarks_do_no_harm(points: np.ndarray, face: np.ndarray) -> None:
    made = self_blend(face, points.astype(np.float32), np.random.default_rng(0))
    assert np.isfinite(made.mask).all()


def test_another_face_takes_the_place_and_the_colours_of_the_first(
    face: np.ndarray, points: np.ndarray
) -> None:
    donor = cv2.warpAffine(255 - face, np.array([[1.0, 0, 9], [0, 1, -6]]), (128, 128))
    turned = points + np.array([9, -6], np.float32)
    for seed in range(10):
        made = swap_blend(face, points, donor, turned, np.random.default_rng(seed))
        again = swap_blend(face, points, donor, turned, np.random.default_rng(seed))
        np.testing.assert_array_equal(made.fake, again.fake)
        full, none = made.mask > 0.999, made.mask == 0
        np.testing.assert_array_equal(made.fake[full], made.source[full])
        np.testing.assert_array_equal(made.fake[none], face[none])
        assert full.any()
        inside = made.mask > 0.5
        colours = [image[inside].mean(axis=0) for image in (made.source, face, 255 - face)]
        assert np.abs(colours[0] - colours[1]).sum() < np.abs(colours[0] - colours[2]).sum()


def test_another_face_is_laid_where_the_landmarks_say(face: np.ndarray, points: np.ndarray) -> None:
    shift = np.array([20, 12], np.float32)
    donor = cv2.warpAffine(face, np.array([[1.0, 0, shift[0]], [0, 1, shift[1]]]), (128, 128))
    made = swap_blend(face, points, donor, points + shift, np.random.default_rng(4))
    inside = made.mask > 0.9
    right, wrong = (
        np.abs(made.source[inside].astype(int) - image[inside]).mean() for image in (face, donor)
    )
    assert right < wrong / 2


def test_a_part_of_a_fake_is_laid_on_its_original(face: np.ndarray, points: np.ndarray) -> None:
    shift = np.array([8, -5], np.float32)
    original = cv2.warpAffine(face, np.array([[1.0, 0, shift[0]], [0, 1, shift[1]]]), (128, 128))
    made = partial_fake(255 - face, points, original, points + shift, np.random.default_rng(2))
    full, none = made.mask > 0.999, made.mask == 0
    np.testing.assert_array_equal(made.fake[full], 255 - face[full])
    none[:8] = none[-8:] = none[:, :8] = none[:, -8:] = False  # beyond the original's edges
    np.testing.assert_array_equal(made.fake[none], face[none])
    assert full.any()
    unmoved = partial_fake(255 - face, UNKNOWN, face, points, np.random.default_rng(2))
    np.testing.assert_array_equal(unmoved.fake[unmoved.mask == 0], face[unmoved.mask == 0])


def test_the_sheet_shows_five_panels_a_face(face: np.ndarray, points: np.ndarray) -> None:
    made = [self_blend(face, points, np.random.default_rng(seed)) for seed in range(3)]
    image = blend_sheet([face] * 3, made, side=40)
    assert image.shape == (120, 200, 3)
    np.testing.assert_array_equal(
        image[:40, 120:160], cv2.resize(made[0].fake, (40, 40), interpolation=cv2.INTER_AREA)
    )

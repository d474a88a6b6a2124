"""One function a damage, under both what training draws and what measuring fixes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mesovid.damage import LEVELS, blur, brightness, gamma, jpeg, noise, own_rng, relit
from mesovid.evaluation.degrade import KINDS, Degradation, degrade


@pytest.fixture(scope="module")
def face(astronaut: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(astronaut[30:230, 120:320])


def grains(image: np.ndarray, sigma: float = 6.0, seed: int = 0) -> np.ndarray:
    """What noise adds to a picture."""
    return noise(image, sigma, np.random.default_rng(seed)).astype(int) - image


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def test_a_jpeg_is_what_a_file_of_that_quality_holds(face: np.ndarray) -> None:
    for quality in (10, 60, 95):
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
        file = cv2.imencode(".jpg", face[..., ::-1], options)[1]
        read = cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1]
        np.testing.assert_array_equal(jpeg(face, quality), read)


def test_blur_is_a_gaussian(face: np.ndarray) -> None:
    dot = np.zeros((41, 41, 3), np.uint8)
    dot[20, 20] = 255
    wide = blur(cv2.dilate(dot, np.ones((5, 5))), 3)[..., 0].astype(float)
    rows, _ = np.indices(wide.shape)
    deviation = np.sqrt((wide * (rows - 20) ** 2).sum() / wide.sum())
    assert deviation == pytest.approx(np.hypot(3, np.sqrt(2)), rel=0.05)
    assert blur(face, 2).std() < face.std()


@pytest.mark.parametrize("exponent", [0.4, 1.0, 2.2])
def test_gamma_raises_the_fraction_of_the_brightest(exponent: float, face: np.ndarray) -> None:
    expected = np.rint(255 * (face / 255) ** exponent)
    np.testing.assert_array_equal(relit(face, gamma(LEVELS, exponent)), expected)


def test_levels_are_rounded_to_even_and_clipped() -> None:
    steps = np.array([[[0, 1, 3], [101, 103, 255]]], np.uint8)
    np.testing.assert_array_equal(
        relit(steps, brightness(LEVELS, 0.5)), [[[0, 0, 2], [50, 52, 128]]]
    )
    np.testing.assert_array_equal(relit(steps, LEVELS * 3 - 6), [[[0, 0, 3], [255, 255, 255]]])
    apart = np.stack([LEVELS, 255 - LEVELS, 0 * LEVELS], axis=1)  # each channel its own way
    np.testing.assert_array_equal(relit(steps, apart), [[[0, 254, 0], [101, 152, 0]]])


@pytest.mark.parametrize("size", [(128, 128), (1080, 1920)], ids=["crop", "frame"])
def test_noise_has_the_strength_it_was_given(size: tuple[int, int]) -> None:
    grey = np.full((*size, 3), 128, np.uint8)
    for sigma in (2.0, 8.0):
        assert grains(grey, sigma).std() == pytest.approx(sigma, rel=0.1)


def test_half_of_the_noise_is_common_to_all_channels() -> None:
    added = grains(np.full((256, 256, 3), 128, np.uint8))
    assert likeness(added[..., 0], added[..., 1]) == pytest.approx(0.5, abs=0.05)
    assert likeness(added[..., 0], added[..., 2]) == pytest.approx(0.5, abs=0.05)


def test_noise_follows_from_its_numbers_and_does_not_repeat(face: np.ndarray) -> None:
    np.testing.assert_array_equal(grains(face, seed=1), grains(face, seed=1))
    assert abs(likeness(grains(face, seed=1), grains(face, seed=2))) < 0.05
    frame = grains(np.full((1080, 1920, 3), 128, np.uint8))
    top, bottom = frame[:500], frame[540:1040]
    assert abs(likeness(top, bottom)) < 0.01


def test_measured_noise_is_each_pictures_own_whatever_it_comes_with(face: np.ndarray) -> None:
    """The frames of a video had one and the same noise; a crop's hung on those before it."""
    other = np.ascontiguousarray(face[:, ::-1])
    damage = Degradation("noise", 8.0)
    together = degrade([face, other], damage, [None, None])
    np.testing.assert_array_equal(together[1], degrade([other], damage, [None])[0])
    np.testing.assert_array_equal(together[0], degrade([face], damage, [None])[0])
    one, two = (KINDS["noise"].apply([each], 8.0)[0].astype(int) - each for each in (face, other))
    assert abs(likeness(one, two)) < 0.05


def test_numbers_follow_from_a_picture(face: np.ndarray) -> None:
    assert own_rng(face).random() == own_rng(face.copy()).random()
    assert own_rng(face).random() != own_rng(face[1:]).random()

"""Augmentation varies a face within its bounds and follows from its seed.

Each kind can be switched off.
"""

from __future__ import annotations

import dataclasses
import itertools

import cv2
import numpy as np
import pytest

from mesovid.damage import jpeg, noise, sharpen
from mesovid.settings import AugmentSettings
from mesovid.training.augment import augment, denoise, grow, like_h264, shrink

NOTHING = AugmentSettings(augment=False)
LEAST = AugmentSettings(rotation=0, zoom=0, channel_shift=0)  # mirrored, and brighter or darker
EVERYTHING = AugmentSettings(
    shift=0.05,
    jpeg=1,
    h264=1,
    rescale=1,
    blur=0.5,
    sharpen=1,
    noise=1,
    colour=1,
    gamma=1,
    grey=0.5,
    denoise=1,
)


@pytest.fixture(scope="module")
def face(astronaut: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(cv2.resize(astronaut[30:230, 120:320], (128, 128)))


def detail(image: np.ndarray) -> float:
    """Energy of what a blur removes."""
    grey = image.mean(axis=2).astype(np.float32)
    return float(np.square(grey - cv2.GaussianBlur(grey, (0, 0), 1)).mean())


def test_everything_off_changes_nothing(face: np.ndarray) -> None:
    for seed in range(5):
        np.testing.assert_array_equal(augment(face, NOTHING, np.random.default_rng(seed)), face)


def test_equal_seeds_give_equal_variants_and_others_differ(face: np.ndarray) -> None:
    before = face.copy()
    one, two, other = (augment(face, EVERYTHING, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()
    assert one.shape == face.shape
    assert one.dtype == np.uint8
    np.testing.assert_array_equal(face, before)  # a cached crop must stay as it is


@pytest.mark.parametrize(
    "change",
    [
        {"rotation": 15.0},
        {"zoom": 0.2},
        {"shift": 0.1},
        {"channel_shift": 30.0},
        {"jpeg": 1.0},
        {"h264": 1.0},
        {"rescale": 1.0},
        {"blur": 1.0},
        {"sharpen": 1.0},
        {"noise": 1.0},
        {"colour": 1.0},
        {"gamma": 1.0},
        {"grey": 1.0},
        {"denoise": 1.0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_kind_works_alone(change: dict[str, float], face: np.ndarray) -> None:
    settings = dataclasses.replace(LEAST, **change)
    for seed in range(4):
        without, varied = (
            augment(face, each, np.random.default_rng(seed)) for each in (LEAST, settings)
        )
        assert (varied != without).any()
        assert np.abs(varied.astype(int) - without).mean() < 60


@pytest.mark.parametrize("kind", ["denoise", "colour", "grey", "gamma", "blur"])
def test_switching_one_kind_leaves_the_others_as_they_were(kind: str, face: np.ndarray) -> None:
    last = dataclasses.replace(LEAST, noise=1.0)  # drawn after all others
    grey = np.full_like(face, 128)
    alone, both = (
        augment(grey, settings, np.random.default_rng(3)).astype(int)
        for settings in (last, dataclasses.replace(last, **{kind: 1.0}))
    )
    grains, same = (image - np.median(image, axis=(0, 1)) for image in (alone, both))
    assert grains.std() > 1
    np.testing.assert_allclose(grains, same, atol=1)


def test_grey_has_no_colour(face: np.ndarray) -> None:
    varied = augment(face, dataclasses.replace(LEAST, grey=1.0), np.random.default_rng(0))
    assert (varied == varied[..., :1]).all()


def test_half_of_the_crops_are_mirrored(face: np.ndarray) -> None:
    def like(image: np.ndarray, other: np.ndarray) -> float:
        return float(np.corrcoef(image.ravel(), other.ravel())[0, 1])

    varied = [augment(face, LEAST, np.random.default_rng(seed)) for seed in range(100)]
    mirrored = [like(image, face[:, ::-1]) > 0.99 for image in varied]
    kept = [like(image, face) > 0.99 for image in varied]
    assert all(one != two for one, two in zip(mirrored, kept, strict=True))
    assert 30 < sum(mirrored) < 70


def test_brightness_stays_within_its_bounds() -> None:
    grey = np.full((16, 16, 3), 100, np.uint8)
    values = [
        int(augment(grey, LEAST, np.random.default_rng(seed))[0, 0, 0]) for seed in range(200)
    ]
    assert 80 <= min(values) < 85
    assert 115 < max(values) <= 120


def test_rotation_turns_about_the_middle() -> None:
    image = np.zeros((65, 65, 3), np.uint8)
    image[28:37, 28:37] = 255
    settings = dataclasses.replace(LEAST, rotation=90.0)
    for seed in range(5):
        turned = augment(image, settings, np.random.default_rng(seed))[..., 0].astype(float)
        rows, columns = np.indices(turned.shape)
        assert (rows * turned).sum() / turned.sum() == pytest.approx(32, abs=0.3)
        assert (columns * turned).sum() / turned.sum() == pytest.approx(32, abs=0.3)


def test_coarser_quantisation_loses_more(face: np.ndarray) -> None:
    errors = [
        np.square(like_h264(face, qp).astype(float) - face).mean() for qp in (0, 20, 28, 36, 44)
    ]
    assert errors[0] < 20  # half the colour resolution is gone even so
    assert all(later > earlier for earlier, later in itertools.pairwise(errors))
    psnr = 10 * np.log10(255**2 / np.mean(np.square(like_h264(face, 28).astype(float) - face)))
    assert 27 < psnr < 40


def test_a_flat_crop_survives_compression() -> None:
    grey = np.full((64, 64, 3), 117, np.uint8)
    assert np.abs(like_h264(grey, 30).astype(int) - 117).max() <= 3
    assert np.abs(jpeg(grey, 50).astype(int) - 117).max() <= 3


def test_colours_keep_their_order() -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    for coded in (jpeg(red, 90), like_h264(red, 20)):
        assert coded[..., 0].mean() > 180
        assert coded[..., 2].mean() < 30


def test_odd_sizes_are_compressed_where_whole_blocks_fit() -> None:
    image = np.random.default_rng(0).integers(0, 256, (70, 70, 3), dtype=np.uint8)
    assert like_h264(image, 40).shape == image.shape
    np.testing.assert_array_equal(like_h264(image[:10, :10], 40), image[:10, :10])


def test_detail_goes_and_comes(face: np.ndarray) -> None:
    small = shrink(face, 0.3)
    assert small.shape[0] % 16 == 0
    assert detail(grow(small, face.shape[0], 0)) < 0.5 * detail(face)
    assert detail(sharpen(face, 1.0)) > 1.5 * detail(face)


def test_noise_reduction_smooths_skin_and_keeps_edges() -> None:
    edge = np.full((64, 64, 3), 60, np.uint8)
    edge[:, 32:] = 200
    noisy = noise(edge, 6.0, np.random.default_rng(1))
    smooth = denoise(noisy, np.array([1.0, 1.0, 0.5, 0.0]))  # full size, smoothest, not sharpened
    assert smooth[:, :28].std() < 0.5 * noisy[:, :28].std()
    assert smooth[:, 33:].mean() - smooth[:, :31].mean() > 130
    sharp = denoise(noisy, np.array([1.0, 1.0, 1.0, 1.0])).astype(int)
    assert sharp[:, 32].mean() - sharp[:, 31].mean() > smooth[:, 32].mean() - smooth[:, 31].mean()

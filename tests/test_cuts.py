"""Where shots begin."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mesovid.cuts import CutDetector


def scene(seed: int, height: int = 360, width: int = 640) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 8, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def cuts(*images: np.ndarray) -> list[bool]:
    detector = CutDetector()
    return [detector.is_cut(image) for image in images]


def test_the_first_frame_begins_a_shot() -> None:
    assert cuts(scene(0)) == [True]


def test_another_scene_is_a_cut_and_so_is_the_way_back() -> None:
    assert cuts(scene(0), scene(0), scene(1), scene(1), scene(0)) == [
        True,
        False,
        True,
        False,
        True,
    ]


def test_a_moving_camera_is_no_cut() -> None:
    wide = scene(3, width=1000)
    assert cuts(*(wide[:, left : left + 640] for left in range(0, 200, 40))) == [True] + [False] * 4


@pytest.mark.parametrize("gain", [0.5, 0.8, 1.4])
def test_light_that_changes_is_no_cut(gain: float) -> None:
    dim = scene(0) // 2
    assert cuts(dim, np.clip(dim * gain, 0, 255).astype(np.uint8)) == [True, False]


def test_noise_is_no_cut() -> None:
    noise = np.random.default_rng(0).normal(0, 25, (4, 360, 640, 3))
    assert (
        cuts(*(np.clip(scene(0) + each, 0, 255).astype(np.uint8) for each in noise))
        == [True] + [False] * 3
    )


def test_flat_frames_of_one_colour_are_one_shot() -> None:
    black, white = np.zeros((100, 100, 3), np.uint8), np.full((100, 100, 3), 255, np.uint8)
    assert cuts(black, black, white, white) == [True, False, True, False]


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3)])
def test_odd_sizes_pass(size: tuple[int, int]) -> None:
    assert cuts(np.zeros((*size, 3), np.uint8), np.zeros((50, 50, 3), np.uint8)) == [
        True,
        size[0] != size[1],
    ]


def test_another_size_is_no_cut_but_another_shape_is() -> None:
    sizes = [(360, 640), (180, 320), (720, 1280), (640, 360), (320, 180)]
    assert cuts(*(scene(0, *size) for size in sizes)) == [True, False, False, True, False]

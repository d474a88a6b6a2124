"""Maps of numbers as pictures."""

from __future__ import annotations

import numpy as np
import pytest

from mesovid.opencv import cv2
from mesovid.report.maps import ANCHORS, GAP, MARGIN, contrast, map_sheet, overlay, positive, signed


def lightness(colours: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.float32(colours.reshape(1, -1, 3) / 255), cv2.COLOR_RGB2LAB)[0, :, 0]


@pytest.mark.parametrize("paint", [signed, positive])
def test_can_be_read_in_grey(paint: object) -> None:
    """Lightness rises with the number all the way."""
    low = -1.0 if paint is signed else 0.0
    colours = paint(np.linspace(low, 1, 41)[None], 1.0)  # type: ignore[operator]
    assert (np.diff(lightness(colours)) > 0).all()
    assert lightness(colours)[-1] - lightness(colours)[0] > 60


def test_zero_is_grey_and_the_ends_hold() -> None:
    colours = signed(np.array([-9.0, -2.0, 0.0, 2.0, 9.0]), 2.0)
    assert colours.tolist() == [list(ANCHORS[i][1]) for i in (0, 0, 2, 4, 4)]


def test_an_overlay_shows_where_and_which_way() -> None:
    face = np.full((256, 256, 3), 120, np.uint8)
    cells = np.zeros((8, 8))
    cells[1, 2], cells[6, 5], cells[4, 4] = 3.0, -3.0, 0.3
    made = overlay(face, cells)
    assert made.shape == face.shape
    assert (made[:32] == 120).all()  # what says nothing stays as it is
    fake, real = made[34, 66].astype(int), made[194, 162].astype(int)
    assert fake[0] > 200 > 140 > fake[2]  # yellow
    assert real[2] > real[0] + 50  # blue
    assert np.abs(made[4 * 32 : 5 * 32, 4 * 32 : 5 * 32].astype(int) - 120).max() < 20


def test_signs_can_be_told_without_colour() -> None:
    face = np.full((64, 64, 3), 120, np.uint8)
    plus, minus = (overlay(face, np.full((1, 1), sign)) for sign in (1.0, -1.0))
    for made, upright in ((plus, True), (minus, False)):
        # the stroke across; what lies below is yellow or blue
        assert (made[32, 32 - 10 : 32 + 10][..., 2] > 220).all()
        assert (made[32 - 10 : 32 + 10, 32, 2] > 220).all() == upright


def test_a_common_scale_is_not_stretched() -> None:
    face = np.full((64, 64, 3), 120, np.uint8)
    weak = overlay(face, np.full((2, 2), 0.01), largest=1.0)
    assert np.abs(weak.astype(int) - 120).max() <= 3


def test_nothing_to_say_leaves_the_face_grey() -> None:
    face = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    made = overlay(face, np.zeros((8, 8)))
    assert (made[..., 0] == made[..., 1]).all()
    assert (made[..., 0] == cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)).all()


def test_a_sheet_has_one_scale() -> None:
    maps = np.stack([np.full((4, 4), value, np.float32) for value in (0.0, 1.0, 2.0)])
    made = map_sheet(maps, 2.0, names=["1", "2", "3"], tile=32, columns=2)
    assert made.shape == (2 * (32 + MARGIN + GAP) + GAP, 2 * (32 + GAP) + GAP, 3)
    tiles = [made[MARGIN + GAP + 16, GAP + 16], made[MARGIN + GAP + 16, 2 * GAP + 48]]
    assert [tile.tolist() for tile in tiles] == positive(np.array([[0.0, 1.0]]), 2.0)[0].tolist()


def test_one_odd_number_does_not_darken_the_rest() -> None:
    values = np.ones(10_000)
    values[5] = 1e6
    assert contrast(values) == 1
    assert contrast(np.zeros(0)) == 0

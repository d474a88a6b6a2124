"""Covers parts of a face, to see what its score hangs on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np

from mesovid.damage import blur
from mesovid.errors import SettingsError
from mesovid.records import Pixels

Fill = Literal["mean", "blur"]
FILLS: tuple[Fill, ...] = get_args(Fill)
CELLS = 8  # a side
FILL: Fill = "mean"
BLUR = 0.5  # sides of a cell, sigma

Cell = tuple[int, int]  # row, column


def fill_of(crop: Pixels, fill: str, cells: int = CELLS) -> Pixels:
    """What covers a crop: as large as it, of its mean colour or blurred until nothing of a cell's
    size is left.
    """
    check_cells(crop.shape[0], cells)
    if fill == "mean":
        cover: Pixels = np.broadcast_to(crop.mean(axis=(0, 1)).round().astype(np.uint8), crop.shape)
        return cover
    if fill == "blur":
        return blur(crop, BLUR * crop.shape[0] / cells)
    raise SettingsError(f"fill is {fill!r}; it must be one of {', '.join(FILLS)}")


def covered(crop: Pixels, cover: Pixels, places: Iterable[Cell], cells: int = CELLS) -> Pixels:
    """The crop with some cells of a grid of `cells` x `cells` covered."""
    made = crop.copy()
    for row, column in places:
        place = window(crop.shape[0], cells, row, column)
        made[place] = cover[place]
    return made


def window(size: int, cells: int, row: int, column: int) -> tuple[slice, slice]:
    """The pixels of one cell. Sides that do not divide evenly give cells that differ by a pixel."""
    edges = [size * number // cells for number in range(cells + 1)]
    return slice(edges[row], edges[row + 1]), slice(edges[column], edges[column + 1])


def check_cells(size: int, cells: int) -> None:
    """SettingsError unless a crop of `size` px can be parted into so many cells a side."""
    if not 1 <= cells <= size:
        raise SettingsError(
            f"cells is {cells}; it must be at least 1 and at most {size}, a pixel each"
        )

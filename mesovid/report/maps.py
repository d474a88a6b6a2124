"""Draws maps of numbers as pictures: over a face, and side by side. Knows no model.

One scale of colours for what has a sign: dark blue below 0 (speaks for real), grey at 0, bright
yellow above (speaks for fake). Its lightness rises all the way, so it can be read in grey, and blue
and yellow are told apart by the colour-blind.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from mesovid.opencv import cv2
from mesovid.records import Pixels

Numbers = npt.NDArray[np.floating]

# value from -1 to 1, and its colour; CIE lightness 20, 44, 62, 73, 92
ANCHORS = (
    (-1.0, (10, 50, 110)),
    (-0.5, (40, 108, 170)),
    (0.0, (150, 150, 150)),
    (0.5, (236, 168, 60)),
    (1.0, (255, 230, 100)),
)
STRONGEST = 0.85  # how much of the face the strongest cell hides
MARKED = 0.5  # of the largest: cells from here on bear a sign
GAP = 4  # px between the tiles of a sheet
MARGIN = 18  # px above a tile, for its name
HEAD = 28  # px, the line with title and scale
BAR = 96  # px, of the scale
LEAST_WIDTH = 400  # px, so that title and scale have room
LETTERS = 0.4
BACKGROUND, INK = (24, 26, 30), (225, 225, 225)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def signed(values: Numbers, largest: float) -> Pixels:
    """Colours `(..., 3)` of numbers from -`largest` to `largest`; what lies beyond has the colour
    of the end.
    """
    share = np.clip(values / largest, -1, 1) if largest > 0 else np.zeros(values.shape)
    places = [place for place, _ in ANCHORS]
    channels = [
        np.interp(share, places, [colour[channel] for _, colour in ANCHORS]) for channel in range(3)
    ]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def positive(values: Numbers, largest: float) -> Pixels:
    """Colours `(rows, columns, 3)` of numbers from 0 to `largest`: from dark blue to yellow,
    cividis.
    """
    share = np.clip(values / largest, 0, 1) if largest > 0 else np.zeros(values.shape)
    grey = (share * 255).round().astype(np.uint8)
    return np.asarray(
        cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_CIVIDIS), cv2.COLOR_BGR2RGB), np.uint8
    )


def overlay(pixels: Pixels, cells: Numbers, largest: float | None = None) -> Pixels:
    """A face with a map over it: `cells` (rows, columns) lie over the whole of `pixels` (h, w, 3),
    which is turned grey.

    The colour says which way a cell speaks, its strength how much, against the `largest` value (by
    default that of these cells). Cells of half of that and more bear a plus or a minus, which can
    be read without colour.
    """
    most = float(np.abs(cells).max()) if largest is None else largest
    height, width = pixels.shape[:2]
    shown = cv2.resize(
        np.asarray(cells, np.float32), (width, height), interpolation=cv2.INTER_NEAREST
    )
    strength = np.clip(np.abs(shown) / most, 0, 1) if most > 0 else np.zeros(shown.shape)
    grey = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(
        np.float32
    )
    hidden = (STRONGEST * strength)[..., None]
    made = (
        np.asarray((1 - hidden) * grey + hidden * signed(shown, most), np.float32)
        .round()
        .astype(np.uint8)
    )
    if most > 0:
        _mark(made, cells / most)
    return made


def contrast(values: Numbers) -> float:
    """The end of a common scale for some maps: what all but one number in 500 stay within."""
    return float(np.quantile(np.abs(values), 0.998)) if values.size else 0.0


def map_sheet(
    maps: Numbers,
    largest: float,
    *,
    title: str = "",
    names: Sequence[str] | None = None,
    crossed: Collection[int] = (),
    tile: int = 128,
    columns: int = 4,
) -> Pixels:
    """Maps `(n, rows, columns)` side by side on one common scale, each with its name above.

    Numbers of which none is below 0 are drawn from dark to bright, others by their sign; a title
    comes with a bar that shows the scale and where 0 is. Small maps are shown in whole pixels,
    larger ones averaged; `crossed` ones are struck out.
    """
    is_signed = bool((maps < 0).any())
    paint = signed if is_signed else positive
    above = MARGIN if names is not None else 0
    columns = max(min(columns, len(maps)), 1)
    rows = math.ceil(len(maps) / columns)
    width = max(columns * (tile + GAP) + GAP, LEAST_WIDTH if title else 0)
    head = _head(title, largest, is_signed, width) if title else np.empty((0, width, 3), np.uint8)
    body = np.empty((rows * (tile + above + GAP) + GAP, width, 3), np.uint8)
    body[:] = BACKGROUND
    for number, values in enumerate(maps):
        row, column = divmod(number, columns)
        y, x = GAP + row * (tile + above + GAP) + above, GAP + column * (tile + GAP)
        body[y : y + tile, x : x + tile] = paint(_sized(values, tile), largest)
        if number in crossed:
            cv2.line(body, (x, y), (x + tile - 1, y + tile - 1), INK, 1, cv2.LINE_AA)
        if names is not None:
            _write(body, names[number], (x, y - 5))
    return np.vstack([head, body])


def table(values: Numbers, largest: float, *, title: str, cell: int) -> Pixels:
    """A matrix of signed numbers as one picture, `cell` px a number."""
    painted = signed(values, largest).repeat(cell, axis=0).repeat(cell, axis=1)
    framed = cv2.copyMakeBorder(painted, GAP, GAP, GAP, GAP, cv2.BORDER_CONSTANT, value=BACKGROUND)
    missing = max(LEAST_WIDTH - framed.shape[1], 0)
    framed = cv2.copyMakeBorder(framed, 0, 0, 0, missing, cv2.BORDER_CONSTANT, value=BACKGROUND)
    return np.vstack([_head(title, largest, True, framed.shape[1]), framed])


def _head(title: str, largest: float, is_signed: bool, width: int) -> Pixels:
    """A line with the title, and at its right the scale."""
    made = np.empty((HEAD, width, 3), np.uint8)
    made[:] = BACKGROUND
    low, high = (f"-{largest:.3g}", f"+{largest:.3g}") if is_signed else ("0", f"{largest:.3g}")
    right = width - GAP - _width(high)
    left = right - 6 - BAR
    values = np.linspace(-largest if is_signed else 0, largest, BAR)[None].repeat(10, axis=0)
    made[9:19, left : left + BAR] = (signed if is_signed else positive)(values, largest)
    if is_signed:
        cv2.line(made, (left + BAR // 2, 6), (left + BAR // 2, 21), INK, 1)
        _write(made, "0", (left + BAR // 2 + 3, 9 + 9), colour=BACKGROUND)
    _write(made, high, (right, 18))
    _write(made, low, (left - 6 - _width(low), 18))
    _write(made, title, (GAP, 18))
    return made


def _write(
    picture: Pixels, text: str, place: tuple[int, int], colour: tuple[int, ...] = ()
) -> None:
    cv2.putText(picture, text, place, _FONT, LETTERS, colour or INK, 1, cv2.LINE_AA)


def _width(text: str) -> int:
    return int(cv2.getTextSize(text, _FONT, LETTERS, 1)[0][0])


def _sized(values: Numbers, side: int) -> Numbers:
    larger = max(values.shape) > side
    how = cv2.INTER_AREA if larger else cv2.INTER_NEAREST
    return np.asarray(
        cv2.resize(np.asarray(values, np.float32), (side, side), interpolation=how), np.float32
    )


def _mark(picture: Pixels, strengths: Numbers) -> None:
    """A plus or a minus in each strong cell."""
    height, width = picture.shape[0] / strengths.shape[0], picture.shape[1] / strengths.shape[1]
    arm = int(min(height, width) * 0.22)
    if arm < 2:
        return
    for row, column in np.argwhere(np.abs(strengths) >= MARKED):
        x, y = round((column + 0.5) * width), round((row + 0.5) * height)
        strokes = [((x - arm, y), (x + arm, y))]
        if strengths[row, column] > 0:
            strokes.append(((x, y - arm), (x, y + arm)))
        for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            for start, end in strokes:
                cv2.line(picture, start, end, colour, thickness, cv2.LINE_AA)

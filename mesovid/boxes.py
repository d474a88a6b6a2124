"""Boxes around faces: their size, how they lie to each other, and where they go. Pure."""

from __future__ import annotations

Box = tuple[float, float, float, float]  # left, top, right, bottom; px


def side(box: Box) -> float:
    """The longer side of a box, in px: the size of a face."""
    return max(box[2] - box[0], box[3] - box[1])


def area(box: Box) -> float:
    """What a box covers, in square px."""
    return (box[2] - box[0]) * (box[3] - box[1])


def overlap(a: Box, b: Box) -> float:
    """Intersection over union, 0 to 1."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return float(shared / (area(a) + area(b) - shared))


def distance(a: Box, b: Box) -> float:
    """Between the centres, in units of the larger box's side."""
    dx, dy = (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2
    return float((dx * dx + dy * dy) ** 0.5 / max(side(a), side(b), 1e-9))


def between(a: Box, b: Box, t: float) -> Box:
    """The box at `t` of the way from `a` to `b`: `a` itself at 0, and `b` but for rounding at 1."""
    left, top, right, bottom = (p + (q - p) * t for p, q in zip(a, b, strict=True))
    return left, top, right, bottom


def scaled(box: Box, across: float, down: float) -> Box:
    """The box in a picture that is so many times as wide and as high."""
    left, top, right, bottom = box
    return left * across, top * down, right * across, bottom * down


def moved(box: Box, right: float, down: float) -> Box:
    """The box so many px further to the right and down."""
    return box[0] + right, box[1] + down, box[2] + right, box[3] + down

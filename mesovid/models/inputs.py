"""What a network is given, and what its output means: the words of a card put into arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mesovid.records import Pixels
from mesovid.settings import Channels, Colour, Layout, Scores

COLUMNS = {"probability": 1, "logit": 1, "probabilities": 2, "logits": 2}
TOLERANCE = 1e-3  # by which a probability may lie outside of [0, 1], or two miss a sum of 1

Prepare = Callable[[Pixels], npt.NDArray[Any]]


def preparation(
    colour: Colour,
    input_range: tuple[float, float],
    mean: Channels,
    deviation: Channels,
    layout: Layout,
    dtype: npt.DTypeLike,
) -> Prepare:
    """The function from crops (n, size, size, 3), uint8 RGB, to a network's input of type `dtype`.

    0..255 becomes `input_range`; then `mean` is taken off and `deviation` divided by, channel by
    channel in the network's own order of colours. Where none of it changes anything the crops pass
    as they are.
    """
    low, high = input_range
    gain = (high - low) / 255 / np.asarray(deviation, np.float64)
    shift = (low - np.asarray(mean, np.float64)) / np.asarray(deviation, np.float64)
    plain = bool(
        np.allclose(gain, 1, rtol=0, atol=1e-12) and np.allclose(shift, 0, rtol=0, atol=1e-12)
    )

    def prepare(pixels: Pixels) -> npt.NDArray[Any]:
        values: npt.NDArray[Any] = pixels if colour == "RGB" else pixels[..., ::-1]
        if not plain:
            values = values.astype(np.float32) * gain.astype(np.float32) + shift.astype(np.float32)
        if layout == "NCHW":
            values = np.moveaxis(values, 3, 1)
        return np.ascontiguousarray(values, dtype)

    return prepare


def probability_of(output: npt.NDArray[Any], scores: Scores) -> npt.NDArray[np.float64]:
    """P `(n,)` of the class that a network tells.

    Its output is `(n,)`, `(n, 1)` or, of two classes, `(n, 2)`.

    Of two classes it is the second one's. ValueError when the output has another shape, or is no
    probability where it should be.
    """
    columns = COLUMNS[scores]
    values = np.asarray(output, np.float64).reshape(len(output), -1)
    if values.shape[1] != columns:
        raise ValueError(f"{values.shape[1]} numbers a face where {scores} has {columns}")
    if scores == "logit":
        return sigmoid(values[:, 0])
    if scores == "logits":
        return sigmoid(values[:, 1] - values[:, 0])
    finite = values[np.isfinite(values)]
    if finite.size and not (finite.min() >= -TOLERANCE and finite.max() <= 1 + TOLERANCE):
        raise ValueError(
            f"a score of {finite[np.argmax(np.abs(finite - 0.5))]:.3g}, which is no probability"
        )
    if scores == "probabilities" and np.abs(values.sum(axis=1) - 1).max(initial=0) > TOLERANCE:
        raise ValueError(f"two scores that add up to {values.sum(axis=1).max():.3g}, not to 1")
    # a sum in float32 may pass the ends by a rounding error
    return np.clip(values[:, -1], 0.0, 1.0)


def sigmoid(x: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """1 / (1 + exp(-x)), without overflow."""
    half: npt.NDArray[np.float64] = 0.5 * (1 + np.tanh(0.5 * np.asarray(x, np.float64)))
    return half

"""Makes whole pictures of interlaced ones, whose odd and even rows were taken at different times.

Deinterlacers of players look at the frames before and after, which a scan of few frames does not
decode. One picture alone tells where its two fields differ: there the rows of the second are
interpolated from the first, elsewhere all rows stay, so that a face that keeps still keeps its
detail, and so does video that only calls itself interlaced.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt
from av.filter import Graph
from av.video.frame import VideoFrame

from mesovid.opencv import cv2

Rows = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]  # (height, width, 3) RGB

# of 255, by which a row differs from those around it where there is motion between the fields
COMB = 8.0
SPREAD = (9, 5)  # px, width and rows of one field, around a place where the fields differ
COMBED = 0.003  # of the pixels; fewer are texture


class Separator:
    """Parts pictures into their fields, planes of colour and all."""

    def __init__(self) -> None:
        self._graphs: dict[str, Graph] = {}
        self._like: tuple[int, int, str] = (0, 0, "")  # width, height, pixel format

    def __call__(self, picture: VideoFrame) -> tuple[VideoFrame, VideoFrame]:
        """The upper and the lower field: even and odd rows, from 0."""
        like = picture.width, picture.height, picture.format.name
        if like != self._like:
            self._graphs = {field: _graph(picture, field) for field in ("top", "bottom")}
            self._like = like
        fields = []
        for graph in self._graphs.values():
            graph.vpush(picture)
            field = graph.vpull()
            field.colorspace, field.color_range = picture.colorspace, picture.color_range
            fields.append(field)
        return fields[0], fields[1]


def _graph(picture: VideoFrame, field: str) -> Graph:
    graph = Graph()
    source = graph.add_buffer(
        width=picture.width,
        height=picture.height,
        format=picture.format,
        time_base=Fraction(1, 1000),
    )
    graph.link_nodes(
        source, graph.add("field", f"type={field}"), graph.add("buffersink")
    ).configure()
    return graph


def woven(upper: Rows, lower: Rows) -> tuple[Rows, bool]:
    """The whole picture, and whether its fields differ enough to be of different times."""
    whole = np.empty((len(upper) + len(lower), *upper.shape[1:]), upper.dtype)
    whole[0::2], whole[1::2] = upper, lower
    if len(lower) < 2:
        return whole, False
    # the upper field's row under each of the lower's
    below = np.concatenate([upper[1:], upper[-1:]])[: len(lower)]
    above = upper[: len(lower)]
    differs = _differs(above, below, lower)
    differs[len(upper) - 1 :] = False  # there is no row below
    if differs.mean() < COMBED:
        return whole, False
    weight = cv2.dilate(differs.astype(np.float32), np.ones(SPREAD[::-1], np.uint8))
    weight = cv2.blur(weight, SPREAD)[..., None]
    mixed = _between(upper)[: len(lower)] * weight + lower * (1 - weight)
    whole[1::2] = np.rint(np.clip(mixed, 0, np.iinfo(upper.dtype).max)).astype(upper.dtype)
    return whole, True


def _between(rows: Rows) -> npt.NDArray[np.float32]:
    """A row under each one, by cubic interpolation."""
    padded = np.pad(rows.astype(np.float32), ((1, 2), (0, 0), (0, 0)), mode="edge")
    between: npt.NDArray[np.float32] = (
        9 * (padded[1:-2] + padded[2:-1]) - padded[:-3] - padded[3:]
    ) / np.float32(16)
    return between


def _differs(above: Rows, below: Rows, lower: Rows) -> npt.NDArray[np.bool_]:
    """Where a row of the lower field stands out from its neighbours, as teeth of a comb do."""
    unit = 257.0 if lower.dtype == np.uint16 else 1.0
    high, middle, low = (
        image.astype(np.float32).mean(axis=2) / unit for image in (above, lower, below)
    )
    padded = np.pad(middle, ((1, 1), (0, 0)), mode="edge")
    comb = padded[:-2] + 4 * middle + padded[2:] - 3 * (high + low)
    up, down = middle - high, middle - low
    # an edge stands out from one side only
    sticks_out = (up * down > 0) & (np.minimum(np.abs(up), np.abs(down)) > COMB)
    return np.asarray(sticks_out & (np.abs(comb) > 6 * COMB))

"""Decoded pictures as a player shows them, in RGB."""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from mesovid.records import Pixels

MATRICES = frozenset(
    [0, 1, 2, 4, 5, 6, 7, 9]
)  # of Y'CbCr to RGB, by their numbers in H.273, that swscale knows
UNSPECIFIED = 2


class Display:
    """How the pictures of one video are shown, from its first one."""

    def __init__(self, first: VideoFrame) -> None:
        self._reformatter = VideoReformatter()
        self._size = first.width, first.height  # as coded; a stream that changes its size is scaled to this
        self._quarter_turns = round(first.rotation / 90)  # counterclockwise

    def image(self, picture: VideoFrame) -> Pixels:
        """The picture upright, (height, width, 3) RGB."""
        width, height = self._size
        if picture.colorspace not in MATRICES:
            picture.colorspace = UNSPECIFIED
        image = self._reformatter.reformat(picture, width, height, "rgb24", threads=1).to_ndarray()
        return np.ascontiguousarray(np.rot90(image, self._quarter_turns), np.uint8)

"""Reads still pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mesovid.errors import InputError
from mesovid.opencv import cv2
from mesovid.records import Pixels


def read_picture(path: Path) -> Pixels:
    """A still picture, turned as its EXIF orientation says, in 8 bits a colour, without its alpha.

    InputError when it cannot be read.
    """
    try:
        image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # more pixels than OpenCV agrees to read, among others
        image = None
    if image is None:
        raise InputError(
            f"{path}: not a picture that can be read; it is damaged or something else by that name"
        )
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

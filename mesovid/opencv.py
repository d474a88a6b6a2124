"""OpenCV, imported in one place: quiet on stderr, and with an error that helps when the system lacks its libraries."""

from __future__ import annotations

import os

# OpenCV writes what it thinks of a damaged file to stderr, past sys.stderr; it reads these variables when it is loaded
os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

from mesovid.errors import MesovidError

try:
    import cv2 as cv2
except ImportError as error:
    raise MesovidError(
        f"OpenCV cannot be loaded ({error}); on Debian and Ubuntu `apt-get install libgl1 libglib2.0-0 libxcb1` "
        "brings the system libraries it needs"
    ) from error

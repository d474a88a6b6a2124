"""OpenCV, imported in one place.

It is quiet on stderr, and the error helps when the system lacks its libraries.
"""

from __future__ import annotations

import os

from mesovid.errors import MesovidError

MOST_PIXELS = 250_000_000  # of a picture; phones take 200 million
# a header of a few bytes may ask for more memory than there is
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))

try:
    import cv2 as cv2
except ImportError as error:
    raise MesovidError(
        f"OpenCV cannot be loaded ({error}); on Debian and Ubuntu `apt-get install libgl1 "
        "libglib2.0-0 libxcb1` brings the system libraries it needs"
    ) from error

if "OPENCV_LOG_LEVEL" not in os.environ:
    # what it thinks of a damaged file would go to stderr, past sys.stderr
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

"""Which files are videos and which are pictures."""

from __future__ import annotations

from pathlib import Path

VIDEO_SUFFIXES = frozenset([
    ".264", ".265", ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".h264", ".h265", ".hevc",
    ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogg", ".ogv", ".rm", ".rmvb",
    ".ts", ".vob", ".webm", ".wmv", ".y4m",
])  # fmt: skip
PICTURE_SUFFIXES = frozenset(
    [".bmp", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"]
)


def is_picture(path: str | Path) -> bool:
    """Whether a file's name says that it is a still picture."""
    return Path(path).suffix.lower() in PICTURE_SUFFIXES

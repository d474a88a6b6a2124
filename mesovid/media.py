"""Which files are videos and which are pictures."""

from __future__ import annotations

from pathlib import Path

VIDEO_SUFFIXES = frozenset([
    ".264", ".265", ".3g2", ".3gp", ".3gp2", ".3gpp", ".3gpp2", ".asf", ".avi", ".divx", ".dv",
    ".dvr-ms", ".f4p", ".f4v", ".flv", ".gif", ".h264", ".h265", ".hevc", ".insv", ".ivf", ".lrv",
    ".m1v", ".m2p", ".m2t", ".m2ts", ".m2v", ".m4v", ".mj2", ".mjpeg", ".mjpg", ".mk3d", ".mkv",
    ".mod", ".mov", ".mp4", ".mp4v", ".mpe", ".mpeg", ".mpeg4", ".mpg", ".mpg4", ".mpv", ".mts",
    ".mxf", ".nut", ".ogg", ".ogm", ".ogv", ".qt", ".rm", ".rmvb", ".tod", ".trp", ".ts", ".vob",
    ".webm", ".wmv", ".wtv", ".y4m",
])  # fmt: skip
PICTURE_SUFFIXES = frozenset([
    ".apng", ".avif", ".avifs", ".bmp", ".heic", ".heics", ".heif", ".heifs", ".hif", ".jfif",
    ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".pjp", ".pjpeg", ".png", ".pnm", ".ppm",
    ".tif", ".tiff", ".webp",
])  # fmt: skip


def is_picture(path: str | Path) -> bool:
    """Whether a file's name says that it is a still picture."""
    return Path(path).suffix.lower() in PICTURE_SUFFIXES

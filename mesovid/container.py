"""Opens a video file, picks the stream to look at and tells what the container says of it."""

from __future__ import annotations

import os
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from mesovid.errors import InputError
from mesovid.records import VideoInfo

TEXT_FORMATS = frozenset(["adf", "bin", "idf", "tty", "xbin"])  # FFmpeg draws text as a terminal would
LONGEST = 1e8  # seconds; a container that says more is wrong


def check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; a video or picture file is needed")
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: not a regular file; a video or picture file is needed")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from error
    if empty:
        raise InputError(f"{path}: the file is empty")


def open_container(path: Path) -> InputContainer:
    # an absolute path is no URL or option, whatever the name begins with; and what calls itself a video may be a
    # playlist, which must not make anyone fetch from the network
    options = {"protocol_whitelist": "file"}
    message = f"{path}: not a video that can be read; it is damaged, cut off or something else by that name"
    try:
        container = av.open(os.path.abspath(path), options=options, metadata_errors="replace")
    except av.FFmpegError as error:
        raise InputError(message) from error
    if container.format.name in TEXT_FORMATS:
        container.close()
        raise InputError(message)
    return container


def video_stream(path: Path, container: InputContainer) -> VideoStream:
    """The first video stream that is not the cover picture of a piece of music."""
    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:
            continue
        if stream.codec_context is None:
            raise InputError(f"{path}: its video codec is not known here; convert it to H.264, say")
        return stream
    kinds = sorted({stream.type for stream in container.streams if stream.type != "video"})
    raise InputError(f"{path}: no video in it, only {' and '.join(kinds) or 'a cover picture'}")


def video_info(
    path: Path, container: InputContainer, stream: VideoStream, size: tuple[int, int]
) -> VideoInfo:
    """What the container says, with the width and height at which the first picture is shown."""
    width, height = size
    fps = float(stream.average_rate or stream.guessed_rate or 0)
    duration = None
    if stream.duration is not None and stream.time_base is not None:
        duration = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        duration = container.duration / av.time_base
    return VideoInfo(
        path=str(path),
        width=width,
        height=height,
        fps=fps if 0 < fps <= 1000 else None,
        frame_count=stream.frames if 0 < stream.frames < 1e9 else None,
        duration=duration if duration is not None and 0 < duration < LONGEST else None,
    )

"""Opens a video file, picks the stream to look at and tells what the container says of it."""

from __future__ import annotations

import codecs
import os
import re
import stat
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from mesovid.atoms import false_claim
from mesovid.errors import InputError
from mesovid.media import is_picture
from mesovid.records import VideoInfo

# FFmpeg's demuxers of what cameras, phones, editors and archives write: each reads one file and
# opens no other, as those of playlists, manifests, numbered pictures and scripts do
DEMUXERS = (
    "mov",
    "matroska",
    "avi",
    "asf",
    "asf_o",
    "flv",
    "live_flv",
    "kux",
    "mpeg",
    "mpegts",
    "ogg",
    "rm",
    "ivr",
    "nut",
    "nuv",
    "mxf",
    "gxf",
    "lxf",
    "dv",
    "wtv",
    "ty",
    "pva",
    "nsv",
    "cine",
    "gif",
    "apng",
    "yuv4mpegpipe",
    "mjpeg",
    "mpjpeg",
    "smjpeg",
    "mjpeg_2000",
    "h261",
    "h263",
    "h264",
    "hevc",
    "vvc",
    "evc",
    "m4v",
    "mpegvideo",
    "av1",
    "obu",
    "ivf",
    "dirac",
    "vc1",
    "vc1test",
    "dnxhd",
    "cavsvideo",
    "avs2",
    "avs3",
    "apv",
    "dhav",
    "ifv",
    "mxg",
    "hxvs",
    "ingenient",  # of surveillance cameras
    "aac",
    "aiff",
    "amr",
    "caf",
    "flac",
    "mp3",
    "w64",
    "wav",
    "wv",  # of sound, so that one can say that it is sound
)
# how text begins that names other files, and what it is
LISTS = (
    (b"#extm3u", "a playlist (HLS)"),
    (b"ffconcat", "a list of parts (ffconcat)"),
    (b"[playlist]", "a playlist (PLS)"),
    (b"<asx", "a playlist (ASX)"),
    (b"<smil", "a playlist (SMIL)"),
    (b"<mpd", "a manifest (DASH)"),
    (b"<smoothstreamingmedia", "a manifest (Smooth Streaming)"),
    (b"v=0", "the description of a stream (SDP)"),
)
XML_START = re.compile(rb"\s*<(\?xml|!--|!doctype)[^>]*>")
BEGINNING = 4096  # bytes that tell what a file is
DURATION_TAG = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
MOST_FRAMES = 1_000_000_000  # a container that says more is wrong
LONGEST = 1e8  # seconds; a container that says more is wrong
MOST_PIXELS = 2**27  # of a frame; 16K has 133 million
NO_MOVING_PICTURE = (
    Disposition.attached_pic
    | Disposition.timed_thumbnails
    | Disposition.still_image
    | Disposition.dependent
)


def check_file(path: Path) -> bytes:
    """The beginning of a regular file that can be read and has content.

    It waits for nothing. InputError for anything else.
    """
    try:
        status = path.stat()
        mode = status.st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"{path}: this is a folder; a video or picture file is needed")
        if not stat.S_ISREG(mode):
            raise InputError(f"{path}: not a regular file; a video or picture file is needed")
        # files of the kernel have no size; some of them, such as /proc/kmsg, never end
        if not status.st_size:
            raise InputError(f"{path}: the file is empty")
        # what has become a pipe since must not make anyone wait
        with open(path, "rb", buffering=0, opener=_without_waiting) as file:
            beginning = file.read(BEGINNING)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from error
    if not beginning:
        raise InputError(f"{path}: the file is empty")
    return beginning


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def open_container(path: Path) -> InputContainer:
    """The container of a video, by FFmpeg.

    InputError when it is none, or names other files to be read.
    """
    if kind := _list_of_files(check_file(path)):
        raise InputError(
            f"{path}: not a video but {kind}, which names other files; give the videos themselves"
        )
    if claim := false_claim(path):
        raise InputError(f"{path}: it claims to hold {claim}, which cannot be; it is damaged")
    # an absolute path is no URL or option, whatever the name begins with
    options = {"protocol_whitelist": "file", "format_whitelist": ",".join(DEMUXERS)}
    try:
        return av.open(os.path.abspath(path), options=options, metadata_errors="replace")
    except (av.FFmpegError, UnicodeError) as error:
        raise InputError(
            f"{path}: not a {'picture' if is_picture(path) else 'video'} that can be read; it is "
            "damaged, cut off or something else by that name"
        ) from error


def _list_of_files(beginning: bytes) -> str | None:
    """What kind of text this is that names other files; None for any other content."""
    text = beginning.removeprefix(codecs.BOM_UTF8).lstrip()
    while tag := XML_START.match(text.lower()):
        text = text[tag.end() :].lstrip()
    text = text.lower()
    return next((kind for start, kind in LISTS if text.startswith(start)), None)


def video_stream(path: Path, container: InputContainer, wanted: int | None = None) -> VideoStream:
    """The stream to look at: number `wanted` of the file, else the one that a player shows.

    That is the one marked as default and of several the largest: a file may hold a preview, a
    second camera, the cover of a piece of music. InputError when there is none.
    """
    streams = video_streams(container)
    if wanted is not None:
        streams = [stream for stream in container.streams.video if stream.index == wanted]
        if not streams:
            known = ", ".join(describe(stream) for stream in container.streams.video) or "none"
            raise InputError(f"{path}: no video stream {wanted}; its video streams are: {known}")
    if not streams:
        kinds = sorted({stream.type for stream in container.streams if stream.type != "video"})
        raise InputError(f"{path}: no video in it, only {' and '.join(kinds) or 'a cover picture'}")
    stream = max(streams, key=_prominence)
    if stream.codec_context is None:
        raise InputError(f"{path}: its video codec is not known here; convert it to H.264, say")
    if stream.width * stream.height > MOST_PIXELS:
        raise InputError(
            f"{path}: frames of {stream.width}x{stream.height} px are too large; {MOST_PIXELS} px "
            "is the most"
        )
    return stream


def video_streams(container: InputContainer) -> list[VideoStream]:
    """The streams of a container that hold moving pictures."""
    streams = [
        stream for stream in container.streams.video if not stream.disposition & NO_MOVING_PICTURE
    ]
    # a sequence of AVIF or HEIC pictures has one of them as its cover
    return [stream for stream in streams if stream.frames != 1] or streams


def describe(stream: VideoStream) -> str:
    """A video stream by its number in the file, say `2 (h264, 1920x1080)`."""
    if stream.codec_context is None:
        return f"{stream.index} (unknown codec)"
    return f"{stream.index} ({stream.codec_context.name}, {stream.width}x{stream.height})"


def _prominence(stream: VideoStream) -> tuple[bool, bool, int]:
    known = stream.codec_context is not None
    return (
        known,
        bool(stream.disposition & Disposition.default),
        stream.width * stream.height if known else 0,
    )


def video_info(
    path: Path, container: InputContainer, stream: VideoStream, size: tuple[int, int]
) -> VideoInfo:
    """What the container says, with the width and height at which the first picture is shown."""
    width, height = size
    fps = float(stream.average_rate or stream.guessed_rate or 0)
    duration = _end(container, stream) - beginning(container)
    return VideoInfo(
        path=str(path),
        width=width,
        height=height,
        fps=fps if 0 < fps <= 1000 else None,
        frame_count=_frame_count(container, stream),
        duration=duration if 0 < duration < LONGEST else None,
    )


def beginning(container: InputContainer) -> float:
    """The timestamp, in seconds, that players show as 0:00.

    There the first of picture and sound begins.
    """
    return (container.start_time or 0) / av.time_base


def _end(container: InputContainer, stream: VideoStream) -> float:
    """The timestamp, in seconds, at which the container says that its video ends.

    0 when it does not say.
    """
    if stream.duration is not None and stream.time_base is not None:
        return float((stream.duration + (stream.start_time or 0)) * stream.time_base)
    if "matroska" in container.format.name:  # counts from 0, wherever the first frame is
        end = (container.duration or 0) / av.time_base
        if clock := DURATION_TAG.fullmatch(stream.metadata.get("DURATION", "")):
            end = sum(
                float(part) * unit for part, unit in zip(clock.groups(), (3600, 60, 1), strict=True)
            )
        if end > beginning(container):
            return end
    if container.duration is None:
        return 0
    return container.duration / av.time_base + beginning(container)


def _frame_count(container: InputContainer, stream: VideoStream) -> int | None:
    """How many frames the container says that its video shows."""
    count = stream.frames
    if not 0 < count < MOST_FRAMES:
        return None
    rate = stream.average_rate or Fraction(0)
    shown = float((stream.duration or 0) * (stream.time_base or 0) * rate)
    if "mov" in container.format.name and len(stream.index_entries) and abs(shown - count) > 0.5:
        # an edit list may hide some; asking every entry takes a microsecond each
        count = sum(not entry.is_discard for entry in stream.index_entries)
    return count

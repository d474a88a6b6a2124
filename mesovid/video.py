"""Opens videos and pictures: the only place that does. Everything after it sees RGB frames with true timestamps."""

from __future__ import annotations

import math
import os
import queue
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

# FFmpeg and OpenCV write what they think of a damaged file to stderr, past sys.stderr; the warnings here say it better.
# Both read these variables when they are loaded.
os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2

from mesovid.errors import InputError
from mesovid.records import Frame, VideoInfo
from mesovid.settings import SampleSettings

VIDEO_SUFFIXES = frozenset(
    [".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".f4v", ".mpg", ".mpeg", ".m2v", ".mts", ".m2ts", ".ts", ".3gp", ".3g2", ".ogv", ".ogg", ".mxf", ".vob", ".asf", ".rm", ".rmvb", ".divx", ".dv", ".h264", ".264", ".h265", ".hevc", ".y4m", ".gif"]
)
PICTURE_SUFFIXES = frozenset([".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".jp2"])
MAX_FAILED_READS = 100  # in a row; then a stream counts as ended

Item = TypeVar("Item")


def is_picture(path: str | Path) -> bool:
    """Whether a file's name says that it is a still picture."""
    return Path(path).suffix.lower() in PICTURE_SUFFIXES


def probe(path: str | Path) -> VideoInfo:
    """What a video or picture says of itself. InputError when it cannot be opened."""
    with sample(path, SampleSettings()) as sampling:
        return sampling.info


def sample(path: str | Path, settings: SampleSettings) -> Sampling:
    """The frames of a video or picture that `settings` asks for, in order of time. InputError when it cannot be opened."""
    return Sampling(Path(path), settings)


class Sampling:
    """An iterable over sampled frames; `warnings` is complete once the iteration has ended."""

    def __init__(self, path: Path, settings: SampleSettings) -> None:
        self.settings = settings
        self.warnings: list[str] = []
        self._path = path
        self._capture: cv2.VideoCapture | None = None
        _check_file(path)
        if is_picture(path):
            image = cv2.imread(os.fspath(path), cv2.IMREAD_COLOR)
            if image is None:
                raise InputError(f"{path}: not a picture that can be read")
            height, width = image.shape[:2]
            self._picture: Any = image
            self.info = VideoInfo(str(path), width, height, None, 1, None)
        else:
            self._capture = _open(path)
            self.info = _info(path, self._capture)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._capture is not None:
            self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        if self._capture is None:
            yield Frame(0, 0.0, cv2.cvtColor(self._picture, cv2.COLOR_BGR2RGB))
            return
        yield from self._frames(self._capture)

    def _frames(self, capture: cv2.VideoCapture) -> Iterator[Frame]:
        settings, fps = self.settings, self.info.fps or 25.0
        start = settings.start or 0.0
        duration = self.info.duration or _count(self._path) / fps
        end = min(settings.end or math.inf, duration) if duration else settings.end or math.inf
        step = 1 / settings.fps if settings.fps else max(end - start, 0) / settings.frames
        taken = failed = unreadable = index = 0
        while failed < MAX_FAILED_READS:
            if not capture.grab():
                failed += 1
                continue
            unreadable += failed
            failed = 0
            time = max(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, 0.0)
            here, index = index, index + 1
            if settings.end is not None and time >= settings.end:
                break
            if settings.every:
                wanted = time >= start and here % settings.every == 0
            else:  # the frame on display at the middle of each interval
                wanted = time > start + (taken + 0.5) * step - 1 / fps
            if not wanted:
                continue
            ok, image = capture.retrieve()
            if not ok:
                unreadable += 1
                continue
            yield Frame(here, time, cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            while step and start + (taken + 0.5) * step - 1 / fps < time:
                taken += 1
            if not settings.every and not settings.fps and taken >= settings.frames:
                break
        if unreadable:
            self.warnings.append(f"{index} of {index + unreadable} frames could be read")


def prefetch(items: Iterable[Item], ahead: int) -> Iterator[Item]:
    """The same items, made in a thread up to `ahead` of their use. Its exceptions arrive here; closing stops it."""
    ready: queue.Queue[tuple[Item | None, BaseException | None, bool]] = queue.Queue(max(ahead, 1))
    stop = threading.Event()

    def put(entry: tuple[Item | None, BaseException | None, bool]) -> bool:
        while not stop.is_set():
            try:
                ready.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put((item, None, False)):
                    return
        except BaseException as error:
            put((None, error, True))
        else:
            put((None, None, True))

    thread = threading.Thread(target=work, name="mesovid-prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error, last = ready.get()
            if error is not None:
                raise error
            if last:
                return
            yield item  # type: ignore[misc]
    finally:
        stop.set()
        thread.join()


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path} is a folder; give a video or picture file")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty")


def _open(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(os.fspath(path.absolute()), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise InputError(f"{path}: not a video that can be read (damaged, cut off, or of an unknown kind)")
    return capture


def _info(path: Path, capture: cv2.VideoCapture) -> VideoInfo:
    width, height = (int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    fps: float | None = capture.get(cv2.CAP_PROP_FPS)
    count: float | None = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    fps = fps if fps and 0 < fps < 1000 else None
    count = int(count) if count and 0 < count < 1e9 else None
    return VideoInfo(str(path), width, height, fps, count, count / fps if count and fps else None)


def _count(path: Path) -> int:
    capture, count = _open(path), 0
    while capture.grab():
        count += 1
    return count

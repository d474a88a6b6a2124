"""The frames of videos and pictures, with true timestamps.

Everything after it sees RGB as a player shows it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Protocol, Self, TypeVar

from mesovid.animations import ANIMATED, Animation, is_moving
from mesovid.container import check_file
from mesovid.decoding import Video
from mesovid.errors import InputError
from mesovid.pictures import open_picture, picture_kind
from mesovid.records import Frame, VideoInfo
from mesovid.settings import SampleSettings

Item = TypeVar("Item")

SERIES_OF_JPEG = frozenset([".mjpeg", ".mjpg"])  # begins like one picture


def probe(path: str | Path) -> VideoInfo:
    """What a video or picture says of itself. InputError when it cannot be read."""
    with sample(path, SampleSettings()) as sampling:
        return sampling.info


def sample(path: str | Path, settings: SampleSettings) -> Sampling:
    """The frames of a video or picture that `settings` asks for, in order of time.

    InputError when it cannot be read.

    `settings.frames` lie evenly in time: each is the one on display in the middle of its share of
    the video; when there are fewer, each comes once. A picture is a video of one frame.
    """
    return Sampling(Path(path), settings)


def frames_at(
    path: str | Path, indices: Sequence[int], stream: int | None = None
) -> Iterator[Frame]:
    """The frames of a video with these numbers, as `sample` counts them.

    Those that are not there are left out. A picture's frame is 0.

    Ascending, each once; no more is decoded than they need. InputError when the file cannot be
    read.
    """
    place = Path(path)
    with closing(_open(place, check_file(place), SampleSettings(stream=stream))) as source:
        yield from source.frames_at(indices)


class Sampling:
    """An iterable over sampled frames.

    `info` is there from the start, `warnings` once the iteration has ended.

    Iterating may happen in another thread than `close`, which waits for the frame in hand and ends
    the iteration.
    """

    info: VideoInfo
    warnings: list[str]  # what was odd about the input, a sentence each

    def __init__(self, path: Path, settings: SampleSettings) -> None:
        beginning = check_file(path)
        self._settings = settings
        self._source = _open(path, beginning, settings)
        self._lock = threading.Lock()
        self._closed = False
        self.info = self._source.info
        self.warnings = []

    @property
    def planned(self) -> int | None:
        """How many frames are to be looked at; None before the first one is there."""
        return self._source.planned

    @property
    def tags(self) -> Mapping[str, str]:
        """The metadata of a video's container."""
        return self._source.tags

    @property
    def unreliable(self) -> str | None:
        """Once the iteration has ended: why no verdict can rest on the frames, or None."""
        return self._source.unreliable

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._closed = True
            self._source.close()

    def __iter__(self) -> Iterator[Frame]:
        if self._closed:
            raise ValueError(f"{self.info.path}: the sampling is closed")
        self.warnings.clear()
        frames = self._source.frames(self._settings, self.warnings)
        while True:
            with self._lock:
                frame = None if self._closed else next(frames, None)
            if frame is None:
                return
            yield frame


def prefetch(items: Iterable[Item], ahead: int) -> Iterator[Item]:
    """The same items, made in a thread up to `ahead` of their use.

    Its exceptions arrive here. Closing this stops it.
    """
    ready: queue.SimpleQueue[tuple[Item] | BaseException | None] = queue.SimpleQueue()
    room = threading.Semaphore(max(ahead, 1))
    stopped = threading.Event()

    def work() -> None:
        iterator = iter(items)
        try:
            while room.acquire() and not stopped.is_set():
                ready.put((next(iterator),))
        except StopIteration:
            ready.put(None)
        except BaseException as error:
            ready.put(error)
        finally:
            if isinstance(iterator, Generator):
                iterator.close()

    thread = threading.Thread(target=work, name="mesovid-prefetch", daemon=True)
    thread.start()
    try:
        while isinstance(entry := ready.get(), tuple):
            room.release()
            yield entry[0]
        if entry is not None:
            raise entry
    finally:
        stopped.set()
        room.release()
        thread.join()


class _Source(Protocol):
    """What a Sampling reads from."""

    info: VideoInfo
    planned: int | None

    @property
    def tags(self) -> Mapping[str, str]: ...

    @property
    def unreliable(self) -> str | None: ...

    def frames(self, settings: SampleSettings, warnings: list[str]) -> Iterator[Frame]: ...

    def frames_at(self, indices: Sequence[int]) -> Iterator[Frame]: ...

    def close(self) -> None: ...


def _open(path: Path, beginning: bytes, settings: SampleSettings) -> _Source:
    """What reads this file: its content decides, not its name."""
    kind = picture_kind(beginning)
    if kind is None or path.suffix.lower() in SERIES_OF_JPEG:
        return Video(path, settings.stream)
    if settings.stream:
        raise InputError(f"{path}: no video stream {settings.stream}; it is a picture")
    if not is_moving(path, kind, beginning):
        return _Picture(path)
    return Animation(path, kind) if kind in ANIMATED else Video(path, settings.stream)


class _Picture:
    """A still picture as a video of one frame."""

    planned: int | None = 1
    tags: Mapping[str, str] = MappingProxyType({})

    def __init__(self, path: Path) -> None:
        picture = open_picture(path)
        self._image, self._warnings = picture.pixels, picture.warnings
        self.unreliable = picture.unreliable
        height, width = self._image.shape[:2]
        self.info = VideoInfo(str(path), width, height, fps=None, frame_count=1, duration=None)

    def frames(self, settings: SampleSettings, warnings: list[str]) -> Iterator[Frame]:
        warnings += self._warnings
        yield Frame(0, 0.0, self._image)

    def frames_at(self, indices: Sequence[int]) -> Iterator[Frame]:
        if 0 in indices:
            yield Frame(0, 0.0, self._image)

    def close(self) -> None:
        pass

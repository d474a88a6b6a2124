"""Makes damaged copies of a collection's videos.

What a detector withstands is measured on files, as it would meet them.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from mesovid.dataset.sources import Source
from mesovid.errors import DatasetError, InputError, SettingsError
from mesovid.evaluation.degrade import KINDS, Degradation, parse, x264_options
from mesovid.files import remove_leftovers, whole, write_whole
from mesovid.media import is_picture
from mesovid.pictures import scaled
from mesovid.pool import Crash, run
from mesovid.records import Frame, Pixels
from mesovid.settings import SampleSettings
from mesovid.texts import parse_json
from mesovid.video import sample

MARK = "damage.json"  # in the folder of copies: what was done to them
NEARLY_LOSSLESS = 12  # CRF at which damage other than H.264 is written
_CLOCK = Fraction(1, 90_000)  # seconds a tick of the copies' timestamps
_COLUMNS = (
    "file",
    "label",
    "method",
    "original",
    "split",
    "target",
    "source",
    "group",
    "collection",
)


@dataclass(frozen=True, slots=True)
class Copy:
    """One video's copy; `error` says why there is none."""

    video: str
    error: str | None = None


def degrade_videos(
    sources: Sequence[Source],
    folder: Path,
    degradations: Sequence[Degradation],
    workers: int,
    on_copy: Callable[[Copy], None] = lambda _: None,
) -> tuple[Copy, ...]:
    """Write a damaged copy of each video, and a `manifest.csv` that `mesovid extract` reads.

    Damages are done in the order given; H.264, which is how the copies are written, can only be the
    last. Copies keep their keys, so that scores can be compared video by video. Those that are
    there already are left as they are. Raises DatasetError when there is no video, or when the
    folder holds copies with other damage, and SettingsError when H.264 is to come before other
    damage.
    """
    if any(each.kind == "h264" for each in degradations[:-1]):
        raise SettingsError(
            f"h264 must be the last damage of {_text(degradations)}: the copies are written by it"
        )
    videos = [
        source for source in sources if len(source.files) == 1 and not is_picture(source.files[0])
    ]
    if not videos:
        raise DatasetError("no video to damage; for pictures: mesovid evaluate --degrade")
    _mark(folder, _text(degradations))
    jobs = [
        (source.video, source.files[0], _place(folder, source), _text(degradations))
        for source in videos
    ]
    copies = []
    for copy in _copied(jobs, workers):
        on_copy(copy)
        copies.append(copy)
    failed = {copy.video for copy in copies if copy.error}
    _write_manifest(folder, [source for source in videos if source.video not in failed])
    return tuple(copies)


def degrade_video(source: Path, target: Path, degradations: Sequence[Degradation]) -> None:
    """Write a damaged copy as H.264 in MP4, without sound, whole or not at all.

    InputError when the video cannot be read.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    options = x264_options(NEARLY_LOSSLESS) | {"preset": "ultrafast"}
    if degradations[-1].kind == "h264":
        options = x264_options(degradations[-1].amount) | {"preset": "medium"}
    with (
        whole(target) as partial,
        sample(source, SampleSettings(every=1)) as frames,
        av.open(str(partial), "w") as container,
    ):
        rate = Fraction(frames.info.fps or 25).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height = frames.info.width // 2 * 2, frames.info.height // 2 * 2
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = _CLOCK
        for number, frame in enumerate(frames):
            image = _damaged(frame, degradations)
            if not number:  # damage may have made it smaller
                stream.height, stream.width = image.shape[:2]
            image = _fitted(image, stream.width, stream.height)
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.pts, picture.time_base = round(frame.time / _CLOCK), _CLOCK
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def _damaged(frame: Frame, degradations: Sequence[Degradation]) -> np.ndarray:
    """A frame with even sides, as the codec wants them.

    It has all the damage but the codec's own.
    """
    image = _even(frame.image)
    for each in degradations:
        if each.kind != "h264":
            image = KINDS[each.kind].apply([image], each.amount)[0]
    return _even(image)


def _even(image: Pixels) -> Pixels:
    height, width = image.shape[:2]
    return np.ascontiguousarray(image[: height - height % 2, : width - width % 2])


def _fitted(image: Pixels, width: int, height: int) -> Pixels:
    """A frame of another size, as large as fits on black.

    A stream may change its size; its copy has one size.
    """
    if image.shape[:2] == (height, width):
        return image
    zoom = min(width / image.shape[1], height / image.shape[0])
    across, down = (max(1, round(side * zoom)) for side in (image.shape[1], image.shape[0]))
    left, top = (width - across) // 2, (height - down) // 2
    frame = np.zeros((height, width, 3), np.uint8)
    frame[top : top + down, left : left + across] = scaled(image, across, down)
    return frame


def _text(degradations: Sequence[Degradation]) -> str:
    return ",".join(map(str, degradations))


def _copied(jobs: Sequence[tuple[str, Path, Path, str]], workers: int) -> Iterator[Copy]:
    folders = {target.parent for _, _, target, _ in jobs}
    try:
        for (video, *_), outcome in run(jobs, _copy, 0 if workers == 1 else workers):
            yield Copy(video, outcome.reason) if isinstance(outcome, Crash) else outcome
    finally:  # what killed workers left
        for folder in folders:
            remove_leftovers(folder)


def _copy(job: tuple[str, Path, Path, str]) -> Copy:
    video, source, target, damage = job
    if target.exists():
        return Copy(video)
    try:
        degrade_video(source, target, parse(damage))
    except (InputError, OSError) as error:
        return Copy(video, str(error))
    return Copy(video)


def _place(folder: Path, source: Source) -> Path:
    return folder / f"{source.video}.mp4"


def _mark(folder: Path, damage: str) -> None:
    """Note in the folder what is done to its videos.

    DatasetError when something else was done to them, or when they are not ours.
    """
    mark = folder / MARK
    if mark.is_file():
        found = parse_json(mark.read_text(encoding="utf-8")).get("damage")
        if found != damage:
            raise DatasetError(
                f"{folder} holds videos with damage {found}; give {damage} a folder of its own"
            )
        return
    if folder.is_dir() and any(folder.iterdir()):
        raise DatasetError(
            f"{folder} is not empty and holds no copies made by mesovid degrade; name a new folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(mark, json.dumps({"damage": damage}).encode())


def _write_manifest(folder: Path, sources: Sequence[Source]) -> None:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for source in sources:
        about = {name: getattr(source, name) or "" for name in _COLUMNS[1:]}
        writer.writerow({"file": f"{source.video}.mp4", **about})
    write_whole(folder / "manifest.csv", stream.getvalue().encode(errors="surrogateescape"))

"""Cuts the aligned faces out of one video or set of pictures: scan without its classifier. Runs in
worker processes."""

from __future__ import annotations

import logging
import os
import shutil
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from mesovid.crops import cut_out, find
from mesovid.dataset.manifest import CropEntry
from mesovid.dataset.sources import Source, is_key
from mesovid.errors import InputError, MesovidError, without_path
from mesovid.faces import FaceFinder
from mesovid.files import FULL_DISK
from mesovid.media import is_picture
from mesovid.opencv import cv2
from mesovid.people import PeopleLinker
from mesovid.pictures import encode
from mesovid.records import Crop, Face, Frame, FrameFaces, Pixels
from mesovid.settings import (
    ExtractSettings,
    FaceSettings,
    Geometry,
    RuntimeSettings,
    SampleSettings,
)
from mesovid.video import sample

_log = logging.getLogger(__name__)

BATCH = 16  # frames that pass the detector at once
PICTURES = 32  # pictures that make up one job
# of a picture's longer side: grey around a picture in which no face was found, for faces cropped
# tightly
BORDER = 0.5
GREY = (128, 128, 128)
THUMBNAIL = 32  # px, side at which near-duplicates are compared

Status = Literal["ok", "skipped", "failed"]  # skipped: looked at, and no crop was fit
Shot = int


@dataclass(frozen=True, slots=True, kw_only=True)
class CutSettings:
    """All that decides what is cut out."""

    geometry: Geometry
    sample: SampleSettings
    faces: FaceSettings
    runtime: RuntimeSettings
    extract: ExtractSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one video."""

    video: str
    label: str
    method: str | None
    split: str | None
    status: Status
    frames: int = 0  # looked at
    crops: tuple[CropEntry, ...] = ()
    dropped: dict[str, int] = field(default_factory=dict)  # reason -> frames or faces
    reason: str | None = None  # of a status other than ok
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CutJob:
    """What one worker does in one go: a video, or pictures that pass the detector together."""

    number: int
    sources: tuple[Source, ...]
    originals: tuple[Source | None, ...]  # of each source, where --pair wants it


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """A crop that waits in the staging folder."""

    entry: CropEntry
    staged: Path
    shot: Shot
    area: float  # px of the face's box
    sharpness: float
    thumbnail: npt.NDArray[np.int16]  # (THUMBNAIL, THUMBNAIL) grey


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """The faces of a video that has been looked through."""

    video: str
    found: tuple[FrameFaces, ...]  # the images have their sizes, but no pixels


class Cutter:
    """Keeps the detector loaded. Writes below `root`; `stage` is a folder of its own on the same
    file system."""

    def __init__(self, root: Path, stage: Path, settings: CutSettings) -> None:
        self._root = root
        self._stage = stage
        self._settings = settings
        self._finder = FaceFinder(settings.faces, settings.runtime)
        self._staged = 0  # files written to the staging folder so far
        self._known: _Known | None = None  # the last original, where fakes want its faces

    def cut(self, job: CutJob) -> list[Result]:
        """Cut all sources of a job; one that cannot be read is a result, too. Raises DatasetError
        on a full disk."""
        shutil.rmtree(self._stage, ignore_errors=True)
        self._stage.mkdir(parents=True)
        if is_picture(job.sources[0].files[0]):
            return self._cut_pictures(job)
        return [
            self._guarded(source, original)
            for source, original in zip(job.sources, job.originals, strict=True)
        ]

    def _guarded(self, source: Source, original: Source | None) -> Result:
        try:
            return self._cut_video(source, original)
        except Exception as error:
            _log.debug("%s failed", source.video, exc_info=error)
            return failed(source, _reason(error, source.files[0]))

    # Videos

    def _cut_video(self, source: Source, original: Source | None) -> Result:
        warnings: list[str] = []
        with (
            sample(source.files[0], self._settings.sample) as sampling,
            closing(self._found(sampling, source, original, warnings)) as found,
        ):
            frames, dropped, cuts = self._stage_all(source, found)
            warnings += sampling.warnings
        return self._finish(source, frames, dropped, cuts, warnings)

    def _found(
        self,
        frames: Iterable[Frame],
        source: Source,
        original: Source | None,
        warnings: list[str],
    ) -> Generator[FrameFaces, None, None]:
        """The faces of a video's frames, where its original shows them if there is one."""
        if original is not None:
            try:
                known = self._faces_of(original)
            except (MesovidError, OSError) as error:
                why = _reason(error, original.files[0])
                warnings.append(f"own boxes: its original cannot be read ({why})")
            else:
                yield from (_borrowed(frame, known) for frame in frames)
                return
        with closing(find(frames, self._finder, BATCH)) as found:
            if self._settings.extract.pair and original is None:
                yield from self._remembered(source, found)
            else:
                yield from found

    def _faces_of(self, original: Source) -> tuple[FrameFaces, ...]:
        """The faces of an original, without its pictures."""
        if self._known is None or self._known.video != original.video:
            with (
                sample(original.files[0], self._settings.sample) as sampling,
                closing(find(sampling, self._finder, BATCH)) as found,
            ):
                for _ in self._remembered(original, found):
                    pass
        assert self._known is not None
        return self._known.found

    def _remembered(self, source: Source, found: Iterable[FrameFaces]) -> Iterator[FrameFaces]:
        """The same, kept without their pictures for the fakes that come next."""
        kept = []
        for item in found:
            kept.append(replace(item, frame=_sized(item.frame, item.frame.image.shape)))
            yield item
        self._known = _Known(source.video, tuple(kept))

    # Pictures

    def _cut_pictures(self, job: CutJob) -> list[Result]:
        """All pictures of a job pass the detector together; those without a face once more with a
        border."""
        frames: dict[str, list[Frame]] = {}
        results: dict[str, Result] = {}
        for source in job.sources:
            try:
                frames[source.video] = [
                    _read_picture(file, i) for i, file in enumerate(source.files)
                ]
            except Exception as error:
                results[source.video] = failed(source, _reason(error, *source.files))
        borrowed = self._borrow(job, frames)
        own = [frame for video, read in frames.items() if video not in borrowed for frame in read]
        faces = iter(self._find(own))
        for source in job.sources:
            if source.video not in frames:
                continue
            read = frames[source.video]
            per_frame = borrowed.get(source.video) or [next(faces) for _ in read]
            found = [
                FrameFaces(frame, each, True) for frame, each in zip(read, per_frame, strict=True)
            ]
            try:
                results[source.video] = self._finish(source, *self._stage_all(source, found), [])
            except Exception as error:
                results[source.video] = failed(source, _reason(error, *source.files))
        return [results[source.video] for source in job.sources]

    def _borrow(
        self, job: CutJob, frames: dict[str, list[Frame]]
    ) -> dict[str, list[tuple[Face, ...]]]:
        """The faces of the originals of those sources that have one with as many pictures of the
        same sizes."""
        pairs: dict[str, list[Frame]] = {}
        for source, original in zip(job.sources, job.originals, strict=True):
            if original is None or source.video not in frames:
                continue
            try:
                read = [_read_picture(file, i) for i, file in enumerate(original.files)]
            except (MesovidError, OSError):
                continue
            if [f.image.shape for f in read] == [f.image.shape for f in frames[source.video]]:
                pairs[source.video] = read
        found = iter(self._find([frame for read in pairs.values() for frame in read]))
        borrowed = {video: [next(found) for _ in read] for video, read in pairs.items()}
        return {video: faces for video, faces in borrowed.items() if any(faces)}

    def _find(self, frames: Sequence[Frame]) -> list[tuple[Face, ...]]:
        images = [frame.image for frame in frames]
        faces = self._find_batched(images)
        missed = [i for i, found in enumerate(faces) if not found]
        edges = [round(BORDER * max(images[i].shape[:2])) for i in missed]
        bordered = [
            cv2.copyMakeBorder(images[i], edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=GREY)
            for i, edge in zip(missed, edges, strict=True)
        ]
        for i, edge, found in zip(missed, edges, self._find_batched(bordered), strict=True):
            faces[i] = tuple(face.moved(-edge, -edge) for face in found)
        return faces

    def _find_batched(self, images: Sequence[Pixels]) -> list[tuple[Face, ...]]:
        found: list[tuple[Face, ...]] = []
        for start in range(0, len(images), PICTURES):
            found += self._finder.find(images[start : start + PICTURES])
        return found

    # Both

    def _stage_all(
        self, source: Source, found: Iterable[FrameFaces]
    ) -> tuple[int, Counter[str], list[_Cut]]:
        """Write every face's crop to the staging folder: a long video must not fill the memory."""
        pictures = is_picture(source.files[0])
        frames = 0
        dropped: Counter[str] = Counter()
        cuts = []
        for each in cut_out(found, self._settings.geometry, apart=pictures):
            frames += 1
            dropped["no face in the frame"] += not each.crops
            cuts += [self._stage_one(source, crop, each.shot) for crop in each.crops]
        return frames, dropped, cuts

    def _stage_one(self, source: Source, crop: Crop, shot: Shot) -> _Cut:
        grey = cv2.cvtColor(crop.pixels, cv2.COLOR_RGB2GRAY)
        entry = _entry(source, crop, self._settings.extract.format)
        self._staged += 1
        staged = self._stage / f"{self._staged}.{self._settings.extract.format}"
        how = self._settings.extract
        staged.write_bytes(encode(crop.pixels, how.format, how.jpeg_quality, quick=True))
        small = cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
        return _Cut(
            entry=entry,
            staged=staged,
            shot=shot,
            area=crop.face.area,
            sharpness=sharpness(grey),
            thumbnail=small.astype(np.int16),
        )

    def _finish(
        self,
        source: Source,
        frames: int,
        dropped: Counter[str],
        cuts: list[_Cut],
        warnings: list[str],
    ) -> Result:
        """Choose among the staged crops and move those to their place."""
        if not is_key(source.video) or not is_key(source.split or "-"):
            raise InputError(f"its crops would lie outside of {self._root}")
        kept, reasons = choose(cuts, self._settings.extract)
        dropped += reasons
        for cut in kept:
            place = self._root / cut.entry.file
            place.parent.mkdir(parents=True, exist_ok=True)
            os.replace(cut.staged, place)
        result = Result(
            video=source.video,
            label=source.label,
            method=source.method,
            split=source.split,
            status="ok" if kept else "skipped",
            frames=frames,
            crops=tuple(cut.entry for cut in kept),
            dropped={reason: n for reason, n in sorted(dropped.items()) if n},
            warnings=tuple(warnings),
        )
        if kept:
            return result
        if not frames:
            return replace(result, status="failed", reason="no frame of it could be read")
        why = "no face was found" if not cuts else f"no face was fit: {', '.join(sorted(reasons))}"
        return replace(result, reason=f"{why} in {frames} {'frame' if frames == 1 else 'frames'}")


def choose(cuts: Sequence[_Cut], settings: ExtractSettings) -> tuple[list[_Cut], Counter[str]]:
    """The crops that pass the quality settings, and how many others fail for which reason."""
    dropped: Counter[str] = Counter()
    kept = [cut for cut in cuts if cut.sharpness >= settings.min_sharpness]
    dropped["blurred"] = len(cuts) - len(kept)
    if settings.people == "main":
        main = _main_people(kept)
        dropped["not the main person"] = sum(
            (cut.shot, cut.entry.person) not in main for cut in kept
        )
        kept = [cut for cut in kept if (cut.shot, cut.entry.person) in main]
    if settings.distinct:
        different = _distinct(kept, settings.distinct)
        dropped["near-duplicate"] = len(kept) - len(different)
        kept = different
    if settings.per_video is not None and len(kept) > settings.per_video:
        dropped["more than --per-video"] = len(kept) - settings.per_video
        middles = (np.arange(settings.per_video) + 0.5) * len(kept) / settings.per_video
        kept = [kept[int(at)] for at in middles]
    return kept, +dropped


def sharpness(grey: npt.NDArray[np.uint8]) -> float:
    """Variance of the Laplacian of grey values (h, w), after Pech-Pacheco et al. 2000.

    Low for blur, and for darkness. Medians of 256 px crops: 40 on FaceForensics++ c23, 36 on DFDC,
    14 on LFW, whose faces are enlarged; below 10 lie 1, 9 and 25 % of them.
    """
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def failed(source: Source, reason: str) -> Result:
    """The result of a video that could not be read."""
    return Result(
        video=source.video,
        label=source.label,
        method=source.method,
        split=source.split,
        status="failed",
        reason=reason,
    )


def _reason(error: Exception, *files: Path) -> str:
    """One line for a person, without the names of the files. A full disk is not the video's fault:
    it ends the run."""
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        raise error
    if isinstance(error, MesovidError):
        return without_path(error, files[0]) if len(files) == 1 else str(error)
    if isinstance(error, OSError):
        return error.strerror or str(error)
    # a defect met in one file of an archive must not cost the others
    return f"unexpected {type(error).__name__}: {error}".replace("\n", " ")


def _read_picture(file: Path, index: int) -> Frame:
    with sample(file, SampleSettings(frames=1)) as sampling:  # of an animation the middle
        (frame,) = sampling
    return replace(frame, index=index)


def _entry(source: Source, crop: Crop, suffix: str) -> CropEntry:
    face = crop.face
    left, top, right, bottom = (round(float(value), 2) for value in face.box)
    place = "/".join(part for part in (source.split, source.label, source.video) if part)
    return CropEntry(
        file=f"{place}/{crop.index:06d}_{crop.person}.{suffix}",
        label=source.label,
        method=source.method,
        video=source.video,
        frame=crop.index,
        time=None if is_picture(source.files[0]) else round(crop.time, 6),
        person=crop.person,
        split=source.split,
        target=source.target,
        source=source.source,
        original=source.original,
        group=source.group,
        collection=source.collection,
        box=(left, top, right, bottom),
        landmarks=tuple((round(float(x), 2), round(float(y), 2)) for x, y in face.landmarks),
        confidence=round(face.confidence, 4),
    )


def _main_people(cuts: Sequence[_Cut]) -> set[tuple[Shot, int]]:
    """Who covers most of the picture over each shot: a person's face areas added up."""
    area: Counter[tuple[Shot, int]] = Counter()
    for cut in cuts:
        area[cut.shot, cut.entry.person] += cut.area  # type: ignore[assignment]
    best: dict[Shot, tuple[float, int]] = {}
    for (shot, person), total in area.items():
        # of equals the one seen first
        best[shot] = max(best.get(shot, (-1.0, 0)), (total, -person))
    return {(shot, -person) for shot, (_, person) in best.items()}


def _distinct(cuts: Sequence[_Cut], difference: float) -> list[_Cut]:
    """Those that differ from the last one kept of the same person by a mean of at least so many
    grey levels."""
    last: dict[int, npt.NDArray[np.int16]] = {}
    kept = []
    for cut in cuts:
        before = last.get(cut.entry.person)
        if before is None or np.abs(cut.thumbnail - before).mean() >= difference:
            kept.append(cut)
            last[cut.entry.person] = cut.thumbnail
    return kept


# --pair: an original's faces on the frames of a fake


def _borrowed(frame: Frame, known: Sequence[FrameFaces]) -> FrameFaces:
    """A fake's frame with the faces of its original at that frame, put between two samples of one
    shot where need be."""
    at = [item.frame.index for item in known]
    after = int(np.searchsorted(at, frame.index))
    if after < len(at) and at[after] == frame.index:
        return FrameFaces(frame, _at_size(known[after], frame).faces, known[after].cut)
    if after in (0, len(at)) or known[after].cut:
        return FrameFaces(frame, (), False)
    before, behind = _at_size(known[after - 1], frame), _at_size(known[after], frame)
    share = (frame.index - at[after - 1]) / (at[after] - at[after - 1])
    linker = PeopleLinker()
    first = dict(zip(linker.link(before), before.faces, strict=True))
    then = dict(zip(linker.link(behind), behind.faces, strict=True))
    shared = sorted(first.keys() & then.keys())
    return FrameFaces(frame, tuple(first[i].between(then[i], share) for i in shared), False)


def _at_size(item: FrameFaces, like: Frame) -> FrameFaces:
    """Faces in pixels of another frame of the same picture, whatever the size of either."""
    (height, width), (new_height, new_width) = item.frame.image.shape[:2], like.image.shape[:2]
    faces = tuple(face.scaled(new_width / width, new_height / height) for face in item.faces)
    return replace(item, frame=_sized(item.frame, like.image.shape), faces=faces)


def _sized(frame: Frame, shape: tuple[int, ...]) -> Frame:
    """The frame with an image of this height and width, but without pixels."""
    return replace(frame, image=np.empty((*shape[:2], 0), np.uint8))

"""The scanning process of a server: one scan at a time.

Progress and faces are files in the scan's own folder.

A decoder that crashes takes this process along and not the server. What it finds goes to
`events.jsonl`, a line each; the server reads along. A file `cancel` in the folder ends the scan
at the next frame.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mesovid.align import align
from mesovid.errors import InputError, MesovidError
from mesovid.pictures import encode, scaled
from mesovid.records import Crop, FaceScore, Failure, FrameFaces, Pixels, Scan
from mesovid.scanner import Options, Scanner
from mesovid.settings import Geometry
from mesovid.video import Sampling, frames_at

_log = logging.getLogger(__name__)

EVENTS = "events.jsonl"
CANCEL = "cancel"
FRAME_SIDE = 1280  # px, longer side of the pictures of frames that are kept
FRAME_QUALITY = 85  # of their JPEG
FRAMES_KEPT = 400  # of a scan; beyond that their faces alone are
CANCELLED = "cancelled"
SAME_TIME = 0.002  # s; a recorded time is rounded to 0.001


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """What the worker is given."""

    folder: Path
    path: Path
    name: str  # for messages and results, in place of the path
    options: Options


class CancelError(Exception):
    """The scan is no longer wanted."""


_scanners: dict[tuple[Any, ...], Scanner] = {}  # of this process: the last few


@dataclass(frozen=True, slots=True)
class FacesRequest:
    """A recorded scan whose faces are to be cut out of its clip once more."""

    folder: Path
    path: Path
    name: str
    scan: Scan
    geometry: Geometry


def work(job: ScanRequest | FacesRequest) -> Scan | Failure:
    """Scan one upload, or cut the faces of a recorded scan.

    The result speaks of the user's name for the file, never of where it lies.
    """
    notes = _Notes(job)
    try:
        if isinstance(job, FacesRequest):
            _cut(job, notes)
            return job.scan
        scan = _scanner(job.options).scan(job.path, notes.crops, notes.frame, notes.opened)
    except CancelError:
        return Failure(job.name, CANCELLED)
    except MesovidError as error:
        return Failure(job.name, _renamed(str(error), job))
    except OSError as error:
        return Failure(job.name, f"{job.name}: {error.strerror or error}")
    except Exception as error:
        _log.exception("a defect met in a scan")
        return Failure(
            job.name, f"{job.name}: unexpected {type(error).__name__}: {_renamed(str(error), job)}"
        )
    finally:
        notes.close()
    return replace(scan, video=replace(scan.video, path=job.name))


def warm(options: Options) -> None:
    """Load the networks before the first scan."""
    _scanner(options)


def _scanner(options: Options) -> Scanner:
    key = (options.scan.model, options.faces, options.runtime)
    if key not in _scanners:
        while len(_scanners) >= 3:
            _scanners.pop(next(iter(_scanners)))
        _scanners[key] = Scanner(
            options.scan.model, face_settings=options.faces, runtime_settings=options.runtime
        )
    scanner = _scanners[key]
    scanner.options = options
    return scanner


def _cut(job: FacesRequest, notes: _Notes) -> None:
    """Write the crops of a recorded scan, from the very frames that were judged.

    InputError when the clip is another one by now.
    """
    numbered: dict[int, list[int]] = {}
    for n, score in enumerate(job.scan.scores):
        numbered.setdefault(score.index, []).append(n)
    missing = set(numbered)
    for frame in frames_at(job.path, sorted(numbered), job.scan.settings.get("stream")):
        notes.check()
        missing.discard(frame.index)
        for n in numbered[frame.index]:
            score = job.scan.scores[n]
            if abs(frame.time - score.time) > SAME_TIME:
                raise InputError(f"{job.path}: not the file that was scanned: other frame times")
            notes.keep(n, align(frame.image, score.face.landmarks, job.geometry))
        notes.keep_frame(frame.index, frame.image)
    if missing:
        raise InputError(f"{job.path}: not the file that was scanned: it has fewer frames")


def _renamed(text: str, job: ScanRequest | FacesRequest) -> str:
    return text.replace(str(job.path), job.name).replace("\n", " ")


class _Notes:
    """Writes down what a scan shows on its way."""

    def __init__(self, job: ScanRequest | FacesRequest) -> None:
        self._folder = job.folder
        self._events = (job.folder / EVENTS).open("a", encoding="utf-8")
        self._frames = self._faces = self._kept = 0
        self._sampling: Sampling | None = None

    def opened(self, sampling: Sampling) -> None:
        self._sampling = sampling

    def check(self) -> None:
        """CancelError when the job is no longer wanted."""
        if (self._folder / CANCEL).exists():
            raise CancelError

    def frame(self, found: FrameFaces) -> None:
        self.check()
        self._frames += 1
        if found.faces:
            self.keep_frame(found.frame.index, found.frame.image)
        planned = self._sampling.planned if self._sampling is not None else None
        of = None if planned is None else max(planned, self._frames)
        self._say({"event": "running", "frames": self._frames, "of": of, "faces": self._faces})

    def crops(self, _path: str, crops: Sequence[Crop], scores: Sequence[FaceScore]) -> None:
        for crop, score in zip(crops, scores, strict=True):
            self.keep(self._faces, crop.pixels)
            self._say(
                {
                    "event": "face",
                    "n": self._faces,
                    "index": crop.index,
                    "time": round(crop.time, 3),
                    "person": crop.person,
                    "fake_probability": round(score.fake_probability, 6),
                }
            )
            self._faces += 1

    def keep(self, n: int, pixels: Pixels) -> None:
        """Write a face, by its number."""
        (self._folder / f"face-{n}.png").write_bytes(encode(pixels, quick=True))

    def keep_frame(self, index: int, image: Pixels) -> None:
        """Write a frame, as long as there are few."""
        self._kept += 1
        if self._kept <= FRAMES_KEPT:
            _write_frame(self._folder / f"frame-{index}.jpg", image)

    def close(self) -> None:
        self._events.close()

    def _say(self, event: dict[str, Any]) -> None:
        self._events.write(json.dumps(event) + "\n")
        self._events.flush()


def _write_frame(path: Path, image: Pixels) -> None:
    height, width = image.shape[:2]
    factor = FRAME_SIDE / max(height, width)
    if factor < 1:
        size = max(1, round(width * factor)), max(1, round(height * factor))
        image = scaled(image, *size)
    path.write_bytes(encode(image, "jpg", FRAME_QUALITY))

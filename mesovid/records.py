"""The value objects that pass between stages. Frozen; numpy inside; no behaviour beyond derived facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]  # (height, width, 3) RGB
Label = Literal["fake", "real", "uncertain"]
Status = Literal["ok", "no_face", "too_few_faces", "error"]
Box = tuple[float, float, float, float]  # left, top, right, bottom; px


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a container says of its first video stream, without decoding it."""

    path: str
    width: int  # px, as displayed: rotation applied
    height: int  # px, as displayed
    fps: float | None  # average frames a second; None when unknown
    frame_count: int | None  # None when the container does not say, or says nonsense
    duration: float | None  # seconds; None when unknown


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded picture of a video."""

    index: int  # decode order, from 0
    time: float  # seconds, from the stream's timestamps
    image: Pixels  # (height, width, 3) RGB


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One detected face, in pixels of the frame it was found in; parts may lie outside of it."""

    box: Box
    confidence: float  # of the detector, 0 to 1
    landmarks: npt.NDArray[
        np.float32
    ]  # (5, 2) px: eye, eye, nose, mouth corner, mouth corner; viewer's left first


@dataclass(frozen=True, slots=True, eq=False)
class FrameFaces:
    """A frame with the faces that were found in it."""

    frame: Frame
    faces: tuple[Face, ...]
    cut: bool  # the first sampled frame of a new shot


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """One aligned face, as a classifier wants it."""

    index: int  # of the frame
    time: float  # seconds
    face: Face
    person: int  # id within the video, from 0
    pixels: Pixels  # (size, size, 3) RGB


@dataclass(frozen=True, slots=True, eq=False)
class FaceScore:
    """The judgement of one face in one frame."""

    index: int
    time: float  # seconds
    face: Face
    person: int
    fake_probability: float  # 0 to 1


@dataclass(frozen=True, slots=True)
class Person:
    """One person's faces over a video, judged together."""

    id: int
    fake_probability: float
    faces: int  # how many were scored
    first_time: float  # seconds
    last_time: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of time in which one person looks fake."""

    start: float  # seconds
    end: float
    person: int
    fake_probability: float  # mean over the run


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one video. Only status `ok` carries a label and a number."""

    label: Label | None
    fake_probability: float | None
    status: Status
    reason: str  # one sentence


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame that was looked at, without its pixels."""

    index: int
    time: float  # seconds


@dataclass(frozen=True, slots=True)
class ModelRef:
    """Which model judged: enough to tell two models of one name apart."""

    name: str
    sha256: str  # of the weight file
    threshold: float


@dataclass(frozen=True, slots=True)
class Scan:
    """Everything that a scan found out about one video; a report needs nothing else."""

    video: VideoInfo
    model: ModelRef
    settings: Mapping[str, Any]
    sampled: tuple[Moment, ...]  # every frame looked at, with or without a face
    scores: tuple[FaceScore, ...]
    people: tuple[Person, ...]
    segments: tuple[Segment, ...]
    verdict: Verdict
    seconds: Mapping[str, float] = field(default_factory=dict)  # per stage, and `total`
    warnings: tuple[str, ...] = ()  # what was odd about the input, one sentence each


@dataclass(frozen=True, slots=True)
class Failure:
    """A video that could not be scanned, and why. Not a Scan, never a score."""

    path: str
    error: str

"""The value objects that pass between stages.

They are frozen, hold numpy, and do nothing but derive facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mesovid import boxes
from mesovid.boxes import Box as Box

Pixels = npt.NDArray[np.uint8]  # (height, width, 3) RGB
Label = Literal["fake", "real", "uncertain"]
Status = Literal["ok", "no_face", "too_few_faces", "error"]


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a container says of its first video stream, without decoding it."""

    path: str
    width: int  # px, as displayed: rotation applied
    height: int  # px, as displayed
    fps: float | None  # average frames a second; None when unknown
    frame_count: int | None  # None when the container does not say, or says nonsense
    duration: float | None  # seconds; None when unknown

    @property
    def is_picture(self) -> bool:
        """Whether it is a still picture, whatever its name."""
        return self.frame_count == 1 and self.fps is None and self.duration is None


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
    # (5, 2) px: eye, eye, nose, mouth corner, mouth corner; viewer's left first
    landmarks: npt.NDArray[np.float32]

    @property
    def side(self) -> float:
        """The longer side of its box, in px."""
        return boxes.side(self.box)

    @property
    def area(self) -> float:
        """What its box covers, in square px."""
        return boxes.area(self.box)

    def between(self, other: Face, t: float) -> Face:
        """The face at `t` of the way to where it is in another frame; as sure as the less sure."""
        return Face(
            boxes.between(self.box, other.box, t),
            min(self.confidence, other.confidence),
            self.landmarks + (other.landmarks - self.landmarks) * np.float32(t),
        )

    def scaled(self, across: float, down: float) -> Face:
        """The face in a picture that is so many times as wide and as high."""
        landmarks = self.landmarks * np.array([across, down], np.float32)
        return Face(boxes.scaled(self.box, across, down), self.confidence, landmarks)

    def moved(self, right: float, down: float) -> Face:
        """The face so many px further to the right and down."""
        landmarks = self.landmarks + np.array([right, down], np.float32)
        return Face(boxes.moved(self.box, right, down), self.confidence, landmarks)


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
    members: tuple[
        float, ...
    ] = ()  # of a panel, what each of its models says; in the order of ModelRef.members
    detail: float | None = None  # `align.detail` of its crop; None where it was not measured


@dataclass(frozen=True, slots=True)
class Person:
    """One person's faces over a video, judged together."""

    id: int
    fake_probability: float
    faces: int  # how many were scored
    first_time: float  # seconds
    last_time: float
    members: tuple[float, ...] = ()  # of a panel, as in FaceScore


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
    # kinds of fakes that there is no sign of, as the model calls them: "swapped faces"
    cleared: tuple[str, ...] = ()


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
    members: tuple[str, ...] = ()  # of a panel, the names of its models


# what a file says of its making, what matters most first; `unread` is what could not be read
Made = Literal["ai", "partly ai", "perhaps ai", "camera", "other", "unread"]


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a file says of where it came from: a claim of whoever wrote it."""

    source: str  # Content Credentials, AIGC label, XMP, metadata
    made: Made
    tool: str | None = None  # what made it, or who, in its own words
    signer: str | None = None  # whom the certificate names
    intact: bool | None = None  # signature and content fit; None where nothing is signed


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
    declared: tuple[Declaration, ...] = ()  # what the file says of its making


@dataclass(frozen=True, slots=True)
class Failure:
    """A video that could not be scanned, and why. Not a Scan, never a score."""

    path: str
    error: str


# of a layer's maps, in the words of the field
Stage = Literal["raw", "activated", "pooled", "normalised"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One step of a network that gives maps or units, with what directly follows it."""

    name: str  # such as conv2, concat1, dense1, logit; counted by kind in the network's order
    # input, convolution, depthwise, dense; or the operator that joins maps: concat, add, mul ...
    kind: str
    filters: int  # maps or units that it gives
    inputs: int  # maps or units that one filter reads
    kernel: tuple[int, int] | None  # rows, columns; None where nothing was learned
    dilation: int  # px from one weight of a kernel to the next
    sources: tuple[str, ...]  # layers that feed it
    # of its stages, in their order: (filters, rows, columns) or (units,)
    shapes: Mapping[Stage, tuple[int, ...]]

    @property
    def last(self) -> Stage:
        """The stage that shows what the layer found: activated where it has an activation."""
        return "activated" if "activated" in self.shapes else "raw"


@dataclass(frozen=True, slots=True, eq=False)
class Activation:
    """What a layer makes of some faces."""

    layer: Layer
    # a stage each: (faces, filters, rows, columns) or (faces, units)
    maps: Mapping[Stage, npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class Firing:
    """How much the filters of a layer have to say, over the faces that were looked at."""

    layer: Layer
    faces: int  # how many were looked at
    share: npt.NDArray[np.float64]  # (filters,): fraction of faces on which it is above 0 somewhere
    least: npt.NDArray[np.float32]  # (filters,): over all faces and places, activated
    most: npt.NDArray[np.float32]
    dead: tuple[int, ...]  # filters, from 0, that gave one and the same number everywhere


@dataclass(frozen=True, slots=True)
class Share:
    """One summand of a logit."""

    name: str  # unit 1, or the part of the face: eyes
    value: float  # above 0 speaks for fake


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """How the logit of one face came about.

    `shares` and `bias` add up to it, and so do `cells` and `constant`.
    """

    logit: float  # of P(fake), before calibration
    # votes of the units of the last hidden layer, or of parts of the face
    shares: tuple[Share, ...]
    bias: float
    # (rows, columns) of the last maps, from top left; above 0 speaks for fake
    cells: npt.NDArray[np.float64]
    constant: float  # what does not depend on any cell
    layer: str  # whose last maps the cells are


@dataclass(frozen=True, slots=True, eq=False)
class Occlusion:
    """What the logit of one face hangs on: how far it falls when a cell is covered."""

    logit: float  # of P(fake), before calibration, with nothing covered
    # (n, n), from top left: logit less that with the cell covered; above 0 speaks for fake
    cells: npt.NDArray[np.float64]
    fill: str  # what the cells were covered with: mean (the crop's mean colour) or blur


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a crop, px: from left and top, up to but without right and bottom."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """What a filter makes of one of the maps that it reads."""

    source: int  # which of those maps, from 0
    place: tuple[int, int]  # row and column of the patch's first number; below 0: in the border
    patch: npt.NDArray[np.float64]  # (rows, columns); 0 in the border
    kernel: npt.NDArray[np.float64]  # (rows, columns)
    value: float  # sum of the products


@dataclass(frozen=True, slots=True)
class Step:
    """A number on its way through the stages of a layer."""

    stage: Stage
    operator: str  # of the network's file, such as Relu
    value: float | None  # None: no window of the pooling covers the place
    place: tuple[int, int] | None  # row and column
    numbers: Mapping[str, float]  # the place that won a pooling; what a normalisation does


@dataclass(frozen=True, slots=True, eq=False)
class Arithmetic:
    """How one number of a map came about."""

    layer: Layer
    filter: int  # from 0
    row: int  # of the raw map
    column: int
    terms: tuple[Term, ...]
    bias: float
    total: float  # of the terms and the bias; the raw step is the same by the network
    steps: tuple[Step, ...]
    reach: Region  # the part of the crop that it depends on

"""What a page shows beside a scan: of the model, of the clip, and pictures.

It is made beforehand, so that a page knows no model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mesovid.records import FaceScore


@dataclass(frozen=True, slots=True)
class Rate:
    """A measured fraction, 0 to 1, with its 95 % interval where it is known."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class ErrorRates:
    """What a model answers on videos of which the truth is known."""

    data: str  # such as "FF++ c23 dev"
    reals: int | None = None  # how many real videos were measured
    fakes: int | None = None
    real_called_fake: Rate | None = None
    real_uncertain: Rate | None = None
    fake_called_fake: Rate | None = None
    fake_uncertain: Rate | None = None
    real_cleared: Rate | None = None  # uncertain, without a sign of what the model can see
    fake_cleared: Rate | None = None
    damaged: bool = False  # the same videos as another entry's, made worse


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the card of the model that judged says."""

    summary: str
    threshold: float
    band: tuple[float, float] | None  # P(fake) between these decides nothing
    smallest_face: float | None  # px
    rule: str  # how threshold and band were chosen
    limits: str
    licence: str
    rates: tuple[ErrorRates, ...] = ()
    clears_below: float | None = None  # P(fake) within the band, below which it sees no sign
    finds: str = ""  # of what


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What lies on the disk: of which file a page speaks."""

    size: int  # bytes
    sha256: str
    modified: str  # date and time
    container: str = ""
    video_codec: str = ""
    audio_codec: str = ""
    made_by: str = ""  # what the container says of its encoder


@dataclass(frozen=True, slots=True, eq=False)
class ShownFace:
    """A face as a picture."""

    score: FaceScore
    jpeg: bytes
    map_jpeg: bytes | None = None  # the same with what speaks for fake and for real drawn over it


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """All that a page shows beside its scan."""

    model: ModelFacts | None = None
    clip: ClipFacts | None = None
    faces: Mapping[int, tuple[ShownFace, ...]] = field(default_factory=dict)  # by person
    no_faces: str = ""  # why there are no pictures
    maps: str = ""  # what the maps over the faces mean
    versions: str = ""  # of the programs that scanned
    made: str = ""  # when the page was made

"""Which face a request is about, and its pixels: of a scan, or of a set of samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import BaseModel, Field

from mesovid.errors import InputError
from mesovid.explain.explainer import Explainer
from mesovid.pictures import decode, resized
from mesovid.records import Firing, Pixels
from mesovid.serve.problems import ProblemError
from mesovid.serve.scans import face_file
from mesovid.serve.state import State, explainer_of
from mesovid.settings import ScanSettings

FIRING = 32  # faces that say which filters are dead
FIRINGS_KEPT = 32  # answers; more would only fill the memory


class FaceRef(BaseModel):
    """Which face: number `n` of a scan."""

    scan: str = Field(max_length=100, description="The scan's id.")
    n: int = Field(ge=0, le=10**9, description="The face's number in the scan.")


class FaceQuery(FaceRef):
    """A face, and the model that looks at it."""

    model: str = Field(default=ScanSettings().model, max_length=100)


def crop_of(state: State, face: FaceRef, explainer: Explainer) -> Pixels:
    """A face at the model's size."""
    pixels = read_face(face_file(state.jobs.get(face.scan), face.n))
    return resized(pixels, explainer.card.geometry.size)


def decoded(content: bytes) -> Pixels:
    """A picture, RGB. ProblemError when it is none."""
    try:
        return decode(content)
    except InputError as error:
        raise ProblemError("unreadable", "the body is no picture that can be read") from error


def read_face(path: Path) -> Pixels:
    return decoded(path.read_bytes())


def firing_of(state: State, scan: str, model: str) -> tuple[int, tuple[Firing, ...]]:
    """How often filters fire on up to `FIRING` faces of a scan, and how many these are; kept."""
    job = state.jobs.get(scan)
    count = len(job.scan.scores) if job.scan else 0
    if not count:
        raise ProblemError("not-finished", "there is no face of this scan to look at")
    key = (job.id, model)
    if key not in state.firings:
        chosen = sorted({count * number // FIRING for number in range(FIRING)})
        with state.lock:
            explainer = explainer_of(state, model)
            size = explainer.card.geometry.size
            crops = [resized(read_face(face_file(job, n)), size) for n in chosen]
            found = explainer.firing(np.stack(crops))
        while len(state.firings) >= FIRINGS_KEPT:
            state.firings.pop(next(iter(state.firings)), None)
        state.firings[key] = len(chosen), found
    return state.firings[key]


def dead_of(state: State, face: FaceRef, layer: str) -> tuple[set[int], int]:
    """The filters of a layer that gave one and the same number on all faces that were looked at,
    and how many these were."""
    model = face.model if isinstance(face, FaceQuery) else ScanSettings().model
    faces, found = firing_of(state, face.scan, model)
    for each in found:
        if each.layer.name == layer:
            return set(each.dead), faces
    return set(), faces

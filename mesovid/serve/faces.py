"""Which face a request is about, and its pixels: of a scan, or of a set of samples."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
from pydantic import BaseModel, Field, model_validator

from mesovid.errors import InputError
from mesovid.explain.explainer import Explainer
from mesovid.models.card import ModelCard
from mesovid.pictures import decode, resized
from mesovid.records import Firing, Pixels
from mesovid.serve.problems import ProblemError
from mesovid.serve.sample_sets import SampleSet
from mesovid.serve.scans import face_file
from mesovid.serve.state import State, explainer_of, set_of
from mesovid.settings import ExplainSettings

FIRING = 32  # faces that say which filters are dead
FIRINGS_KEPT = 32  # answers; more would only fill the memory
Fires = tuple[int, tuple[Firing, ...]]  # of how many faces, and what each filter does


class FaceRef(BaseModel):
    """Which face: number `n` of a scan, or of a set of samples."""

    scan: str | None = Field(None, max_length=100, description="The scan's id.")
    set: str | None = Field(None, max_length=200, description="Or the name of a set of samples.")
    n: int = Field(ge=0, le=10**9, description="The face's number there.")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.scan is None) == (self.set is None):
            raise ValueError("name either a scan or a set")
        return self


class FaceQuery(FaceRef):
    """A face, and the model that looks at it."""

    model: str = Field(default=ExplainSettings().model, max_length=100)


def crop_of(state: State, face: FaceRef, explainer: Explainer) -> Pixels:
    """A face at the model's size."""
    if face.set is not None:
        samples = set_of(state, face.set)
        check_fit(samples, explainer.card)
        pixels = samples.pixels(face.n)
    else:
        pixels = read_face(face_file(state.jobs.get(str(face.scan)), face.n))
    return resized(pixels, explainer.card.geometry.size)


def check_fit(samples: SampleSet, card: ModelCard) -> None:
    """ProblemError when the faces of a set were cut otherwise than a model wants them."""
    # what it needs takes a second to import, which the start of the server must not
    from mesovid.evaluation.evaluate import geometry_differences

    geometry = samples.dataset.geometry
    if geometry is not None and (differences := geometry_differences(geometry, card)):
        raise ProblemError(
            "model-refused", f"the faces of {samples.name} do not fit {card.name}: {differences}"
        )


def decoded(content: bytes) -> Pixels:
    """A picture, RGB. ProblemError when it is none."""
    try:
        return decode(content)
    except InputError as error:
        raise ProblemError("unreadable", "the body is no picture that can be read") from error


def read_face(path: Path) -> Pixels:
    return decoded(path.read_bytes())


def firing_of(state: State, scan: str, model: str) -> Fires:
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
        _keep(state, key, (len(chosen), found))
    return state.firings[key]


def _firing_of_set(state: State, name: str, model: str) -> Fires:
    samples = set_of(state, name)
    key = (f"set {name} {samples.about()['digest']}", model)
    if key not in state.firings:
        count = samples.about()["total"]
        chosen = sorted({count * number // FIRING for number in range(FIRING)})
        with state.lock:
            explainer = explainer_of(state, model)
            check_fit(samples, explainer.card)
            size = explainer.card.geometry.size
            crops = [resized(samples.pixels(n), size) for n in chosen]
            _keep(state, key, (len(chosen), explainer.firing(np.stack(crops))))
    return state.firings[key]


def _keep(state: State, key: tuple[str, str], fires: Fires) -> None:
    while len(state.firings) >= FIRINGS_KEPT:
        state.firings.pop(next(iter(state.firings)), None)
    state.firings[key] = fires


def dead_of(state: State, face: FaceRef, layer: str) -> tuple[set[int], int]:
    """The filters of a layer that gave one and the same number on all faces that were looked at,
    and how many these were."""
    model = face.model if isinstance(face, FaceQuery) else ExplainSettings().model
    if face.set is not None:
        faces, found = _firing_of_set(state, face.set, model)
    else:
        faces, found = firing_of(state, str(face.scan), model)
    for each in found:
        if each.layer.name == layer:
            return set(each.dead), faces
    return set(), faces

"""What the routes share: the state of one server, and how their refusals stand in the schema."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from fastapi import Path as InPath

from mesovid.explain.explainer import Explainer
from mesovid.models.card import available, find_card
from mesovid.records import Firing
from mesovid.serve.evaluation_job import EvaluationJob
from mesovid.serve.guard import Access, Guard
from mesovid.serve.jobs import Jobs, ScanJob, Workplace
from mesovid.serve.problems import MEDIA_TYPE, ProblemError
from mesovid.serve.recorded import Recorded
from mesovid.serve.sample_sets import SampleSet
from mesovid.settings import RuntimeSettings, ServeSettings

PREFIX = "/api/v1"
Name = Annotated[str, InPath(max_length=100)]
BYTES = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@dataclass(slots=True)
class State:
    """What the routes of one server share."""

    settings: ServeSettings
    access: Access
    runtime: RuntimeSettings
    models: dict[str, Path]  # name -> card, beside the shipped ones
    place: Workplace
    jobs: Jobs[ScanJob]
    evaluations: Jobs[EvaluationJob]
    guard: Guard
    recorded: Recorded | None = None  # what --results names
    sets: dict[str, SampleSet] = field(default_factory=dict)  # what --samples names
    roots: tuple[Path, ...] = ()  # folders whose files may be read: --allow-path
    imported: set[str] = field(default_factory=set)  # names of models that came over HTTP
    requests: Counter[tuple[str, int]] = field(default_factory=Counter)  # by method and status
    received: int = 0  # bytes of uploads
    # by name: what its files looked like, and what looks into it
    explainers: dict[str, tuple[tuple[int, ...], Explainer]] = field(default_factory=dict)
    # by scan and model: of how many faces, and what
    firings: dict[tuple[str, str], tuple[int, tuple[Firing, ...]]] = field(default_factory=dict)
    # an Explainer is one thread's at a time
    lock: threading.Lock = field(default_factory=threading.Lock)

    def close(self) -> None:
        """End the workers and erase everything."""
        for jobs in (self.jobs, self.evaluations):
            jobs.stop()
        for jobs in (self.jobs, self.evaluations):
            jobs.join()
        self.place.close()


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals that a route may answer, for the schema."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": "Problem", "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


def card_path(state: State, name: str) -> Path:
    """Where the card of a model of this server lies.

    Only names are looked up, never a path that a request makes up.
    """
    shipped = [card.name for card in available()]
    if name in state.models:
        return state.models[name]
    if name in shipped:
        return find_card(name)
    known = [*shipped, *state.models]
    raise ProblemError(
        "no-such-model", f"no model {name[:60]!r}; known: {', '.join(known)}", known=known
    )


def explainer_of(state: State, name: str) -> Explainer:
    """What looks into a model; loaded once, and again when its files have changed."""
    path = card_path(state, name)
    stamp = _stamp(path)
    if name not in state.explainers or state.explainers[name][0] != stamp:
        state.explainers.pop(name, None)
        explainer = Explainer(path, RuntimeSettings(threads=1, device="cpu"))
        state.explainers[name] = stamp, explainer
    return state.explainers[name][1]


def _stamp(card: Path) -> tuple[int, ...]:
    """What changes with the files of a model."""
    found: list[int] = []
    for path in (card, card.with_suffix(".onnx")):
        with contextlib.suppress(OSError):
            about = path.stat()
            found += [about.st_mtime_ns, about.st_size]
    return tuple(found)


def check_layer(explainer: Explainer, name: str) -> None:
    known = [layer.name for layer in explainer.layers]
    if name not in known:
        raise ProblemError(
            "no-such-layer",
            f"{explainer.card.name} has no layer {name[:40]!r}",
            known=known,
            field="layers",
        )


def set_of(state: State, name: str) -> SampleSet:
    """A set of samples by its name. ProblemError when there is none."""
    if name not in state.sets:
        known = list(state.sets)
        there = ", ".join(known) or "none; start the server with --samples DATASET"
        raise ProblemError("no-such-set", f"no set {name[:60]!r}; there is {there}", known=known)
    return state.sets[name]


def allowed_file(state: State, path: str) -> Path:
    """A file that lies below one of the folders that may be read. ProblemError for any other."""
    if not state.roots:
        raise ProblemError(
            "not-allowed", "files of this computer are not read; start with --allow-path FOLDER"
        )
    try:
        found = Path(path).resolve()
        allowed = any(found.is_relative_to(root) for root in state.roots)
        there = allowed and found.is_file()
    except (OSError, ValueError, RuntimeError):  # a path may be none of this system
        raise ProblemError("gone", "there is no file at its path") from None
    if not allowed:
        raise ProblemError("not-allowed", "the file lies outside of the folders of --allow-path")
    if not there:
        raise ProblemError("gone", "there is no file at its path any more")
    return found

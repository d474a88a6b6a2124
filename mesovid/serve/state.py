"""What the routes share: the state of one server, and how their refusals stand in the schema."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from fastapi import Path as InPath

from mesovid.explain.explainer import Explainer
from mesovid.models.card import available, find_card
from mesovid.records import Firing
from mesovid.serve.guard import Access, Guard
from mesovid.serve.jobs import Jobs
from mesovid.serve.problems import MEDIA_TYPE, ProblemError
from mesovid.serve.recorded import Recorded
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
    jobs: Jobs
    guard: Guard
    recorded: Recorded | None = None  # what --results names
    explainers: dict[str, Explainer] = field(default_factory=dict)
    # by scan and model: of how many faces, and what
    firings: dict[tuple[str, str], tuple[int, tuple[Firing, ...]]] = field(default_factory=dict)
    # an Explainer is one thread's at a time
    lock: threading.Lock = field(default_factory=threading.Lock)


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
    path = card_path(state, name)
    if name not in state.explainers:
        state.explainers[name] = Explainer(path, RuntimeSettings(threads=1, device="cpu"))
    return state.explainers[name]


def check_layer(explainer: Explainer, name: str) -> None:
    known = [layer.name for layer in explainer.layers]
    if name not in known:
        raise ProblemError(
            "no-such-layer",
            f"{explainer.card.name} has no layer {name[:40]!r}",
            known=known,
            field="layers",
        )

"""Routes of `--samples`: datasets on the user's disk, their faces, and what models say of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Response
from fastapi import Path as InPath
from pydantic import BaseModel, Field

from mesovid.pictures import encode, resized
from mesovid.serve.faces import check_fit
from mesovid.serve.sample_sets import SampleSet
from mesovid.serve.state import (
    PREFIX,
    Name,
    State,
    check_layer,
    explainer_of,
    refusals,
    set_of,
)  # fmt: skip
from mesovid.settings import ScanSettings
from mesovid.verdict import Rule, label_at

MOST = 500  # faces of a list at once
MOST_PREDICTED = 256  # faces that are scored in one request


class Filter(BaseModel):
    """Which faces of a set."""

    label: Literal["real", "fake"] | None = None
    method: str | None = Field(None, max_length=200, description="`none`: where there is none.")
    split: str | None = Field(None, max_length=200, description="`none`: where there is none.")
    seed: int | None = Field(None, ge=0, le=2**31, description="Of what is drawn at random.")


def routes(state: State) -> APIRouter:
    router = APIRouter(tags=["samples"], responses=refusals(404, 422))

    @router.get("/sets")
    def all_sets() -> list[dict[str, Any]]:
        """The sets of `--samples`: totals, and counts by split, label and method."""
        return [each.about() for each in state.sets.values()]

    @router.get("/sets/{name}")
    def one(name: Name) -> dict[str, Any]:
        """A set: its total, its counts by split, label and method, and its digest."""
        return set_of(state, name).about()

    @router.get("/sets/{name}/faces")
    def faces(
        name: Name,
        chosen: Annotated[Filter, Query()],
        draw: Annotated[
            int | None, Query(alias="random", ge=1, le=MOST, description="So many, at random.")
        ] = None,
        paired: Annotated[bool, Query(description="Fakes whose original is there.")] = False,
        offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 50,
    ) -> dict[str, Any]:
        """A page of a set's faces, or some at random; a fake's `pair` is its original's face.

        The answer's `seed` draws the same again.
        """
        samples = set_of(state, name)
        found = samples.choose(
            **chosen.model_dump(), paired=paired, draw=draw, offset=offset, limit=limit
        )
        return {
            "set": name,
            "digest": samples.about()["digest"],
            "matching": found.matching,
            "offset": offset if draw is None else 0,
            "seed": found.seed,
            "faces": [_face(samples, n) for n in found.numbers],
        }

    @router.get("/sets/{name}/faces/{n}.png", response_class=Response)
    def picture(name: Name, n: Annotated[int, InPath(ge=0, le=10**9)]) -> Response:
        """A face of a set."""
        return Response(encode(set_of(state, name).pixels(n)), media_type="image/png")

    @router.get("/sets/{name}/predictions")
    def predictions(
        name: Name,
        chosen: Annotated[Filter, Query()],
        draw: Annotated[int, Query(alias="random", ge=1, le=MOST_PREDICTED)] = 12,
        model: Annotated[str, Query(max_length=100)] = ScanSettings().model,
        layers: Annotated[str, Query(max_length=1000, description="With commas between.")] = "",
    ) -> dict[str, Any]:
        """What a model says of faces drawn at random, beside what they are; with the addresses of
        the maps of some layers."""
        samples = set_of(state, name)
        found = samples.choose(**chosen.model_dump(), draw=draw)
        named = [each for each in layers.split(",") if each]
        with state.lock:
            explainer = explainer_of(state, model)
            for layer in named:
                check_layer(explainer, layer)
            check_fit(samples, explainer.card)
            size = explainer.card.geometry.size
            crops = np.stack([resized(samples.pixels(n), size) for n in found.numbers])
            logits = explainer.logits(crops)
            probabilities = [explainer.fake_probability(float(logit)) for logit in logits]
        rule = Rule.of(explainer.card)
        return {
            "set": name,
            "model": model,
            "matching": found.matching,
            "seed": found.seed,
            "predictions": [
                _face(samples, n)
                | {
                    "fake_probability": round(probability, 6),
                    "logit": float(logit),
                    "verdict": label_at(probability, rule)[0],
                    "maps": [_map(name, n, model, layer) for layer in named],
                }
                for n, probability, logit in zip(found.numbers, probabilities, logits, strict=True)
            ],
        }

    return router


def _face(samples: SampleSet, n: int) -> dict[str, Any]:
    crop = samples.entry(n)
    return {
        "n": n,
        "label": crop.label,
        "method": crop.method,
        "split": crop.split,
        "video": crop.video,
        "time": crop.time,
        "picture": f"{PREFIX}/sets/{samples.name}/faces/{n}.png",
        "pair": samples.pair(n),
    }


def _map(name: str, n: int, model: str, layer: str) -> str:
    return f"{PREFIX}/maps/{layer}/sheet.png?set={name}&n={n}&model={model}"

"""Routes that look into one face: its score, the maps of layers, and why it scored as it did."""

from __future__ import annotations

import asyncio
import io
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from mesovid.explain.explainer import Explainer
from mesovid.models.card import ModelCard
from mesovid.pictures import resized
from mesovid.records import Pixels, Stage
from mesovid.serve.faces import FaceRef, crop_of, decoded, firing_of
from mesovid.serve.problems import ProblemError
from mesovid.serve.state import BYTES, Name, State, check_layer, explainer_of, refusals
from mesovid.settings import ExplainSettings
from mesovid.verdict import Rule, label_at

LARGEST_FACE = 16 * 2**20  # bytes of one picture of a face
MOST_NUMBERS = 200_000  # of maps that are sent as JSON; more go as .npz


class Explanation(BaseModel):
    """What is asked of a face."""

    face: FaceRef
    model: str = Field(default=ExplainSettings().model, max_length=100)
    methods: list[Literal["split", "occlusion"]] = Field(
        default=["split", "occlusion"], min_length=1
    )
    cells: int = Field(
        default=8, ge=2, le=32, description="Rows and columns that are covered one by one."
    )
    fill: Literal["mean", "blur"] = "mean"


def routes(state: State) -> APIRouter:
    router = APIRouter(tags=["faces"], responses=refusals(404, 422))

    @router.post("/predictions", openapi_extra=BYTES, responses=refusals(400, 413))
    async def predict(
        request: Request,
        model: Annotated[str, Query(max_length=100)] = ExplainSettings().model,
        layers: Annotated[
            str, Query(max_length=1000, description="Names with commas between.")
        ] = "",
        stages: Annotated[
            str, Query(max_length=100, description="Of the layers; all when left out.")
        ] = "",
        split: Annotated[bool, Query(description="Say how the logit came about, too.")] = False,
        format_: Annotated[
            Literal["auto", "safetensors"],
            Query(alias="format", description="auto: JSON, or .npz of many numbers."),
        ] = "auto",
    ) -> Response:
        """The score of one face and the maps of some layers.

        The face is sent as a picture that is cut as the model wants it.
        """
        pixels = await _posted_face(request)
        asked = _Asked(model, _names(layers), _stages(stages), split, format_ == "safetensors")
        return await asyncio.to_thread(_predicted, state, pixels, asked)

    @router.post("/explanations", responses=refusals(409))
    def explain(asked: Explanation) -> dict[str, Any]:
        """Why a face of a scan scored as it did: how its logit came about, and what it hangs on."""
        with state.lock:
            explainer = explainer_of(state, asked.model)
            crop = crop_of(state, asked.face, explainer)
            value: dict[str, Any] = {"model": asked.model, "face": asked.face.model_dump()}
            if "split" in asked.methods:
                value["split"] = _split(explainer, crop)
            if "occlusion" in asked.methods:
                found = explainer.occlusion(crop, cells=asked.cells, fill=asked.fill)
                value["occlusion"] = {
                    "logit": found.logit,
                    "cells": found.cells.tolist(),
                    "fill": found.fill,
                }
        return value

    @router.get("/scans/{id_}/firing", responses=refusals(409))
    def firing(
        id_: Name, model: Annotated[str, Query(max_length=100)] = ExplainSettings().model
    ) -> dict[str, Any]:
        """How often each filter fires on a scan's faces, and which gave one number everywhere."""
        faces, found = firing_of(state, id_, model)
        return {
            "model": model,
            "faces": faces,
            "layers": {
                each.layer.name: {"share": each.share.round(4).tolist(), "dead": list(each.dead)}
                for each in found
            },
        }

    return router


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of a posted face."""

    model: str
    layers: list[str]
    stages: list[Stage] | None  # None: all
    split: bool
    safetensors: bool


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _stages(text: str) -> list[Stage] | None:
    known: tuple[Stage, ...] = get_args(Stage)
    found = [stage for stage in known if stage in _names(text)]
    if unknown := set(_names(text)) - set(known):
        raise ProblemError(
            "bad-setting",
            f"stages: no {min(unknown)[:40]!r}; known: {', '.join(known)}",
            field="stages",
            known=list(known),
        )
    return found or None


async def _posted_face(request: Request) -> Pixels:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > LARGEST_FACE:
            raise ProblemError(
                "too-large", f"at most {LARGEST_FACE:,} bytes are taken", limit=LARGEST_FACE
            )
    if not content:
        raise ProblemError("empty", "send one face as PNG or JPEG in the body")
    return await asyncio.to_thread(decoded, bytes(content))


def _split(explainer: Explainer, crop: Pixels) -> dict[str, Any] | None:
    found = explainer.split(crop)
    if found is None:
        return None
    return {
        "logit": found.logit,
        "shares": [{"name": share.name, "value": share.value} for share in found.shares],
        "bias": found.bias,
        "cells": found.cells.tolist(),
        "constant": found.constant,
        "layer": found.layer,
        "adds_up_to": sum(share.value for share in found.shares) + found.bias,
    }


def _predicted(state: State, pixels: Pixels, asked: _Asked) -> Response:
    with state.lock:
        explainer = explainer_of(state, asked.model)
        for name in asked.layers:
            check_layer(explainer, name)
        crop = resized(pixels, explainer.card.geometry.size)
        logit = float(explainer.logits(crop[None])[0])
        probability = explainer.fake_probability(logit)
        maps = explainer.activations(crop[None], asked.layers, asked.stages) if asked.layers else ()
        split = _split(explainer, crop) if asked.split else None
    value = {
        "model": asked.model,
        "fake_probability": round(probability, 6),
        "logit": logit,
        "label": _label(explainer.card, probability),
    }
    if asked.split:
        value["split"] = split
    arrays = {
        f"{each.layer.name}.{stage}": found[0]
        for each in maps
        for stage, found in each.maps.items()
    }
    if asked.safetensors:
        return Response(_safetensors(arrays, value), media_type="application/octet-stream")
    if sum(array.size for array in arrays.values()) > MOST_NUMBERS:
        stream = io.BytesIO()
        np.savez_compressed(stream, **arrays, prediction=json.dumps(value))
        return Response(stream.getvalue(), media_type="application/x-npz")
    value["layers"] = {
        key: {"shape": array.shape, "values": array.ravel().tolist()}
        for key, array in arrays.items()
    }
    return Response(json.dumps(value), media_type="application/json")


def _safetensors(arrays: Mapping[str, npt.NDArray[np.float32]], about: object) -> bytes:
    """The safetensors format: the length of a JSON head, the head, then the numbers as they lie."""
    head: dict[str, Any] = {"__metadata__": {"prediction": json.dumps(about)}}
    parts, end = [], 0
    for name, array in arrays.items():
        parts.append(np.ascontiguousarray(array, "<f4").tobytes())
        head[name] = {
            "dtype": "F32",
            "shape": list(array.shape),
            "data_offsets": [end, end + len(parts[-1])],
        }
        end += len(parts[-1])
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def _label(card: ModelCard, probability: float) -> str:
    return label_at(probability, Rule.of(card))[0]

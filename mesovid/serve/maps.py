"""Routes of the maps of one layer, as numbers or as a picture, and of the arithmetic behind one of
their numbers. Nothing is written: all is computed when it is asked for."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from fastapi import APIRouter, Query, Response

from mesovid.errors import ModelError
from mesovid.explain.explainer import Explainer
from mesovid.pictures import encode
from mesovid.records import Arithmetic, Layer, Pixels, Stage, Term
from mesovid.report.maps import contrast, map_sheet
from mesovid.serve.faces import FaceQuery, crop_of, dead_of
from mesovid.serve.problems import ProblemError
from mesovid.serve.state import Name, State, check_layer, explainer_of, refusals

MOST_NUMBERS = 200_000  # of maps that are sent as JSON
Numbers = npt.NDArray[np.float32]
Scale = Annotated[
    Literal["shared", "unit"],
    Query(description="shared: one scale for all maps of the layer; unit: each map on its own."),
]
StageQuery = Annotated[
    Stage | None,
    Query(description="Of the layer; when left out, activated where it has an activation."),
]
Number = Annotated[int, Query(ge=0, le=10**6)]


def routes(state: State) -> APIRouter:
    router = APIRouter(tags=["faces"], responses=refusals(404, 409, 422))

    @router.get("/maps/{layer}")
    def numbers(
        layer: Name,
        face: Annotated[FaceQuery, Query()],
        stage: StageQuery = None,
        scale: Scale = "shared",
        values: Annotated[bool, Query(description="The numbers themselves, too.")] = False,
        map_: Annotated[int | None, Query(alias="map", ge=0, le=10**6)] = None,
    ) -> dict[str, Any]:
        """What a layer makes of a face: of each map its least, most and mean number, the share
        above 0, whether it is one and the same number everywhere on this face (`flat`), and
        whether it is so on all faces that were looked at (`dead`)."""
        made = _made(state, layer, face, stage)
        chosen = _chosen(made.maps, map_)
        largest = contrast(made.maps)
        found: dict[str, Any] = {
            "model": face.model,
            "layer": layer,
            "stage": made.stage,
            "shape": list(made.maps.shape),
            "scale": {"kind": scale, "largest": largest, "signed": bool((made.maps < 0).any())},
            "dead_of_faces": made.faces,
            "maps": [_map(made.maps[n], n, made.dead, scale, largest) for n in chosen],
        }
        if values:
            count = sum(made.maps[n].size for n in chosen)
            if count > MOST_NUMBERS:
                raise ProblemError(
                    "bad-setting",
                    f"{count:,} numbers are more than the {MOST_NUMBERS:,} that are sent as JSON; "
                    "ask for one map, or for /predictions?format=safetensors",
                    field="values",
                )
            found["values"] = [made.maps[n].tolist() for n in chosen]
        return found

    @router.get("/maps/{layer}/sheet.png", response_class=Response)
    def picture(
        layer: Name,
        face: Annotated[FaceQuery, Query()],
        stage: StageQuery = None,
        scale: Scale = "shared",
    ) -> Response:
        """All maps of a layer as one picture: the scale above with 0 marked, dead filters struck
        out and named."""
        made = _made(state, layer, face, stage)
        return Response(encode(_drawn(made, scale)), media_type="image/png")

    @router.get("/maps/{layer}/arithmetic")
    def one_number(
        layer: Name,
        face: Annotated[FaceQuery, Query()],
        map_: Annotated[int, Query(alias="map", ge=0, le=10**6)],
        row: Number = 0,
        column: Number = 0,
    ) -> dict[str, Any]:
        """How one number of a layer's raw map came about: the patch, the filter and the products
        of each map that it reads, their sum and the bias; what the activation, pooling (and who
        won there) and normalisation made of it; and `reach`, the part of the face that it
        depends on."""
        with state.lock:
            explainer = explainer_of(state, face.model)
            check_layer(explainer, layer)
            crop = crop_of(state, face, explainer)
            try:
                found = explainer.arithmetic(crop, layer, map_, row, column)
            except ModelError as error:
                raise ProblemError("bad-setting", str(error), field="layer") from error
        return _arithmetic(found)

    return router


class _Made:
    """A layer's maps of a face, and which of its filters are dead."""

    def __init__(
        self, layer: Layer, stage: Stage, maps: Numbers, dead: set[int], faces: int
    ) -> None:
        self.layer, self.stage, self.maps, self.dead, self.faces = layer, stage, maps, dead, faces


def _made(state: State, name: str, face: FaceQuery, stage: Stage | None) -> _Made:
    with state.lock:
        explainer: Explainer = explainer_of(state, face.model)
        check_layer(explainer, name)
        layer = explainer.layer(name)
        chosen = stage or layer.last
        if chosen not in layer.shapes:
            raise ProblemError(
                "bad-setting",
                f"{name} has no stage {chosen}; it has {', '.join(layer.shapes)}",
                field="stage",
                known=list(layer.shapes),
            )
        crop = crop_of(state, face, explainer)
        (found,) = explainer.activations(crop[None], [name], [chosen])
    maps = found.maps[chosen][0]
    dead, faces = dead_of(state, face, name)
    return _Made(layer, chosen, maps if maps.ndim == 3 else maps[:, None, None], dead, faces)


def _chosen(maps: Numbers, number: int | None) -> list[int]:
    if number is None:
        return list(range(len(maps)))
    if number >= len(maps):
        raise ProblemError(
            "bad-setting", f"no map {number}; the layer has {len(maps)}, from 0 on", field="map"
        )
    return [number]


def _map(values: Numbers, n: int, dead: set[int], scale: str, largest: float) -> dict[str, Any]:
    least, most = float(values.min()), float(values.max())
    return {
        "n": n,
        "least": least,
        "most": most,
        "mean": float(values.mean()),
        "share_above_zero": round(float((values > 0).mean()), 5),
        "largest": largest if scale == "shared" else max(abs(least), abs(most)),
        "flat": least == most,
        "dead": n in dead,
    }


def _drawn(made: _Made, scale: str) -> Pixels:
    maps, title = made.maps, f"{made.layer.name} {made.stage}"
    largest = contrast(maps)
    names = [f"{n} dead" if n in made.dead else str(n) for n in range(len(maps))]
    if scale == "unit":
        most = np.abs(maps).reshape(len(maps), -1).max(axis=1)
        maps = np.asarray(maps / np.where(most > 0, most, 1)[:, None, None], np.float32)
        largest, title = 1.0, f"{title}, each its own scale"
        names = [f"{name}: {value:.2g}" for name, value in zip(names, most, strict=True)]
    tile, columns = (128, 4) if len(maps) <= 16 else (64, 8) if len(maps) <= 64 else (64, 16)
    return map_sheet(
        maps, largest, title=title, names=names, crossed=made.dead, tile=tile, columns=columns
    )


def _arithmetic(found: Arithmetic) -> dict[str, Any]:
    return {
        "layer": found.layer.name,
        "reads": list(found.layer.sources),
        "map": found.filter,
        "row": found.row,
        "column": found.column,
        "terms": [_term(term) for term in found.terms],
        "bias": found.bias,
        "total": found.total,
        "steps": [asdict(step) | {"numbers": dict(step.numbers)} for step in found.steps],
        "reach": asdict(found.reach),
    }


def _term(term: Term) -> dict[str, Any]:
    return {
        "map": term.source,
        "row": term.place[0],
        "column": term.place[1],
        "patch": term.patch.tolist(),
        "filter": term.kernel.tolist(),
        "value": term.value,
    }

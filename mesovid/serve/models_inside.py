"""Routes of models: their cards, what their networks are made of, and the networks themselves."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import shutil
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from mesovid.errors import ModelError
from mesovid.models.card import (
    SUFFIXES,
    ModelCard,
    available,
    find_card,
    read_card,
    sha256_of,
)
from mesovid.models.curves import read_curves
from mesovid.records import Layer
from mesovid.serve.aside import MODEL_SUFFIXES, ImportRequest, import_model, once, outcome_of
from mesovid.serve.problems import ProblemError
from mesovid.serve.scans import received
from mesovid.serve.state import (
    BYTES,
    PREFIX,
    Name,
    State,
    card_path,
    check_layer,
    explainer_of,
    refusals,
)
from mesovid.serve.uploads import check_kind, shown_name
from mesovid.settings import Colour, Geometry, Layout, ScanSettings, Scores

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,59}")


def routes(state: State) -> APIRouter:
    router = APIRouter(tags=["models"], responses=refusals(404))

    @router.get("/models")
    def all_models() -> list[dict[str, Any]]:
        """The card of every model at hand."""
        shipped = [(card, find_card(card.name)) for card in available()]
        own = [(read_card(path), path) for path in list(state.models.values())]
        return [_described(state, card, path) for card, path in [*shipped, *own]]

    @router.get("/models/{name}")
    def one(name: Name) -> dict[str, Any]:
        """A model's card, and what its network is made of."""
        path = card_path(state, name)
        card = read_card(path)
        about = _described(state, card, path)
        if card.members or not about["weights_fit"]:  # a panel has no network of its own
            return about | {"layers": []}
        with state.lock:
            explainer = explainer_of(state, name)
        return about | {"layers": [_layer(layer) for layer in explainer.layers]}

    @router.get("/models/{name}/curves")
    def curves(name: Name) -> dict[str, Any]:
        """The course of a model's training (`epochs`, `best_epoch`), and ROC and reliability of
        what was measured, set by set; empty where it was not recorded."""
        path = card_path(state, name)
        card = read_card(path)
        found = read_curves(path, card.sha256.get("onnx", "")).to_dict()
        return {"model": card.name} | {
            key: found[key] for key in ("sha256", "epochs", "best_epoch", "measured")
        }

    @router.get("/models/{name}/network.onnx", response_class=Response)
    def network(
        request: Request,
        name: Name,
        inner: Annotated[bool, Query(description="With all inner tensors as outputs.")] = True,
    ) -> Response:
        """The network, for a browser to run: the file of its card, with more outputs."""
        with state.lock:
            explainer = explainer_of(state, name)
            tag = f'"{explainer.ref.sha256}{"-inner" if inner else ""}"'
            headers = {"etag": tag, "cache-control": "private, max-age=31536000, immutable"}
            if request.headers.get("if-none-match") == tag:
                return Response(status_code=304, headers=headers)
            content = explainer.tapped_file if inner else explainer.file
            return Response(content, media_type="application/octet-stream", headers=headers)

    @router.get("/models/{name}/plan")
    def plan(name: Name) -> dict[str, Any]:
        """What a browser needs beside the network to look inside it.

        The tensors of each layer, and where the logit stands; null of what has no such place.
        """
        with state.lock:
            explainer = explainer_of(state, name)
            try:
                return {"model": name, "plan": explainer.plan()}
            except ModelError:
                return {"model": name, "plan": None}

    @router.get("/models/{name}/filters/{layer}")
    def filters(name: Name, layer: Name) -> dict[str, Any]:
        """What a layer learned: numbers of `shape` filters, inputs, rows, columns."""
        explainer = explainer_of(state, name)
        check_layer(explainer, layer)
        try:
            values = explainer.filters(layer)
        except ModelError as error:
            raise ProblemError("no-such-layer", str(error)) from error
        return {"layer": layer, "shape": values.shape, "values": values.ravel().tolist()}

    @router.post(
        "/models",
        status_code=201,
        openapi_extra=BYTES,
        responses=refusals(400, 403, 408, 413, 415, 422, 503, 507),
    )
    async def take(
        request: Request, response: Response, how: Annotated[ImportQuery, Query()]
    ) -> dict[str, Any]:
        """Import a model, sent as the body, as `mesovid models import` does: an .onnx file, or the
        arrays of Keras weights, of which nothing is run. Needs --allow-import; kept until the
        server ends."""
        if not state.settings.allow_import:
            raise ProblemError(
                "not-allowed", "models are not imported; start the server with --allow-import"
            )
        check_kind(how.file, MODEL_SUFFIXES)
        suffix = PurePath(how.file).suffix.lower()
        name = _new_name(state, how.name or PurePath(shown_name(how.file)).stem)
        _check_formats(how, suffix)
        geometry = _geometry(state, how)
        limit = state.settings.max_model * 2**20
        upload = await received(state, request, how.file, limit, MODEL_SUFFIXES)
        try:
            folder = state.place.root / "models"
            folder.mkdir(mode=0o700, exist_ok=True)
            file = upload.path.rename(upload.path.with_name(f"{name}{suffix}"))
            formats = {"scores": how.scores, "colour": how.colour, "layout": how.layout}
            if how.range_low is not None and how.range_high is not None:
                formats["input_range"] = (how.range_low, how.range_high)  # type: ignore[assignment]
            asked = ImportRequest(
                file=file,
                folder=folder,
                name=name,
                output=how.output,
                geometry=geometry,
                architecture=how.architecture,
                activation=how.activation,
                formats={key: value for key, value in formats.items() if value is not None},
                imagenet=how.imagenet,
            )
            outcome_of(await asyncio.to_thread(once, import_model, asked), "model-refused")
        finally:
            shutil.rmtree(upload.path.parent, ignore_errors=True)
        path = folder / f"{name}.json"
        state.models[name] = path
        state.imported.add(name)
        response.headers["location"] = f"{PREFIX}/models/{name}"
        return _described(state, read_card(path), path) | {"file_sha256": upload.sha256}

    @router.delete("/models/{name}", status_code=204, responses=refusals(403))
    def forget(name: Name) -> Response:
        """Erase a model that was imported over HTTP."""
        path = card_path(state, name)
        if name not in state.imported:
            raise ProblemError("not-allowed", f"{name} was not imported over HTTP; it stays")
        with state.lock:
            state.imported.discard(name)
            state.models.pop(name, None)
            state.explainers.pop(name, None)
            for suffix in SUFFIXES:
                path.with_suffix(suffix).unlink(missing_ok=True)
        return Response(status_code=204)

    return router


class ImportQuery(BaseModel):
    """How a model's file is to be read; the options of `mesovid models import`."""

    file: str = Field(max_length=1000, description="The file's name; its suffix says what it is.")
    output: Literal["fake", "real"] = Field(description="What the network's output tells.")
    name: str | None = Field(None, max_length=60, description="Of the model. Default: the file's.")
    geometry: str | None = Field(
        None, max_length=100, description="Cut as this model, or `paper`. Default: as the default."
    )
    architecture: str | None = Field(None, max_length=60, description="Of Keras weights.")
    activation: Literal["relu", "elu", "leaky_relu"] | None = None
    scores: Scores | None = None
    colour: Colour | None = None
    layout: Layout | None = None
    range_low: float | None = Field(None, ge=-1e6, le=1e6, description="What 0 becomes.")
    range_high: float | None = Field(None, ge=-1e6, le=1e6, description="What 255 becomes.")
    imagenet: bool = False


def _described(state: State, card: ModelCard, path: Path) -> dict[str, Any]:
    """A card; its figures only where they are of the weights that lie there."""
    fits = _weights_fit(card, path)
    return card.to_dict() | {
        "imported": card.name in state.imported,
        "weights_fit": fits,
        "figures": card.to_dict()["figures"] if fits else [],
    }


def _weights_fit(card: ModelCard, path: Path) -> bool:
    """Whether the .onnx file beside a card is the one that the card speaks of."""
    if card.members:
        return True
    file = path.with_suffix(".onnx")
    try:
        about = file.stat()
    except OSError:
        return False
    return _hash(file, about.st_mtime_ns, about.st_size) == card.sha256.get("onnx")


@lru_cache(maxsize=256)
def _hash(file: Path, _modified: int, _size: int) -> str:
    return sha256_of(file)


def _new_name(state: State, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ProblemError(
            "bad-setting",
            f"a model cannot have the name {name[:60]!r}; letters, digits, dots, dashes and "
            "underscores make one",
            field="name",
        )
    if name in {card.name for card in available()} | set(state.models):
        raise ProblemError(
            "bad-setting", f"a model {name} is there already; give name=another", field="name"
        )
    return name


def _check_formats(how: ImportQuery, suffix: str) -> None:
    keras = how.architecture or how.activation
    onnx = how.scores or how.colour or how.layout or how.imagenet or how.range_low is not None
    if suffix == ".onnx" and keras:
        raise ProblemError(
            "bad-setting", "architecture and activation are for Keras weights", field="architecture"
        )
    if suffix != ".onnx" and onnx:
        raise ProblemError(
            "bad-setting", "scores, colour, layout, range and imagenet are for .onnx files",
            field="scores",
        )  # fmt: skip
    if suffix != ".onnx" and not how.architecture:
        raise ProblemError(
            "bad-setting", "Keras weights need architecture, such as meso4", field="architecture"
        )
    if (how.range_low is None) != (how.range_high is None):
        raise ProblemError(
            "bad-setting", "range_low and range_high come together", field="range_low"
        )


def _geometry(state: State, how: ImportQuery) -> Geometry:
    """As the named model cuts; by default the paper's for Keras weights, else the default."""
    name = how.geometry or ("paper" if how.architecture else ScanSettings().model)
    return Geometry() if name == "paper" else read_card(card_path(state, name)).geometry


def _layer(layer: Layer) -> dict[str, Any]:
    value = dataclasses.asdict(layer)
    value["shapes"] = {stage: list(shape) for stage, shape in layer.shapes.items()}
    return value

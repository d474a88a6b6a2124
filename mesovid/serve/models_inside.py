"""Routes of models: their cards, what their networks are made of, and the networks themselves."""

from __future__ import annotations

import dataclasses
from typing import Any

from fastapi import APIRouter, Request, Response

from mesovid.errors import ModelError
from mesovid.models.card import available, read_card
from mesovid.models.curves import read_curves
from mesovid.records import Layer
from mesovid.serve.problems import ProblemError
from mesovid.serve.state import Name, State, card_path, check_layer, explainer_of, refusals


def routes(state: State) -> APIRouter:
    router = APIRouter(tags=["models"], responses=refusals(404))

    @router.get("/models")
    def all_models() -> list[dict[str, Any]]:
        """The card of every model at hand."""
        own = [read_card(path) for path in state.models.values()]
        return [card.to_dict() for card in [*available(), *own]]

    @router.get("/models/{name}")
    def one(name: Name) -> dict[str, Any]:
        """A model's card, and what its network is made of."""
        card = read_card(card_path(state, name))
        if card.members:  # a panel has no network of its own
            return card.to_dict() | {"layers": []}
        with state.lock:
            explainer = explainer_of(state, name)
        return explainer.card.to_dict() | {"layers": [_layer(layer) for layer in explainer.layers]}

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
    def network(request: Request, name: Name) -> Response:
        """The network with all of its inner tensors as outputs, for a browser to run."""
        with state.lock:
            explainer = explainer_of(state, name)
            tag = f'"{explainer.ref.sha256}"'
            headers = {"etag": tag, "cache-control": "private, max-age=31536000, immutable"}
            if request.headers.get("if-none-match") == tag:
                return Response(status_code=304, headers=headers)
            return Response(
                explainer.tapped_file, media_type="application/octet-stream", headers=headers
            )

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

    return router


def _layer(layer: Layer) -> dict[str, Any]:
    value = dataclasses.asdict(layer)
    value["shapes"] = {stage: list(shape) for stage, shape in layer.shapes.items()}
    return value

"""Looks inside a model: what its layers make of a face, and why its score is what it is.

Runs on the model's own .onnx file, so what is shown is what `scan` runs. Needs no TensorFlow.

    explainer = Explainer("meso4")
    explainer.layers                          # what there is to see
    explainer.activations(crops, ["conv1"])   # maps as numbers
    explainer.split(crop)                     # how the sum came about; None where it does not split
    explainer.occlusion(crop)                 # what the score hangs on
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mesovid.errors import ModelError
from mesovid.explain.graph import Graph, read_graph, with_outputs
from mesovid.explain.layers import Laid, end_of, layers_of
from mesovid.explain.occlude import CELLS, FILL, covered, fill_of
from mesovid.explain.pixel import arithmetic, tensors_for
from mesovid.explain.split import Head, head_of, split
from mesovid.models.card import ModelCard, card_at, find_card, find_member, logit
from mesovid.models.classifier import FACES_AT_ONCE, load_model
from mesovid.models.inputs import preparation, sigmoid
from mesovid.networks import OnnxNetwork, load_onnx
from mesovid.records import (
    Activation,
    Arithmetic,
    Firing,
    Layer,
    ModelRef,
    Occlusion,
    Pixels,
    Split,
    Stage,
)
from mesovid.settings import RuntimeSettings

_PARTS = ("eyes", "nose", "mouth")
PARTS = {  # of a face, as the architecture's head reads them
    "mesolite": _PARTS,
    "mesolite2": tuple(f"{part}, {stride}" for stride in ("fine", "coarse") for part in _PARTS),
}
CONSTANT = 1e-6  # a filter whose values differ by less, relative to them, says nothing


class Explainer:
    """Looks inside one model. `model` is a name, a path or a run's folder, as for `load_model`.

    Of a panel it is the model that decides. Crops are faces cut as the model's card says, uint8
    RGB: one `(size, size, 3)`, several `(n, size, size, 3)`. Signs are those of P(fake): above 0
    speaks for fake. Not to be shared between threads. Raises ModelError for a model that cannot be
    used.
    """

    def __init__(self, model: str | Path, settings: RuntimeSettings | None = None) -> None:
        self._settings = settings or RuntimeSettings()
        if self._settings.runtime != "onnx":
            raise ModelError(f"explaining runs on onnx, not on {self._settings.runtime}")
        path = _one_network(model)
        classifier = load_model(path, self._settings)  # checks the file against its card
        self.card: ModelCard = classifier.card
        self.ref: ModelRef = classifier.ref
        self._path = path.with_suffix(".onnx")
        self._content = self._path.read_bytes()
        self._graph: Graph = read_graph(self._content)
        self._end = end_of(self._graph, self.card.scores)
        self._sign = -1 if self.card.output == "real" else 1
        self._classifier = classifier
        # a network of its own: where all tensors are outputs, no operators are fused: half the
        # speed
        self._quick = self._load([self._end.tensor] if self._end else [])
        self._prepare = preparation(
            self.card.colour,
            self.card.input_range,
            self.card.mean,
            self.card.deviation,
            self.card.layout,
            self._quick.input_types[0],
        )

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers, in the order of the network."""
        return tuple(each.layer for each in self._laid)

    @property
    def file(self) -> bytes:
        """The .onnx file as its card names it."""
        return self._content

    @property
    def tapped_file(self) -> bytes:
        """The .onnx file with every inner tensor as an output, for another program to run."""
        return with_outputs(self._content, _inner(self._graph))

    def plan(self) -> dict[str, Any]:
        """What a program needs that looks inside the .onnx file itself, as plain JSON values.

        Layers with the tensors of their stages and the constant of what they learned, where the
        logit stands, and what the head's parts are called. ModelError when the logit stands
        nowhere.
        """
        if self._end is None:
            raise ModelError(
                f"{self.card.name} ends in no logit that could be read; it cannot be shown"
            )
        layers = [
            asdict(each.layer)
            | {
                "shapes": {stage: list(shape) for stage, shape in each.layer.shapes.items()},
                "tensors": dict(each.tensors),
                "weights": each.kernel,
                "transposed": each.kernel is not None
                and self._graph.constants[each.kernel].ndim == 2
                and self._transposed(each),
            }
            for each in self._laid
        ]
        parts = list(PARTS.get(self.card.architecture, ()))
        end = {"tensor": self._end.tensor, "factors": list(self._end.factors)}
        return {"layers": layers, "end": end, "parts": parts}

    def layer(self, name: str) -> Layer:
        """One layer. ModelError when there is none of that name."""
        return self._find(name).layer

    def filters(self, name: str) -> npt.NDArray[np.float32]:
        """What a layer learned: (filters, inputs, rows, columns). Those of conv1 are as applied to
        RGB from 0 to 255 unless a scaled `face` feeds them. ModelError for a layer without
        weights."""
        laid = self._find(name)
        if laid.kernel is None:
            raise ModelError(
                f"layer {name!r} of {self.card.name} has no filters: it is a {laid.layer.kind}"
            )
        weights = self._graph.constants[laid.kernel]
        if weights.ndim == 2:  # a dense layer's (inputs, units)
            weights = (weights if self._transposed(laid) else weights.T)[:, :, None, None]
        return np.asarray(weights, np.float32)

    def logits(self, crops: Pixels) -> npt.NDArray[np.float64]:
        """Of P(fake) before calibration, (n,). Where a network gives nothing but probabilities,
        within +-16.
        """
        if self._end is None:
            self._check(crops)
            return logit(self._classifier.raw(crops)) if len(crops) else np.zeros(0)
        values = self._run(self._quick, [self._end.tensor], crops, FACES_AT_ONCE)[self._end.tensor]
        factors = self._sign * np.array(self._end.factors)
        return np.asarray(values.reshape(len(crops), -1) @ factors, np.float64)

    def fake_probability(self, logit: float) -> float:
        """The calibrated P(fake) that a logit means, as `scan` gives it."""
        return float(self.card.calibration(sigmoid(logit)))

    def activations(
        self,
        crops: Pixels,
        layers: Sequence[str] | None = None,
        stages: Sequence[Stage] | None = None,
    ) -> tuple[Activation, ...]:
        """The maps of some layers, or of all, at some stages, or at all that they have.

        A crop takes 7 MB in all of Meso-4 and 61 MB in all of MesoLite: ask for few crops at a
        time.
        """
        wanted = self._laid if layers is None else [self._find(name) for name in layers]
        tensors = {
            name: {
                stage: tensor
                for stage, tensor in each.tensors.items()
                if stages is None or stage in stages
            }
            for name, each in ((each.layer.name, each) for each in wanted)
        }
        names = [tensor for chosen in tensors.values() for tensor in chosen.values()]
        found = self._run(self._tapped, names, crops)
        return tuple(
            Activation(
                each.layer,
                {stage: found[tensor] for stage, tensor in tensors[each.layer.name].items()},
            )
            for each in wanted
        )

    def arithmetic(
        self, crop: Pixels, layer: str, filter_: int, row: int, column: int
    ) -> Arithmetic:
        """How one number of a layer's raw map came about. ModelError for a layer without weights,
        and for a place that it does not have."""
        laid = self._find(layer)
        try:
            values = self._run(self._tapped, tensors_for(self._graph, laid), crop[None])
            return arithmetic(
                self._graph, laid, values, filter_, row, column, self.card.geometry.size
            )
        except ValueError as error:
            raise ModelError(str(error)) from error

    def firing(self, crops: Pixels) -> tuple[Firing, ...]:
        """How often the filters of each layer fire on some faces, and which are dead. More faces,
        more to go by.
        """
        wanted = [each for each in self._laid if each.layer.name not in ("face", "logit")]
        names = [each.tensors[each.layer.last] for each in wanted]
        fires: dict[str, Any] = dict.fromkeys(names, 0)
        least: dict[str, Any] = dict.fromkeys(names, np.inf)
        most: dict[str, Any] = dict.fromkeys(names, -np.inf)
        if not len(crops):
            raise ModelError("no face to look at: which filters fire is known from faces alone")
        for number in range(len(crops)):
            for name, maps in self._run(self._tapped, names, crops[number : number + 1]).items():
                flat = maps.reshape(*maps.shape[:2], -1)
                fires[name] = fires[name] + (flat.max(axis=2) > 0).sum(axis=0)
                least[name] = np.minimum(least[name], flat.min(axis=(0, 2)))
                most[name] = np.maximum(most[name], flat.max(axis=(0, 2)))
        return tuple(
            Firing(
                each.layer,
                len(crops),
                fires[name] / len(crops),
                least[name],
                most[name],
                _dead(least[name], most[name]),
            )
            for each, name in zip(wanted, names, strict=True)
        )

    @property
    def splits(self) -> bool:
        """Whether the logit of this model splits exactly."""
        return self._head is not None

    def split(self, crop: Pixels) -> Split | None:
        """How the logit of one face came about; None where the model's head does not split."""
        if self._head is None:
            return None
        return split(
            self._head, self._run(self._tapped, self._head.tensors, crop[None]), self._sign
        )

    def occlusion(self, crop: Pixels, cells: int = CELLS, fill: str = FILL) -> Occlusion:
        """What the logit of one face hangs on: it is run again with each cell of a grid covered."""
        cover = fill_of(crop, fill, cells)
        places = [(row, column) for row in range(cells) for column in range(cells)]
        (whole,) = self.logits(crop[None])
        found = [
            self.logits(
                np.stack(
                    [
                        covered(crop, cover, [place], cells)
                        for place in places[i : i + FACES_AT_ONCE]
                    ]
                )
            )
            for i in range(0, len(places), FACES_AT_ONCE)
        ]
        return Occlusion(float(whole), (whole - np.concatenate(found)).reshape(cells, cells), fill)

    # --- networks ---------------------------------------------------------------------------------

    @cached_property
    def _tapped(self) -> OnnxNetwork:
        """The network with every inner tensor as an output."""
        return self._load(_inner(self._graph))

    @cached_property
    def _laid(self) -> tuple[Laid, ...]:
        size, names = self.card.geometry.size, _inner(self._graph)
        faces = self._tapped.fixed_batch or 2
        inputs = self._prepare(np.zeros((faces, size, size, 3), np.uint8))
        found = self._tapped.run(names, inputs)
        shapes = dict.fromkeys(self._graph.inputs, inputs.shape[1:]) | {
            name: array.shape[1:] if array.shape[:1] == (faces,) else ()
            for name, array in zip(names, found, strict=True)
        }
        return layers_of(self._graph, shapes, self._end.tensor if self._end else None)

    @cached_property
    def _head(self) -> Head | None:
        return head_of(self._graph, self._laid, self._end, PARTS.get(self.card.architecture, ()))

    def _load(self, names: Sequence[str]) -> OnnxNetwork:
        further = [name for name in names if name not in self._graph.outputs]
        return load_onnx(self._path, self._settings, with_outputs(self._content, further))

    def _run(
        self, network: OnnxNetwork, names: Sequence[str], crops: Pixels, at_once: int = 1
    ) -> dict[str, npt.NDArray[np.float32]]:
        self._check(crops)
        if not len(crops):
            raise ModelError("no face to look at: give at least one crop")
        inner = [name for name in names if name not in self._graph.inputs]
        inputs, step = self._prepare(crops), network.fixed_batch or at_once
        found = []
        for i in range(0, len(inputs), step):
            part = inputs[i : i + step]
            missing = (network.fixed_batch or len(part)) - len(part)
            filled = (
                np.concatenate([part, np.repeat(part[-1:], missing, axis=0)]) if missing else part
            )
            found.append([array[: len(part)] for array in network.run(inner, filled)])
        values = {
            name: np.concatenate(parts)
            for name, parts in zip(inner, zip(*found, strict=True), strict=True)
        }
        return values | {name: inputs for name in names if name in self._graph.inputs}

    def _check(self, crops: Pixels) -> None:
        size = self.card.geometry.size
        if crops.ndim != 4 or crops.shape[1:] != (size, size, 3) or crops.dtype != np.uint8:
            raise ModelError(
                f"{self.card.name} wants uint8 crops (n, {size}, {size}, 3), got {crops.dtype} "
                f"{crops.shape}"
            )

    def _find(self, name: str) -> Laid:
        for each in self._laid:
            if each.layer.name == name:
                return each
        known = ", ".join(each.layer.name for each in self._laid)
        raise ModelError(f"no layer {name!r} in {self.card.name}; known: {known}")

    def _transposed(self, laid: Laid) -> bool:
        node = next(node for node in self._graph.nodes if laid.tensors["raw"] in node.outputs)
        return bool(node.attributes.get("transB"))


def _inner(graph: Graph) -> list[str]:
    return list(dict.fromkeys(name for node in graph.nodes for name in node.outputs if name))


def _dead(least: npt.NDArray[np.float32], most: npt.NDArray[np.float32]) -> tuple[int, ...]:
    same = most - least <= CONSTANT * np.maximum(np.abs(most), 1)
    return tuple(int(number) for number in np.flatnonzero(same))


def _one_network(model: str | Path) -> Path:
    """The card of the model itself.

    Of a panel, that of the one model whose score is the panel's.
    """
    path = find_card(model)
    card = card_at(path)
    if not card.members:
        return path
    deciding = [member for member in card.members if member.decides]
    if len(deciding) > 1:
        names = ", ".join(member.name for member in card.members)
        raise ModelError(f"{card.name} is a panel; look inside one of its models: {names}")
    return find_member(path, deciding[0])

"""A trained detector: its card and its network on crops of faces, or a panel of several.

It is loaded by name, by path, or from a training run's folder.

Without weights that match their card nothing runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mesovid.errors import ModelError
from mesovid.models.architectures import build
from mesovid.models.card import (
    FOREIGN,
    PANEL,
    Calibration,
    Member,
    ModelCard,
    Probabilities,
    card_at,
    find_card,
    find_member,
    sha256_of,
)
from mesovid.models.inputs import Prepare, preparation, probability_of
from mesovid.models.weights import load_weights
from mesovid.networks import OnnxNetwork, load_onnx
from mesovid.records import ModelRef, Pixels
from mesovid.settings import RuntimeSettings

# More at once is slower on a processor and takes memory: Meso-4 needs 3.4 ms a face and 120 MB by
# fours, 3.7 ms and 300 MB by 16.
FACES_AT_ONCE = 4

# crops (n, size, size, 3), uint8 RGB -> the network's own output, (n, 1) or (n, 2)
Network = Callable[[Pixels], npt.NDArray[Any]]


class Classifier:
    """Judges crops of faces. `card` says how they must be cut."""

    def __init__(self, card: ModelCard, network: Network, sha256: str) -> None:
        self.card = card
        self.ref = ModelRef(card.name, sha256, card.threshold)
        self._network = network

    def __call__(self, pixels: Pixels) -> Probabilities:
        """Calibrated P(fake) `(n,)` of crops `(n, size, size, 3)`, uint8 RGB."""
        self.check(pixels)
        if not len(pixels):
            return np.zeros(0)
        return self.card.calibration(self.raw(pixels))

    def uncalibrated(self) -> Classifier:
        """The same network without the calibration of its card."""
        card = replace(self.card, calibration=Calibration())
        return Classifier(card, self._network, self.ref.sha256)

    def with_members(self, pixels: Pixels) -> tuple[Probabilities, Probabilities]:
        """P(fake) `(n,)`, and what each model of a panel says, `(n, members)`.

        A single model says nothing there: `(n, 0)`.
        """
        return self(pixels), np.zeros((len(pixels), 0))

    def check(self, pixels: Pixels) -> None:
        """Raise ModelError for crops that the card does not ask for."""
        size = self.card.geometry.size
        if pixels.ndim != 4 or pixels.shape[1:] != (size, size, 3) or pixels.dtype != np.uint8:
            raise ModelError(
                f"{self.card.name} wants uint8 crops (n, {size}, {size}, 3), got {pixels.dtype} "
                f"{pixels.shape}"
            )

    def raw(self, pixels: Pixels) -> Probabilities:
        """P(fake) `(n,)` before calibration."""
        try:
            found = probability_of(self._network(pixels), self.card.scores)
        except ValueError as error:
            raise ModelError(
                f"{self.card.name} gives {error}; its card says {self.card.scores}"
            ) from error
        if not np.isfinite(found).all():
            raise ModelError(
                f"{self.card.name} gives scores that are not numbers; its weights are damaged"
            )
        return 1.0 - found if self.card.output == "real" else found


class Panel(Classifier):
    """Judges crops of faces by several models and hears the most alarmed one.

    All must cut their crops alike.

    A network that looks for the seam of a swapped face cannot see a face that was generated as a
    whole, and one that knows generated faces cannot see a seam: their traces are largely disjoint
    (SynthForensics, arXiv 2602.04939). So neither is averaged away by the other: on a common scale,
    which the card holds for each member, a face is as suspicious as the most suspicious of its
    judges finds it.
    """

    def __init__(self, card: ModelCard, judges: Sequence[Classifier]) -> None:
        for judge in judges:
            if judge.card.geometry != card.geometry:
                raise ModelError(
                    f"{judge.card.name} cuts faces otherwise than the panel {card.name}"
                )
        self.card = card
        names = tuple(member.name for member in card.members)
        self.ref = ModelRef(card.name, panel_digest(card.members), card.threshold, names)
        self._judges = tuple(judges)

    def raw(self, pixels: Pixels) -> Probabilities:
        """P(fake) `(n,)` of the most alarmed of those that decide."""
        return self.together(self.apart(pixels))

    def apart(self, pixels: Pixels) -> Probabilities:
        """Each member's P(fake) of each face on the panel's common scale, `(n, members)`."""
        columns = [
            member(judge(pixels))
            for member, judge in zip(self.card.members, self._judges, strict=True)
        ]
        return np.stack(columns, axis=1)

    def together(self, apart: Probabilities) -> Probabilities:
        """P(fake) `(n,)` of what `apart` gives."""
        decide = [member.decides for member in self.card.members]
        worst: Probabilities = self.card.calibration(apart[:, decide].max(axis=1))
        return worst

    def with_members(self, pixels: Pixels) -> tuple[Probabilities, Probabilities]:
        """P(fake) `(n,)`, and `apart`."""
        self.check(pixels)
        apart = self.apart(pixels)
        return self.together(apart), apart


def panel_digest(members: Sequence[Member]) -> str:
    """A sha256 of what decides a panel's scores: its members' weights and calibrations."""
    text = json.dumps([asdict(member) for member in members], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def load_model(model: str | Path, settings: RuntimeSettings | None = None) -> Classifier:
    """Load a model.

    `name` is a shipped model's name, a path to one of a model's files, or a run's folder.

    Raises ModelError when it is unknown, damaged, or its weights are not those that its card names.
    """
    settings = settings or RuntimeSettings()
    path = find_card(model)
    card = card_at(path)
    if card.architecture == PANEL:
        return _panel(card, path, settings)
    weights = path.with_suffix(".onnx" if settings.runtime == "onnx" else ".keras")
    sha256 = _verified(weights, card)
    network = (
        _onnx_network(weights, card, settings)
        if settings.runtime == "onnx"
        else _keras_network(weights, card)
    )
    return Classifier(card, network, sha256)


def _panel(card: ModelCard, path: Path, settings: RuntimeSettings) -> Classifier:
    """A panel with its members, from beside its card or from those that ship."""
    judges = []
    for member in card.members:
        place = find_member(path, member)
        if card_at(place).architecture == PANEL:
            raise ModelError(f"the panel {card.name} has a panel as its member {member.name}")
        judge = load_model(place, settings)
        if (found := judge.card.sha256.get("onnx")) != member.sha256:
            raise ModelError(
                f"the panel {card.name} was made with another {member.name} (sha256 "
                f"{member.sha256[:12]}..., this one {str(found)[:12]}...); make the panel again"
            )
        judges.append(judge)
    return Panel(card, judges)


def _verified(weights: Path, card: ModelCard) -> str:
    """The sha256 of a weight file, when it is the one that the card names."""
    if weights.suffix == ".keras" and card.architecture == FOREIGN:
        raise ModelError(
            f"{card.name} was imported as an .onnx file alone; run it with --runtime onnx"
        )
    if not weights.is_file():
        raise ModelError(f"the weights of {card.name} are missing: no {weights}")
    wanted = card.sha256.get(weights.suffix[1:])
    try:
        found = sha256_of(weights)
    except OSError as error:
        raise ModelError(f"cannot read {weights} ({error.strerror})") from error
    if wanted is None:
        raise ModelError(
            f"the card of {card.name} does not name {weights.name}; export the model again"
        )
    if found != wanted:
        raise ModelError(
            f"{weights} is not the file that its card names (sha256 {found[:12]}..., card "
            f"{wanted[:12]}...); it is damaged or was replaced"
        )
    return found


def _onnx_network(path: Path, card: ModelCard, settings: RuntimeSettings) -> Network:
    network = load_onnx(path, settings)
    prepare = _preparation(card, network.input_types[0])
    parts = network.fixed_batch or (FACES_AT_ONCE if network.device == "cpu" else None)

    def run(pixels: Pixels) -> npt.NDArray[Any]:
        inputs = prepare(pixels)
        step = parts or len(inputs)
        return np.concatenate(
            [_output(network, inputs[i : i + step]) for i in range(0, len(inputs), step)]
        )

    return run


def _output(network: OnnxNetwork, few: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The first output for some faces.

    Faces are added for a network that takes a fixed number.
    """
    missing = (network.fixed_batch or len(few)) - len(few)
    if missing:
        return network(np.concatenate([few, np.repeat(few[-1:], missing, axis=0)]))[0][: len(few)]
    return network(few)[0]


def _preparation(card: ModelCard, dtype: npt.DTypeLike) -> Prepare:
    return preparation(card.colour, card.input_range, card.mean, card.deviation, card.layout, dtype)


def _keras_network(path: Path, card: ModelCard) -> Network:
    """The graph rebuilt by its architecture's name, with the file's arrays.

    Nothing in the file is run.
    """
    model = build(card.architecture, card.network, size=card.geometry.size)
    load_weights(model, path)

    import tensorflow as tf

    shape = tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)
    run = tf.function(
        lambda x: model(tf.cast(x, tf.float32), training=False),
        input_signature=[shape],
        autograph=False,
    )
    prepare = _preparation(card, np.uint8)
    return lambda pixels: np.asarray(run(prepare(pixels)).numpy())

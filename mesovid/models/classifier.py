"""A trained detector: its card, and its network on crops of faces. Loaded by name, by path, or from a training run's folder.

Without weights that match their card nothing runs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mesovid.errors import ModelError
from mesovid.models.architectures import build
from mesovid.models.card import FOREIGN, ModelCard, Probabilities, card_at, find_card, sha256_of
from mesovid.models.inputs import Prepare, preparation, probability_of
from mesovid.models.weights import load_weights
from mesovid.networks import OnnxNetwork, load_onnx
from mesovid.records import ModelRef, Pixels
from mesovid.settings import RuntimeSettings

# More at once is slower on a processor and takes memory: Meso-4 needs 3.4 ms a face and 120 MB by fours, 3.7 ms and 300 MB by 16.
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
        size = self.card.geometry.size
        if pixels.ndim != 4 or pixels.shape[1:] != (size, size, 3) or pixels.dtype != np.uint8:
            raise ModelError(
                f"{self.card.name} wants uint8 crops (n, {size}, {size}, 3), got {pixels.dtype} {pixels.shape}"
            )
        if not len(pixels):
            return np.zeros(0)
        return self.card.calibration(self.raw(pixels))

    def raw(self, pixels: Pixels) -> Probabilities:
        """P(fake) `(n,)` before calibration."""
        try:
            found = probability_of(self._network(pixels), self.card.scores)
        except ValueError as error:
            raise ModelError(f"{self.card.name} gives {error}; its card says {self.card.scores}") from error
        if not np.isfinite(found).all():
            raise ModelError(f"{self.card.name} gives scores that are not numbers; its weights are damaged")
        return 1.0 - found if self.card.output == "real" else found


def load_model(model: str | Path, settings: RuntimeSettings | None = None) -> Classifier:
    """Load a shipped model by its name, any model by a path to one of its files, or the model of a run's folder.

    Raises ModelError when it is unknown, damaged, or its weights are not those that its card names.
    """
    settings = settings or RuntimeSettings()
    path = find_card(model)
    card = card_at(path)
    weights = path.with_suffix(".onnx" if settings.runtime == "onnx" else ".keras")
    sha256 = _verified(weights, card)
    network = (
        _onnx_network(weights, card, settings)
        if settings.runtime == "onnx"
        else _keras_network(weights, card)
    )
    return Classifier(card, network, sha256)


def _verified(weights: Path, card: ModelCard) -> str:
    """The sha256 of a weight file, when it is the one that the card names."""
    if weights.suffix == ".keras" and card.architecture == FOREIGN:
        raise ModelError(f"{card.name} was imported as an .onnx file alone; run it with --runtime onnx")
    if not weights.is_file():
        raise ModelError(f"the weights of {card.name} are missing: no {weights}")
    wanted = card.sha256.get(weights.suffix[1:])
    try:
        found = sha256_of(weights)
    except OSError as error:
        raise ModelError(f"cannot read {weights} ({error.strerror})") from error
    if wanted is None:
        raise ModelError(f"the card of {card.name} does not name {weights.name}; export the model again")
    if found != wanted:
        raise ModelError(
            f"{weights} is not the file that its card names (sha256 {found[:12]}..., card {wanted[:12]}...);"
            " it is damaged or was replaced"
        )
    return found


def _onnx_network(path: Path, card: ModelCard, settings: RuntimeSettings) -> Network:
    network = load_onnx(path, settings)
    prepare = _preparation(card, network.input_types[0])
    parts = network.fixed_batch or (FACES_AT_ONCE if network.device == "cpu" else None)

    def run(pixels: Pixels) -> npt.NDArray[Any]:
        inputs = prepare(pixels)
        step = parts or len(inputs)
        return np.concatenate([_output(network, inputs[i : i + step]) for i in range(0, len(inputs), step)])

    return run


def _output(network: OnnxNetwork, few: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The first output for some faces; those that are missing for a network that takes a fixed number are filled up."""
    missing = (network.fixed_batch or len(few)) - len(few)
    if missing:
        return network(np.concatenate([few, np.repeat(few[-1:], missing, axis=0)]))[0][: len(few)]
    return network(few)[0]


def _preparation(card: ModelCard, dtype: npt.DTypeLike) -> Prepare:
    return preparation(card.colour, card.input_range, card.mean, card.deviation, card.layout, dtype)


def _keras_network(path: Path, card: ModelCard) -> Network:
    """The graph rebuilt by its architecture's name, with the file's arrays: nothing in the file is run."""
    model = build(card.architecture, card.network, size=card.geometry.size)
    load_weights(model, path)

    import tensorflow as tf

    shape = tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)
    run = tf.function(
        lambda x: model(tf.cast(x, tf.float32), training=False), input_signature=[shape], autograph=False
    )
    prepare = _preparation(card, np.uint8)
    return lambda pixels: np.asarray(run(prepare(pixels)).numpy())

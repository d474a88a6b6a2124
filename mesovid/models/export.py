"""Writes a model's three files: the Keras graph, its ONNX twin, and the card that names them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from mesovid.backend import import_tensorflow
from mesovid.errors import MesovidError, ModelError
from mesovid.files import check_copies
from mesovid.models.architectures import build
from mesovid.models.card import SUFFIXES, ModelCard, model_files, sha256_of
from mesovid.models.classifier import load_model
from mesovid.models.keras_graph import check_graph
from mesovid.models.weights import load_weights
from mesovid.records import Pixels
from mesovid.settings import Activation, Geometry, NetworkSettings, RuntimeSettings

import_tensorflow()

import keras  # noqa: E402
import onnx  # noqa: E402

from mesovid.models.onnx_graph import convert  # noqa: E402

TOLERANCE = 1e-4  # of P(fake) between the .keras and the .onnx file
PROBES = 8  # crops on which both are compared when none are given


def write_model(
    model: keras.Model, card: ModelCard, folder: str | Path, crops: Pixels | None = None
) -> ModelCard:
    """Write `<name>.keras`, `<name>.onnx` and `<name>.json`, and give the finished card.

    Both files are read back as a user would and must agree on `crops` (n, size, size, 3), or on
    noise when none are given; the card says how well. Files of an earlier export are replaced only
    when everything went well. Raises ModelError when they disagree or cannot be written.
    """
    folder = Path(folder)
    with model_files(folder, card.name) as work:
        plain = save_keras(model, card, work / f"{card.name}.keras")
        onnx.save(convert(plain), work / f"{card.name}.onnx")
        card = replace(
            card,
            parameters=int(model.count_params()),
            sha256={kind: sha256_of(work / f"{card.name}.{kind}") for kind in ("onnx", "keras")},
        )
        card.write(work)
        difference = _difference(
            work / f"{card.name}.json", _probes(card) if crops is None else crops
        )
        if not difference <= TOLERANCE:
            raise ModelError(
                f"{card.name}.onnx and .keras differ by {difference:.2g} in P(fake); at most "
                f"{TOLERANCE:g} is allowed"
            )
        card = replace(card, agreement={"tolerance": TOLERANCE, "largest_difference": difference})
        card.write(work)
    return card


def import_model(
    file: str | Path,
    *,
    architecture: str,
    output: Literal["fake", "real"],
    activation: Activation = "relu",
    name: str | None = None,
    folder: str | Path = ".",
    geometry: Geometry | None = None,
) -> ModelCard:
    """Take weights that were trained elsewhere and write them as a model of mesovid.

    `output` says which class the network's output is the probability of; the geometry is the
    paper's when none is given. Raises ModelError when the file is missing, damaged, or of another
    network or one that computes otherwise, and SettingsError when a file of the model would take
    its place.
    """
    file = Path(file)
    geometry = geometry or Geometry()
    check_copies((Path(folder) / f"{name or file.stem}{suffix}" for suffix in SUFFIXES), [file])
    network = NetworkSettings(activation=activation)
    model = build(architecture, network, size=geometry.size)
    load_weights(model, file)
    check_graph(model, file)
    card = ModelCard(
        name=name or file.stem,
        summary=f"imported from {file.name}",
        architecture=architecture,
        network=network,
        geometry=geometry,
        output=output,
        rule="not chosen on data: one half, no uncertain band",
        training={"imported": {"file": file.name, "sha256": sha256_of(file)}},
        licence="that of the imported weights",
        limits="Trained elsewhere; never measured or calibrated by mesovid.",
    )
    return write_model(model, card, folder)


def save_keras(model: keras.Model, card: ModelCard, path: Path) -> keras.Model:
    """Save and give a fresh float32 graph with the model's weights.

    It has no optimizer, no half precision and no layers of training.
    """
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        plain = build(card.architecture, card.network, size=card.geometry.size)
    finally:
        keras.config.set_dtype_policy(policy)
    plain.set_weights(model.get_weights())
    plain.save(path)
    return plain


def _difference(card: Path, crops: Pixels) -> float:
    """The largest difference in P(fake) between a model's two files."""
    scores: list[npt.NDArray[np.float64]] = []
    for runtime in ("onnx", "tensorflow"):
        try:
            scores.append(
                load_model(card, RuntimeSettings(runtime=runtime, device="cpu")).raw(crops)
            )
        except MesovidError as error:
            raise ModelError(
                f"the exported {card.stem} does not run on {runtime}: {error}"
            ) from error
    return float(np.abs(scores[0] - scores[1]).max())


def _probes(card: ModelCard) -> Pixels:
    """Noise of several grains and brightnesses; enough to see a wrong layer."""
    rng = np.random.default_rng(0)
    size = card.geometry.size
    probes = np.empty((PROBES, size, size, 3), np.uint8)
    for number in range(PROBES):
        grain = 2 ** (number % 4)
        cells = rng.integers(0, 256, (-(-size // grain), -(-size // grain), 3), dtype=np.uint8)
        coarse = cells.repeat(grain, axis=0).repeat(grain, axis=1)[:size, :size]
        probes[number] = coarse // (1 + number // 4)
    return probes

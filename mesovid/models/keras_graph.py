"""Compares the graph that a Keras file describes with the one that its arrays are put into.

Arrays alone fit many graphs: one with a Lambda layer, with other activations, strides or a pooling
by the mean. Such a file would give a model that scores otherwise than it did, without a word.
Nothing of the file is run: its description is JSON.
"""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mesovid.errors import ModelError
from mesovid.models.weights import DAMAGED, described_network, member_of
from mesovid.texts import parse_json

if TYPE_CHECKING:
    import keras

Layer = tuple[str, dict[str, Any]]  # class and settings

OLD_NAMES = {
    "Convolution2D": "Conv2D",
    "BatchNormalizationV1": "BatchNormalization",
    "Merge": "Concatenate",
}
# they do nothing in a network that is used
IDLE = frozenset(
    [
        "InputLayer",
        "Dropout",
        "SpatialDropout2D",
        "AlphaDropout",
        "GaussianDropout",
        "GaussianNoise",
        "ActivityRegularization",
        "Identity",
        "RandomFlip",
        "RandomRotation",
        "RandomZoom",
        "RandomTranslation",
        "RandomContrast",
        "RandomBrightness",
    ]
)
ACTIVATIONS = frozenset(
    ["Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "PReLU", "ThresholdedReLU"]
)
# the settings of a layer, beside its arrays, by which it computes; those that are absent from one
# side are not compared
SETTINGS = {
    "Conv2D": ("strides", "padding", "dilation_rate", "groups", "data_format"),
    "DepthwiseConv2D": ("strides", "padding", "dilation_rate", "depth_multiplier", "data_format"),
    "BatchNormalization": ("epsilon",),
    "MaxPooling2D": ("pool_size", "strides", "padding"),
    "Rescaling": ("scale", "offset"),
    "Cropping2D": ("cropping",),
}
WAY_OUT = "export the model to ONNX and import that: mesovid models import model.onnx"


def check_graph(model: keras.Model, path: Path) -> None:
    """ModelError where the file at `path` describes a graph that computes otherwise than `model`.

    A file of weights alone describes none; only the names of its layers can be looked at.
    """
    described, names = _described(path)
    if any(name.split("_")[0] == "lambda" for name in names):
        raise ModelError(_has(path, "Lambda"))
    if described is None:
        return
    own = _layers(json.loads(model.to_json())["config"])
    known = {kind for kind, _ in own} | IDLE | ACTIVATIONS | {"Rescaling"}
    if strange := next((kind for kind, _ in described if kind not in known), None):
        raise ModelError(_has(path, strange))
    for kind in dict.fromkeys(kind for kind, _ in own):
        _compare(
            kind, [s for k, s in described if k == kind], [s for k, s in own if k == kind], path
        )
    theirs, ours = _activations(described), _activations(own)
    if theirs != ours:
        raise ModelError(
            f"{path} computes otherwise than {model.name}: its activations are {_counted(theirs)}, "
            f"the network's {_counted(ours)}; see --activation, or {WAY_OUT}"
        )


def _has(path: Path, kind: str) -> str:
    why = (
        "which is code, and nothing of a file is run"
        if kind == "Lambda"
        else "which the network has not"
    )
    return (
        f"{path} has a layer of class {kind}, {why}: without it the model would score otherwise; "
        f"{WAY_OUT}"
    )


def _compare(
    kind: str, theirs: Sequence[dict[str, Any]], ours: Sequence[dict[str, Any]], path: Path
) -> None:
    """Raise ModelError where the layers of one class differ in number or settings.

    A file may leave the scaling to its reader.
    """
    if kind not in SETTINGS or (kind == "Rescaling" and not theirs):
        return
    if len(theirs) != len(ours):
        raise ModelError(
            f"{path} has {len(theirs)} layers of class {kind}, the network {len(ours)}; {WAY_OUT}"
        )
    for number, (their, our) in enumerate(zip(theirs, ours, strict=True), start=1):
        for name in SETTINGS[kind]:
            if (
                name in their
                and name in our
                and not _same(their[name], our[name], our.get("pool_size"))
            ):
                raise ModelError(
                    f"{path} computes otherwise than the network: {name} of {kind} {number} is "
                    f"{their[name]!r}, not {our[name]!r}; {WAY_OUT}"
                )


def _same(their: Any, our: Any, pool: Any) -> bool:
    """Whether two settings mean the same: 2 is (2, 2), and no strides of a pooling are its size."""
    first, second = (pool if value is None else value for value in (their, our))
    if isinstance(first, (int, float)) and isinstance(second, (list, tuple)):
        first = [first] * len(second)
    if isinstance(second, (int, float)) and isinstance(first, (list, tuple)):
        second = [second] * len(first)
    if isinstance(first, float) or isinstance(second, float):
        return abs(float(first) - float(second)) < 1e-6
    return bool(first == second)


def _activations(layers: Sequence[Layer]) -> Counter[str]:
    """How often each activation that is not linear comes.

    It may be a layer of its own or lie inside another.
    """
    found: Counter[str] = Counter()
    for kind, settings in layers:
        if kind == "ReLU":
            slope = settings.get("negative_slope") or 0
            most = settings.get("max_value")
            found[
                "relu" + (f"{most:g}" if most else "") + (f" leaking {slope:g}" if slope else "")
            ] += 1
        elif kind == "LeakyReLU":
            slope = settings.get("negative_slope", settings.get("alpha", 0.3))
            found[f"relu leaking {float(_value(slope)):g}"] += 1
        elif kind in ("ELU", "Softmax", "PReLU", "ThresholdedReLU"):
            found[kind.lower()] += 1
        elif isinstance(name := settings.get("activation"), (str, dict)):
            name = (
                name
                if isinstance(name, str)
                else name.get("config", name).get("name", name["class_name"])
            )
            found[{"leaky_relu": "relu leaking 0.2"}.get(str(name).lower(), str(name).lower())] += 1
    del found["linear"]
    return found


def _value(number: Any) -> Any:
    """A number as Keras wrote it.

    Keras 2 writes {"class_name": "__numpy__", "config": {"value": 0.1}} or {"value": 0.1} for some.
    """
    while isinstance(number, dict):
        number = number.get("config", number.get("value", 0))
    return number


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "none"


def _described(path: Path) -> tuple[list[Layer] | None, list[str]]:
    """The layers that a file describes, and their names.

    The layers are None when the file holds weights alone.
    """
    import h5py

    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return _layers(described_network(path, archive)["config"]), []
        with h5py.File(path, "r") as file:
            root = member_of(file, "model_weights", path) or file
            names = [_text(name) for name in root.attrs.get("layer_names", ())]
            text = file.attrs.get("model_config")
            return None if text is None else _layers(parse_json(_text(text))["config"]), names
    except DAMAGED as error:
        raise ModelError(
            f"{path} describes its network in a way that cannot be read ({error})"
        ) from error


def _layers(config: Any) -> list[Layer]:
    """The layers of a network's configuration.

    It is an object with a list or, in Keras 1, the list of a Sequential itself.
    """
    listed = config if isinstance(config, list) else config["layers"]
    return [
        (OLD_NAMES.get(each["class_name"], each["class_name"]), dict(each["config"]))
        for each in listed
    ]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)

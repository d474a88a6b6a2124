"""Reads the arrays of weight files written elsewhere and puts them into a graph, layer by layer.

Nothing from the file is run or unpickled: only numeric arrays are read, with h5py. Three kinds are
understood: weights alone (`.h5` of `save_weights`), whole models of Keras 1 and 2 (`.h5`, `.hdf5`),
and Keras 3 (`.keras`, `.weights.h5`).
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mesovid.errors import ModelError

if TYPE_CHECKING:
    import h5py
    import keras

Arrays = list[npt.NDArray[Any]]  # of one layer, in the layer's own order

# bytes; more than any network here has, less than what fills a laptop's memory
LARGEST_FILE = 2**30
READS = "an .h5, .hdf5 or .keras file of a known architecture"


def load_weights(model: keras.Model, path: Path) -> None:
    """Fill `model` with the arrays of `path`.

    ModelError for a missing, damaged or foreign file, and then nothing has changed.
    """
    fill(model, read_layers(path), str(path))


def fill(model: keras.Model, groups: Sequence[Arrays], source: str) -> None:
    """Put the arrays of `source`, as `read_layers` gives them, into `model`; as `load_weights`."""
    layers = [layer for layer in model.layers if layer.weights]
    wanted = [[tuple(weight.shape) for weight in layer.weights] for layer in layers]
    found = [[array.shape for array in arrays] for arrays in groups]
    if wanted != found:
        raise ModelError(
            f"{source} does not hold the weights of {model.name}: {_difference(wanted, found)}"
        )
    if not all(np.isfinite(array).all() for arrays in groups for array in arrays):
        raise ModelError(f"{source} is damaged: some weights are not finite numbers")
    for layer, arrays in zip(layers, groups, strict=True):
        layer.set_weights(arrays)


def read_once(path: Path) -> tuple[list[Arrays], str]:
    """What `read_layers` gives of a `.keras` file, and its sha256; the file is read once."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"no such file: {path}") from error
    except OSError as error:
        raise ModelError(f"cannot read {path} ({error.strerror})") from error
    try:
        return _read_archive(io.BytesIO(data)), hashlib.sha256(data).hexdigest()
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"cannot read weights from {path}: it is damaged or no .keras file"
        ) from error


def read_layers(path: Path) -> list[Arrays]:
    """The arrays of each layer that has any, in the order of the file's network."""
    import h5py

    try:
        if path.stat().st_size > LARGEST_FILE:
            raise ModelError(f"{path} is too large for a weight file ({path.stat().st_size} bytes)")
        if zipfile.is_zipfile(path):
            return _read_archive(path)
        with h5py.File(path, "r") as file:
            return _read_hdf5(file)
    except FileNotFoundError as error:
        raise ModelError(f"no such file: {path}") from error
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"cannot read weights from {path}: it is damaged or not {READS}"
        ) from error


def _read_archive(path: Path | IO[bytes]) -> list[Arrays]:
    """A `.keras` file: the network's layers in config.json, their arrays in model.weights.h5."""
    import h5py

    with zipfile.ZipFile(path) as archive:
        if archive.getinfo("model.weights.h5").file_size > LARGEST_FILE:
            raise ModelError("its model.weights.h5 is too large for a weight file")
        layers = json.loads(archive.read("config.json"))["config"]["layers"]
        with h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r") as file:
            return _layers_of_keras3(file, [str(layer["class_name"]) for layer in layers])


def _read_hdf5(file: h5py.File) -> list[Arrays]:
    root = _member(file, "model_weights") or file
    if "layer_names" in root.attrs:
        layers = [_member(root, _text(name)) for name in root.attrs["layer_names"]]
        return [arrays for arrays in map(_legacy_arrays, layers) if arrays]
    return _layers_of_keras3(file, None)


def _legacy_arrays(layer: h5py.Group) -> Arrays:
    return [_array(layer, _text(name)) for name in layer.attrs["weight_names"]]


def _layers_of_keras3(file: h5py.File, classes: list[str] | None) -> list[Arrays]:
    """Groups are named by class and count (`conv2d`, `conv2d_1`), in the order of the network.

    Without the class names (a bare `.weights.h5`) that order is lost unless HDF5 kept the order of
    creation, which Keras does not ask of it; so such files are refused.
    """
    if classes is None:
        raise ModelError(
            f"{file.filename} does not say its order of layers; save the whole model as .keras "
            "instead"
        )
    counts: dict[str, int] = {}
    found = []
    for name in map(_snake_case, classes):
        counts[name] = counts.get(name, -1) + 1
        group = f"{name}_{counts[name]}" if counts[name] else name
        variables = _member(file, f"layers/{group}/vars")
        if variables is not None and len(variables):
            found.append([_array(variables, key) for key in sorted(variables, key=int)])
    return found


def _array(group: h5py.Group, name: str) -> npt.NDArray[Any]:
    """A dataset's numbers.

    Data that lies in other files is refused: a weight file must not read what it likes.
    """
    dataset = _member(group, name)
    if dataset is None or dataset.external or dataset.is_virtual or dataset.dtype.kind not in "fiu":
        raise ModelError(
            f"{group.file.filename} is not a plain weight file: {name} is no array of numbers"
        )
    return np.asarray(dataset, np.float32)


def _member(group: h5py.Group, name: str) -> Any:
    """A group or dataset by its path; None when there is none.

    Links into other files are refused.
    """
    import h5py

    for part in name.split("/"):
        link = group.get(part, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise ModelError(
                f"{group.file.filename} is not a plain weight file: {name} links to somewhere else"
            )
        group = group[part]
    return group


def _snake_case(name: str) -> str:
    """The name of a class's groups in a Keras 3 file: Conv2D -> conv2d, ReLU -> re_lu."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _difference(wanted: list[list[tuple[int, ...]]], found: list[list[tuple[int, ...]]]) -> str:
    if len(wanted) != len(found):
        return f"it has {len(found)} layers with weights, the network {len(wanted)}"
    number = next(i for i, pair in enumerate(zip(wanted, found, strict=True)) if pair[0] != pair[1])
    return f"layer {number + 1} has shapes {found[number]}, the network {wanted[number]}"

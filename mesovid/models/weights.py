"""Reads the arrays of weight files written elsewhere and puts them into a graph, layer by layer.

Nothing from the file is run or unpickled: only numeric arrays are read, with h5py. Three kinds are
understood: weights alone (`.h5` of `save_weights`), whole models of Keras 1 and 2 (`.h5`, `.hdf5`),
and Keras 3 (`.keras`, `.weights.h5`).
"""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mesovid.errors import ModelError
from mesovid.texts import parse_json

if TYPE_CHECKING:
    import h5py
    import keras

Arrays = list[npt.NDArray[Any]]  # of one layer, in the layer's own order

LARGEST_FILE = 2**28  # bytes, packed or not: a hundred times what the largest network here has
LARGEST_TEXT = 2**24  # bytes of the description of a network
MOST_LAYERS = 2000
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others are unpacked without bounds
# what a damaged or foreign file raises
DAMAGED = (
    OSError,
    AttributeError,
    KeyError,
    ValueError,
    TypeError,
    RuntimeError,
    MemoryError,
    EOFError,
    NotImplementedError,
    zlib.error,
    zipfile.BadZipFile,
)
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
        _check_size(path)
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"no such file: {path}") from error
    except OSError as error:
        raise ModelError(f"cannot read {path} ({error.strerror})") from error
    try:
        return _Reader(path).of_archive(io.BytesIO(data)), hashlib.sha256(data).hexdigest()
    except DAMAGED as error:
        raise ModelError(
            f"cannot read weights from {path}: it is damaged or no .keras file"
        ) from error


def _check_size(path: Path) -> None:
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise ModelError(f"{path} is too large for a weight file ({size:,} bytes)")


def read_layers(path: Path) -> list[Arrays]:
    """The arrays of each layer that has any, in the order of the file's network."""
    import h5py

    try:
        _check_size(path)
        reader = _Reader(path)
        if zipfile.is_zipfile(path):
            with path.open("rb") as stream:
                return reader.of_archive(stream)
        with h5py.File(path, "r") as file:
            return reader.of_hdf5(file)
    except FileNotFoundError as error:
        raise ModelError(f"no such file: {path}") from error
    except DAMAGED as error:
        raise ModelError(
            f"cannot read weights from {path}: it is damaged or not {READS}"
        ) from error


def described_network(path: Path, archive: zipfile.ZipFile) -> Any:
    """The JSON by which a `.keras` file describes its network. Raises one of `DAMAGED`."""
    return parse_json(_unpacked(archive, "config.json", LARGEST_TEXT, path))


def member_of(group: h5py.Group, name: str, path: Path) -> Any:
    """A group or dataset by its path; None when there is none.

    Links into other files are refused.
    """
    import h5py

    found: Any = group
    for part in name.split("/"):
        link = found.get(part, getlink=True) if part and isinstance(found, h5py.Group) else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise ModelError(f"{path} is not a plain weight file: {name} links to somewhere else")
        found = found[part]
    return found


def _unpacked(archive: zipfile.ZipFile, name: str, most: int, path: Path) -> bytes:
    """The content of one file in an archive: so many bytes at most, whatever it says of itself."""
    about = archive.getinfo(name)
    if about.file_size > most or about.compress_type not in PACKED:
        raise ModelError(
            f"{path} is no weight file: its {name} would take {about.file_size:,} bytes; "
            f"{most:,} are the most, stored or deflated"
        )
    with archive.open(about) as file:
        return file.read(about.file_size)


class _Reader:
    """Reads the arrays of one file, of which it takes so much and no more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = LARGEST_FILE  # bytes that the arrays may still take

    def of_archive(self, stream: IO[bytes]) -> list[Arrays]:
        """A `.keras` file: the layers in config.json, their arrays in model.weights.h5."""
        import h5py

        with zipfile.ZipFile(stream) as archive:
            layers = described_network(self._path, archive)["config"]["layers"]
            if len(layers) > MOST_LAYERS:
                raise ModelError(
                    f"{self._path} has {len(layers):,} layers; {MOST_LAYERS} are the most"
                )
            content = _unpacked(archive, "model.weights.h5", LARGEST_FILE, self._path)
        with h5py.File(io.BytesIO(content), "r") as file:
            return self._of_keras3(file, [str(layer["class_name"]) for layer in layers])

    def of_hdf5(self, file: h5py.File) -> list[Arrays]:
        """A whole model of Keras 1 or 2, or its weights alone."""
        root = self._member(file, "model_weights") or file
        if "layer_names" not in root.attrs:
            # the groups of a bare `.weights.h5` are named by class and count, and their order is
            # lost unless HDF5 kept that of creation, which Keras does not ask of it
            raise ModelError(
                f"{self._path} does not say its order of layers; save the whole model as .keras "
                "instead"
            )
        names = [_text(name) for name in root.attrs["layer_names"]]
        if len(names) > MOST_LAYERS:
            raise ModelError(f"{self._path} has {len(names):,} layers; {MOST_LAYERS} are the most")
        layers = [self._legacy_arrays(self._member(root, name)) for name in names]
        return [arrays for arrays in layers if arrays]

    def _legacy_arrays(self, layer: h5py.Group) -> Arrays:
        return [self._array(layer, _text(name)) for name in layer.attrs["weight_names"]]

    def _of_keras3(self, file: h5py.File, classes: list[str]) -> list[Arrays]:
        """Groups are named by class and count (`conv2d`, `conv2d_1`), in the network's order."""
        counts: dict[str, int] = {}
        found = []
        for name in map(_snake_case, classes):
            counts[name] = counts.get(name, -1) + 1
            group = f"{name}_{counts[name]}" if counts[name] else name
            variables = self._member(file, f"layers/{group}/vars")
            if variables is not None and len(variables):
                found.append([self._array(variables, key) for key in sorted(variables, key=int)])
        return found

    def _array(self, group: h5py.Group, name: str) -> npt.NDArray[Any]:
        """A dataset's numbers.

        Data that lies in other files is refused: a weight file must not read what it likes. So is
        more than a network has: HDF5 stores a shape, and nothing of what was never written.
        """
        import h5py

        dataset = self._member(group, name)
        if (
            not isinstance(dataset, h5py.Dataset)
            or dataset.external
            or dataset.is_virtual
            or dataset.dtype.kind not in "fiu"
        ):
            raise ModelError(
                f"{self._path} is not a plain weight file: {name} is no array of numbers"
            )
        self._left -= dataset.size * 4
        if self._left < 0:
            raise ModelError(
                f"{self._path} is no weight file: its arrays would take more than "
                f"{LARGEST_FILE >> 20} MiB"
            )
        return np.asarray(dataset, np.float32)

    def _member(self, group: h5py.Group, name: str) -> Any:
        return member_of(group, name, self._path)


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

"""The graphs are those of the paper, and published weights load into them."""

from __future__ import annotations

from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

from mesovid.errors import ModelError
from mesovid.models.architectures import ARCHITECTURES, build
from mesovid.models.weights import load_weights, read_layers
from mesovid.settings import NetworkSettings

SAMPLES = ("df/df00204.jpg", "df/df01254.jpg", "real/real00240.jpg", "real/real00772.jpg")
PUBLISHED = {  # P(real) of the four sample faces, resized bilinearly to 256 px
    "Meso4_DF": (0.0482, 0.0253, 0.9897, 0.9966),
    "Meso4_F2F": (0.8277, 0.6877, 0.8810, 0.9432),
    "MesoInception_DF": (0.0189, 0.0008, 1.0000, 1.0000),
    "MesoInception_F2F": (0.9992, 1.0000, 1.0000, 0.9991),
}


@pytest.mark.parametrize(
    ("architecture", "trainable", "total"),
    [("meso4", 27_977, 28_073), ("mesoinception4", 28_615, 28_725)],
)
def test_parameters_are_those_of_the_paper(architecture: str, trainable: int, total: int) -> None:
    model = build(architecture)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == trainable
    assert model.count_params() == total


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_raw_pixels_give_a_probability(architecture: str) -> None:
    model = build(architecture, size=256)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3)).astype(np.float32)
    probability = np.asarray(model(pixels))
    assert probability.shape == (2, 1)
    assert ((probability > 0) & (probability < 1)).all()


@pytest.mark.parametrize(
    ("activation", "absent"), [("elu", ("ReLU", "LeakyReLU")), ("leaky_relu", ("ReLU", "ELU"))]
)
def test_activation_is_that_of_the_whole_network(activation: str, absent: tuple[str, ...]) -> None:
    for architecture in ("meso4", "mesoinception4"):
        model = build(architecture, NetworkSettings(activation=activation), size=64)
        assert not {type(layer).__name__ for layer in model.layers} & set(absent)


def test_dropout_can_be_chosen() -> None:
    model = build("meso4", NetworkSettings(dropout=0.1), size=64)
    assert {layer.rate for layer in model.layers if type(layer).__name__ == "Dropout"} == {0.1}


def test_unknown_architecture_is_named_with_the_known_ones() -> None:
    with pytest.raises(
        ModelError, match="no architecture 'xception'; known: meso4, mesoinception4"
    ):
        build("xception")


def test_impossible_size_is_refused() -> None:
    with pytest.raises(ModelError, match="multiple of 32"):
        build("meso4", size=100)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_weights_give_the_published_scores(name: str, shared_data: Path) -> None:
    folder = shared_data / "published-weights"
    model = build("meso4" if name.startswith("Meso4") else "mesoinception4")
    load_weights(model, folder / f"{name}.h5")
    faces = [cv2.imread(str(folder / "test_images" / sample))[..., ::-1] for sample in SAMPLES]
    batch = np.stack([cv2.resize(face, (256, 256)) for face in faces]).astype(np.float32)
    np.testing.assert_allclose(np.asarray(model(batch))[:, 0], PUBLISHED[name], atol=0.002)


@pytest.mark.parametrize("kind", ["keras", "hdf5"])
def test_whole_models_load_by_layer_order(kind: str, tmp_path: Path) -> None:
    saved, empty = build("mesoinception4", size=64), build("mesoinception4", size=64)
    path = tmp_path / f"whole.{kind}"
    if kind == "keras":
        saved.save(path)
    else:
        _write_legacy_model(path, [layer.get_weights() for layer in saved.layers])
    load_weights(empty, path)
    for mine, theirs in zip(empty.get_weights(), saved.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_weights_of_another_network_are_refused_unchanged(tmp_path: Path) -> None:
    other, model = build("mesoinception4", size=64), build("meso4", size=64)
    other.save(tmp_path / "other.keras")
    before = model.get_weights()
    with pytest.raises(ModelError, match="does not hold the weights of meso4: it has"):
        load_weights(model, tmp_path / "other.keras")
    np.testing.assert_array_equal(model.get_weights()[0], before[0])


@pytest.mark.parametrize(
    "content", [b"", b"no weights", b"PK\x03\x04 and nothing more"], ids=["empty", "text", "zip"]
)
def test_foreign_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"cannot read weights from .*weights\.h5"):
        read_layers(path)


def test_truncated_model_is_refused(tmp_path: Path) -> None:
    build("meso4", size=64).save(tmp_path / "whole.keras")
    path = tmp_path / "cut.keras"
    path.write_bytes((tmp_path / "whole.keras").read_bytes()[:20_000])
    with pytest.raises(ModelError, match="cannot read weights"):
        read_layers(path)


def test_links_to_other_files_are_refused(tmp_path: Path) -> None:
    _write_legacy_model(tmp_path / "secret.h5", [[np.ones((2, 2), np.float32)]])
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file.attrs["layer_names"] = ["layer_0"]
        file["layer_0"] = h5py.ExternalLink(tmp_path / "secret.h5", "/model_weights/layer_0")
    with pytest.raises(ModelError, match="links to somewhere else"):
        read_layers(tmp_path / "link.h5")


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    model = build("meso4", size=64)
    model.layers[-1].get_weights()
    arrays = [layer.get_weights() for layer in model.layers]
    arrays[2][0][:] = np.nan
    _write_legacy_model(tmp_path / "nan.h5", arrays)
    with pytest.raises(ModelError, match="not finite"):
        load_weights(model, tmp_path / "nan.h5")


def _write_legacy_model(path: Path, layers: list[list[np.ndarray]]) -> None:
    """A whole model as Keras 2 wrote it, without the parts that are never read."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [f"layer_{i}" for i in range(len(layers))]
        for i, arrays in enumerate(layers):
            group = root.create_group(f"layer_{i}")
            group.attrs["weight_names"] = [f"layer_{i}/weight_{j}" for j in range(len(arrays))]
            for j, array in enumerate(arrays):
                group[f"layer_{i}/weight_{j}"] = array

"""A Keras file whose graph computes otherwise than the network is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mesovid.errors import ModelError
from mesovid.models.architectures import build
from mesovid.models.export import import_model
from mesovid.models.keras_graph import check_graph
from mesovid.settings import Geometry

SIZE = 32


def published(size: int = SIZE, **changes: Any) -> Any:
    """Meso-4 as its authors write it: no scaling, activations inside of the convolutions."""
    import keras
    from keras import layers

    given = {
        "relu": "relu",
        "pool": layers.MaxPooling2D,
        "strides": 1,
        "slope": 0.1,
        "epsilon": 1e-3,
    } | changes
    inputs = x = keras.Input((size, size, 3))
    for layer in given.get("first", ()):
        x = layer(x)
    for filters, kernel, pool in ((8, 3, 2), (8, 5, 2), (16, 5, 2), (16, 5, 4)):
        x = layers.Conv2D(
            filters, kernel, given["strides"], padding="same", activation=given["relu"]
        )(x)
        x = layers.BatchNormalization(epsilon=given["epsilon"])(x)
        x = given["pool"](pool_size=(pool, pool), padding="same")(x)
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    x = layers.LeakyReLU(negative_slope=given["slope"])(layers.Dense(16)(x))
    x = layers.Dropout(0.5)(x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid")(x))


def changes(name: str) -> dict[str, Any]:
    from keras import layers

    return {
        "nothing": {},
        "noise": {"first": [layers.GaussianNoise(0.1), layers.RandomFlip()]},
        "own scaling": {"first": [layers.Rescaling(1 / 255)]},
        "lambda": {"first": [layers.Lambda(lambda x: x / 127.5 - 1)]},
        "scaling": {"first": [layers.Rescaling(1 / 127.5, -1)]},
        "normalisation": {"first": [layers.Normalization(mean=[0.5] * 3, variance=[0.1] * 3)]},
        "activation": {"relu": "elu"},
        "slope": {"slope": 0.3},
        "pooling": {"pool": layers.AveragePooling2D},
        "strides": {"strides": 2},
        "epsilon": {"epsilon": 0.1},
    }[name]


@pytest.mark.parametrize("name", ["nothing", "noise", "own scaling"])
def test_the_same_network_written_otherwise_passes(tmp_path: Path, name: str) -> None:
    published(**changes(name)).save(tmp_path / "a.keras")
    check_graph(build("meso4", size=SIZE), tmp_path / "a.keras")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("lambda", "class Lambda, which is code"),
        ("scaling", "scale of Rescaling 1 is 0.0078.*, not 0.0039"),
        ("normalisation", "class Normalization, which the network has not"),
        (
            "activation",
            (
                "its activations are 4 elu, 1 relu leaking 0.1, 1 sigmoid, the network's 4 relu, "
                "1 relu leaking 0.1"
            ),
        ),
        ("slope", "1 relu leaking 0.3"),
        ("pooling", "class AveragePooling2D"),
        ("strides", "strides of Conv2D 1 is"),
        ("epsilon", "epsilon of BatchNormalization 1 is 0.1"),
    ],
)
def test_what_computes_otherwise_is_refused(tmp_path: Path, name: str, says: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as h5:  # as Keras 2 writes a whole model
        h5.attrs["model_config"] = published(**changes(name)).to_json()
        h5.create_group("model_weights")
    with pytest.raises(ModelError, match=says):
        check_graph(build("meso4", size=SIZE), tmp_path / "a.h5")


def test_an_import_with_a_lambda_layer_is_refused(tmp_path: Path) -> None:
    published(**changes("lambda")).save(tmp_path / "a.keras")
    with pytest.raises(ModelError, match="class Lambda, which is code"):
        import_model(
            tmp_path / "a.keras",
            architecture="meso4",
            output="fake",
            geometry=Geometry(size=SIZE),
            folder=tmp_path / "model",
        )
    assert not (tmp_path / "model").exists()


def test_of_weights_alone_the_names_are_looked_at(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        h5.attrs["layer_names"] = np.array([b"lambda_1", b"conv2d_1"])
    with pytest.raises(ModelError, match="class Lambda"):
        check_graph(build("meso4", size=SIZE), tmp_path / "a.h5")


@pytest.mark.parametrize("architecture", ["meso4", "mesoinception4", "mesolite"])
def test_every_network_equals_itself(tmp_path: Path, architecture: str) -> None:
    model = build(architecture, size=64)
    model.save(tmp_path / "a.keras")
    check_graph(model, tmp_path / "a.keras")


def test_a_description_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        h5.attrs["model_config"] = json.dumps({"config": {"layers": [3]}})
    with pytest.raises(ModelError, match="in a way that cannot be read"):
        check_graph(build("meso4", size=SIZE), tmp_path / "a.h5")

"""The .keras and the .onnx file of a model are the same function."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from mesovid.errors import ModelError
from mesovid.models import export
from mesovid.models.architectures import ARCHITECTURES, build
from mesovid.models.card import ModelCard
from mesovid.models.classifier import load_model
from mesovid.models.export import import_model, write_model
from mesovid.settings import Geometry, NetworkSettings

import keras  # isort: skip  # after mesovid, which keeps TensorFlow quiet
from keras import layers  # isort: skip

from mesovid.models.onnx_graph import convert  # isort: skip

RNG = np.random.default_rng(3)


def randomise(model: keras.Model) -> None:
    """Weights as after a training: none left at 0 or 1, variances positive."""
    model.set_weights(
        [
            RNG.uniform(0.05, 0.3, w.shape) * RNG.choice((-1, 1), w.shape)
            for w in model.get_weights()
        ]
    )
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights([gamma, beta, mean, np.abs(variance) + 0.5])


def outputs(model: keras.Model, size: int) -> tuple[np.ndarray, np.ndarray]:
    crops = RNG.integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(convert(model).SerializeToString())
    # said outright: a Resizing layer of Keras 3.15 would switch the layers behind it to training
    return session.run(None, {"face": crops})[0], np.asarray(
        model(crops.astype(np.float32), training=False)
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("activation", ["relu", "elu", "leaky_relu"])
def test_exported_networks_agree(architecture: str, activation: str) -> None:
    if activation not in ARCHITECTURES[architecture].activations:
        pytest.skip(f"{architecture} has one activation")
    model = build(architecture, NetworkSettings(activation=activation), size=64)
    if architecture in ("meso4", "mesoinception4"):
        randomise(model)
    onnx, tensorflow = outputs(model, 64)
    np.testing.assert_allclose(onnx, tensorflow, atol=1e-5)


def blocks() -> dict[str, object]:
    """Layers that other architectures are made of, each as a function from map to map."""

    def squeeze_and_excite(x: keras.KerasTensor) -> keras.KerasTensor:
        gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
        return layers.Multiply()([x, layers.Conv2D(4, 1, activation="hard_sigmoid")(gate)])

    def reshaped_gate(x: keras.KerasTensor) -> keras.KerasTensor:
        gate = layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling2D()(x))
        return layers.Multiply()([x, layers.Reshape((1, 1, 4))(gate)])

    def residual(x: keras.KerasTensor) -> keras.KerasTensor:
        y = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", use_bias=False)(x))
        return layers.Add()([x, layers.ReLU(max_value=6)(y)])

    def strided(x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.BatchNormalization()(
            layers.SeparableConv2D(6, 3, strides=2, padding="same")(x)
        )

    def depthwise(x: keras.KerasTensor) -> keras.KerasTensor:
        x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
        x = layers.DepthwiseConv2D(3, strides=2, padding="valid", depth_multiplier=2)(x)
        return layers.Activation("hard_silu")(layers.BatchNormalization()(x))

    def dilated(x: keras.KerasTensor) -> keras.KerasTensor:
        a = layers.Conv2D(3, 3, padding="same", dilation_rate=2, activation="silu")(x)
        b = layers.AveragePooling2D(3, strides=1, padding="same")(x)
        return layers.Concatenate()([a, b, layers.Subtract()([x, b])])

    def normalised_pool(x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.MaxPooling2D(2)(layers.BatchNormalization()(layers.ELU()(x)))

    def smaller(x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.Conv2D(3, 3, strides=2, padding="same")(layers.Resizing(17, 14)(x))

    def larger(x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.GlobalMaxPooling2D(keepdims=True)(layers.Resizing(27, 33)(x))

    def cropped(x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.Cropping2D(((3, 1), (0, 5)))(x)

    return {
        function.__name__: function
        for function in (
            squeeze_and_excite,
            reshaped_gate,
            residual,
            strided,
            depthwise,
            dilated,
            normalised_pool,
            smaller,
            larger,
            cropped,
        )
    }


@pytest.mark.parametrize("name", blocks())
def test_layers_of_other_architectures_agree(name: str) -> None:
    inputs = keras.Input((20, 20, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    x = layers.GlobalMaxPooling2D()(blocks()[name](x))
    model = keras.Model(inputs, layers.Dense(1, activation="sigmoid")(layers.Dropout(0.5)(x)))
    randomise(model)
    onnx, tensorflow = outputs(model, 20)
    np.testing.assert_allclose(onnx, tensorflow, atol=1e-5)


def test_unknown_layers_are_named() -> None:
    inputs = keras.Input((20, 20, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2DTranspose(1, 3, name="up")(inputs))
    with pytest.raises(ModelError, match="cannot export layer 'up'"):
        convert(keras.Model(inputs, x))


def test_normalisations_are_folded_away() -> None:
    kinds = [node.op_type for node in convert(build("meso4", size=64)).graph.node]
    assert "Mul" not in kinds  # the scale of the input went into the first convolution
    assert kinds.index("MaxPool") < kinds.index("BatchNormalization")


def test_disagreement_is_an_error_and_leaves_the_old_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = ModelCard(name="small", architecture="meso4", geometry=Geometry(size=64))
    first = write_model(build("meso4", size=64), card, tmp_path)
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(ModelError, match="differ by"):
        write_model(build("meso4", size=64), card, tmp_path)
    assert load_model(tmp_path).card == first
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "small.json",
        "small.keras",
        "small.onnx",
    ]


def test_imported_weights_are_turned_to_fake(tmp_path: Path) -> None:
    model = build("meso4")
    model.save(tmp_path / "theirs.keras")
    card = import_model(
        tmp_path / "theirs.keras", architecture="meso4", output="real", folder=tmp_path / "out"
    )
    assert (card.name, card.output, card.threshold) == ("theirs", "real", 0.5)
    crop = RNG.integers(0, 256, (1, 256, 256, 3), dtype=np.uint8)
    expected = 1 - np.asarray(model(crop.astype(np.float32)))[:, 0]
    np.testing.assert_allclose(load_model(tmp_path / "out")(crop), expected, atol=1e-5)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    card = ModelCard(name="small", architecture="meso4", geometry=Geometry(size=64))
    with pytest.raises(ModelError, match="cannot write the model small to"):
        write_model(build("meso4", size=64), card, tmp_path / "file")

"""Meso-4 and MesoInception-4 as Keras graphs (Afchar et al. 2018, arXiv 1809.00888)."""

from __future__ import annotations

import keras
from keras import layers

from mesovid.settings import FACE_SIZE, NetworkSettings

INPUT_SCALE = 1 / 255  # the networks see RGB from 0 to 1
LEAK = 0.1  # slope of every LeakyReLU below 0


def meso4(settings: NetworkSettings, size: int = FACE_SIZE) -> keras.Model:
    """Meso-4: 27,977 trainable of 28,073 parameters at 256 px.

    The second convolution is 5x5; with 3x3 they do not add up.
    """
    inputs, x = _input(size)
    x = _block(x, 8, 3, 2, settings)
    x = _block(x, 8, 5, 2, settings)
    return _head(inputs, _last_blocks(x, settings), settings, "meso4")


def mesoinception4(settings: NetworkSettings, size: int = FACE_SIZE) -> keras.Model:
    """MesoInception-4: Meso-4 with inception modules for its first two convolutions.

    Their convolutions are dilated.
    """
    inputs, x = _input(size)
    x = _inception_block(x, (1, 4, 4, 2), settings)
    x = _inception_block(x, (2, 4, 4, 2), settings)
    return _head(inputs, _last_blocks(x, settings), settings, "mesoinception4")


def _input(size: int) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    inputs = keras.Input((size, size, 3), name="face")
    return inputs, layers.Rescaling(INPUT_SCALE, name="scale")(inputs)


def _last_blocks(x: keras.KerasTensor, settings: NetworkSettings) -> keras.KerasTensor:
    x = _block(x, 16, 5, 2, settings)
    return _block(x, 16, 5, 4, settings)


def _block(
    x: keras.KerasTensor, filters: int, kernel: int, pool: int, settings: NetworkSettings
) -> keras.KerasTensor:
    x = _activation(settings)(layers.Conv2D(filters, kernel, padding="same")(x))
    return _normalise_and_pool(x, pool)


def _inception_block(
    x: keras.KerasTensor, filters: tuple[int, int, int, int], settings: NetworkSettings
) -> keras.KerasTensor:
    """Four branches side by side: 1x1, and 1x1 then 3x3 at dilations 1, 2 and 3."""
    branches = [_activation(settings)(layers.Conv2D(filters[0], 1, padding="same")(x))]
    for dilation, width in enumerate(filters[1:], start=1):
        branch = _activation(settings)(layers.Conv2D(width, 1, padding="same")(x))
        branch = layers.Conv2D(width, 3, padding="same", dilation_rate=dilation)(branch)
        branches.append(_activation(settings)(branch))
    return _normalise_and_pool(layers.Concatenate()(branches), 2)


def _normalise_and_pool(x: keras.KerasTensor, pool: int) -> keras.KerasTensor:
    return layers.MaxPooling2D(pool, padding="same")(layers.BatchNormalization()(x))


def _head(
    inputs: keras.KerasTensor, x: keras.KerasTensor, settings: NetworkSettings, name: str
) -> keras.Model:
    x = layers.Dropout(settings.dropout)(layers.Flatten()(x))
    x = layers.Dense(16)(x)
    # the paper's network is ReLU but here, where it leaks
    x = (
        layers.LeakyReLU(negative_slope=LEAK)(x)
        if settings.activation == "relu"
        else _activation(settings)(x)
    )
    x = layers.Dense(1, name="logit")(layers.Dropout(settings.dropout)(x))
    outputs = layers.Activation("sigmoid", name="fake_probability")(x)
    return keras.Model(inputs, outputs, name=name)


def _activation(settings: NetworkSettings) -> layers.Layer:
    if settings.activation == "elu":
        return layers.ELU()
    if settings.activation == "leaky_relu":
        return layers.LeakyReLU(negative_slope=LEAK)
    return layers.ReLU()

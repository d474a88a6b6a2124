"""TextureLite as a Keras graph: MesoLite's trunk, read for the texture of a whole face.

A face that a network painted as a whole has no seam, and MesoLite's head, which compares parts of a
face, sees nothing. What such a network leaves is everywhere: which fine patterns there are, and how
much they vary. The head reads the mean and the standard deviation of each feature over the crop.
"""

from __future__ import annotations

import keras
from keras import layers, ops

from mesovid.models.mesolite import trunk
from mesovid.settings import FACE_SIZE, NetworkSettings

LEAST_VARIANCE = 1e-4  # keeps the slope of the root finite


@keras.saving.register_keras_serializable(package="mesovid")
class Deviation(layers.Layer):  # type: ignore[misc]
    """The standard deviation of each feature: (n, rows, columns, features) -> (n, features)."""

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """The root of the mean of squares less the square of the mean: what ONNX says briefly."""
        mean = ops.mean(x, axis=(1, 2))
        variance = ops.mean(x * x, axis=(1, 2)) - mean * mean
        return ops.sqrt(ops.maximum(variance, 0.0) + LEAST_VARIANCE)

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(n, features)."""
        return shape[0], shape[3]


def texturelite(settings: NetworkSettings, size: int = FACE_SIZE) -> keras.Model:
    """TextureLite: some 0.7 million parameters, ReLU6 throughout as MesoLite."""
    inputs = keras.Input((size, size, 3), name="face")
    x = trunk(inputs)
    mean = layers.GlobalAveragePooling2D(name="mean")(x)
    x = layers.Concatenate(name="texture")([mean, Deviation(name="deviation")(x)])
    # means and deviations of a hundred features differ in size
    x = layers.Dropout(settings.dropout)(layers.BatchNormalization(name="texture_norm")(x))
    logit = layers.Dense(1, name="logit")(x)
    return keras.Model(inputs, layers.Activation("sigmoid", name="fake")(logit), name="texturelite")

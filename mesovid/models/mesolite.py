"""MesoLite and MesoLite2 as Keras graphs: the first stages of an EfficientNet-Lite, read for local
traces.

EfficientNet-Lite0 is EfficientNet-B0 (Tan and Le 2019, arXiv 1905.11946) without
squeeze-and-excitation and with ReLU6 for swish. What tells a fake is fine and local, so the trunk
ends at a stride of 16, before the stages that know objects. The head compares: what each feature is
at the eyes, the nose and the mouth, less what it is over the whole crop. Cameras, codecs and
colours shift features everywhere and cancel out; what was exchanged is the face alone.

MesoLite2 has the larger trunk of EfficientNet-Lite2, one stage more, and compares at both strides.
"""

from __future__ import annotations

import math

import keras
from keras import layers

from mesovid.settings import FACE_SIZE, NetworkSettings

INPUT_SCALE, INPUT_OFFSET = 1 / 128, -127 / 128  # as EfficientNet-Lite0 was trained
STEM = 32  # filters
Stages = tuple[tuple[int, int, int, int, int], ...]
# expansion, filters, blocks, kernel, stride of the first block
STAGES: Stages = (  # EfficientNet-Lite0's
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 2),
    (6, 40, 2, 5, 2),
    (6, 80, 3, 3, 2),
    (6, 112, 3, 5, 1),
)
STAGES_2: Stages = (  # EfficientNet-Lite2's, to a stride of 32
    (1, 16, 1, 3, 1),
    (6, 24, 3, 3, 2),
    (6, 48, 3, 5, 2),
    (6, 88, 4, 3, 2),
    (6, 120, 4, 5, 1),
    (6, 208, 5, 5, 2),
)
# where they lie in an aligned crop, as fractions of its height, and what is left out at either
# side, as a fraction of its width
PARTS = {"eyes": (3 / 16, 7 / 16), "nose": (7 / 16, 10 / 16), "mouth": (10 / 16, 15 / 16)}
PART_SIDES = 3 / 16


def mesolite(settings: NetworkSettings, size: int = FACE_SIZE) -> keras.Model:
    """MesoLite: some 0.7 million parameters.

    ReLU6 throughout: the pretrained weights know no other activation.
    """
    inputs = keras.Input((size, size, 3), name="face")
    x = layers.Dropout(settings.dropout)(_contrasts(trunk(inputs)))
    logit = layers.Dense(1, name="logit")(x)
    return keras.Model(inputs, layers.Activation("sigmoid", name="fake")(logit), name="mesolite")


def mesolite2(settings: NetworkSettings, size: int = FACE_SIZE) -> keras.Model:
    """MesoLite2: some 3.7 million parameters, ReLU6 throughout as MesoLite."""
    inputs = keras.Input((size, size, 3), name="face")
    fine, coarse = _maps(inputs, STAGES_2)[-2:]
    x = layers.Concatenate(name="features")(
        [_contrasts(fine, "fine_"), _contrasts(coarse, "coarse_")]
    )
    logit = layers.Dense(1, name="logit")(layers.Dropout(settings.dropout)(x))
    return keras.Model(inputs, layers.Activation("sigmoid", name="fake")(logit), name="mesolite2")


def trunk(inputs: keras.KerasTensor) -> keras.KerasTensor:
    """MesoLite's features of raw RGB 0..255 `(n, size, size, 3)`, at a sixteenth of its size."""
    return _maps(inputs, STAGES)[-1]


def _maps(inputs: keras.KerasTensor, stages: Stages) -> list[keras.KerasTensor]:
    """The features after each stage."""
    # not resized to the side of the trunk's own training: that smooths away what is looked for
    x = layers.Rescaling(INPUT_SCALE, INPUT_OFFSET, name="scale")(inputs)
    x = layers.ReLU(6)(_convolution(x, STEM, 3, 2, "stem"))
    maps = []
    for stage, (expansion, filters, blocks, kernel, stride) in enumerate(stages):
        for block in range(blocks):
            name = f"stage{stage}_block{block}"
            x = _block(x, expansion, filters, kernel, stride if block == 0 else 1, name)
        maps.append(x)
    return maps


def _contrasts(x: keras.KerasTensor, prefix: str = "") -> keras.KerasTensor:
    """The mean of each feature over each part of an aligned face, less its mean over the crop."""
    rows, columns = x.shape[1:3]
    sides = math.floor(PART_SIDES * columns)
    whole = layers.GlobalAveragePooling2D(name=f"{prefix}whole")(x)
    contrasts = []
    for name, (top, bottom) in PARTS.items():
        crop = ((math.floor(top * rows), rows - math.ceil(bottom * rows)), (sides, sides))
        part = layers.GlobalAveragePooling2D(name=f"{prefix}{name}")(
            layers.Cropping2D(crop, name=f"{prefix}{name}_crop")(x)
        )
        contrasts.append(layers.Subtract(name=f"{prefix}{name}_contrast")([part, whole]))
    return layers.Concatenate(name=f"{prefix}contrasts")(contrasts)


def _block(
    x: keras.KerasTensor,
    expansion: int,
    filters: int,
    kernel: int,
    stride: int,
    name: str,
) -> keras.KerasTensor:
    """An inverted residual: widen, filter each channel, narrow.

    It is added to its input where the shapes agree.
    """
    channels = int(x.shape[-1])
    y = x
    if expansion > 1:
        y = layers.ReLU(6)(_convolution(y, channels * expansion, 1, 1, f"{name}_expand"))
    y = layers.DepthwiseConv2D(
        kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise"
    )(y)
    y = layers.ReLU(6)(_normalised(y, f"{name}_depthwise"))
    y = _convolution(y, filters, 1, 1, f"{name}_project")
    return layers.Add()([x, y]) if stride == 1 and channels == filters else y


def _convolution(
    x: keras.KerasTensor,
    filters: int,
    kernel: int,
    stride: int,
    name: str,
) -> keras.KerasTensor:
    x = layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False, name=name)(x)
    return _normalised(x, name)


def _normalised(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.BatchNormalization(name=f"{name}_norm")(x)

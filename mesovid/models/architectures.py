"""Which networks exist: their names, and where each one's graph is built.

To add one, write its builder in a file of its own and name it here. A builder takes a
`NetworkSettings` and the side of its input, and gives a Keras graph from raw RGB 0..255 `(n, size,
size, 3)` to P(fake) `(n, 1)` that scales its input itself and ends in a Dense layer of one unit
without activation followed by a sigmoid Activation layer (training works on the logit).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from mesovid.backend import import_tensorflow
from mesovid.errors import ModelError
from mesovid.settings import ACTIVATIONS, FACE_SIZE, NetworkSettings

if TYPE_CHECKING:
    import keras

    Builder = Callable[[NetworkSettings, int], keras.Model]

SHRINKAGE = 32  # of Meso-4 and MesoInception-4, whose poolings halve, halve, halve and quarter


@dataclass(frozen=True, slots=True)
class Architecture:
    """Where a network's graph is built, and what it can be."""

    builder: str  # "module:function"; imported when it is built: the module imports TensorFlow
    activations: tuple[str, ...] = ACTIVATIONS
    multiple: int = 1  # px; a side of its input must be one


ARCHITECTURES = {
    "meso4": Architecture("mesovid.models.meso:meso4", multiple=SHRINKAGE),
    "mesoinception4": Architecture("mesovid.models.meso:mesoinception4", multiple=SHRINKAGE),
    # its pretrained weights know ReLU6 alone
    "mesolite": Architecture("mesovid.models.mesolite:mesolite", activations=("relu",)),
    "mesolite2": Architecture("mesovid.models.mesolite:mesolite2", activations=("relu",)),
    "texturelite": Architecture("mesovid.models.texturelite:texturelite", activations=("relu",)),
}


def build(
    architecture: str, settings: NetworkSettings | None = None, *, size: int = FACE_SIZE
) -> keras.Model:
    """The untrained graph of an architecture. ModelError as of `check_architecture`."""
    settings = settings or NetworkSettings()
    check_architecture(architecture, settings, size)
    import_tensorflow()
    module, function = ARCHITECTURES[architecture].builder.split(":")
    builder = cast("Builder", getattr(importlib.import_module(module), function))
    return builder(settings, size)


def check_architecture(
    architecture: str, settings: NetworkSettings, size: int | None = None
) -> None:
    """Raise ModelError for an unknown architecture, or one that cannot be as asked."""
    if architecture not in ARCHITECTURES:
        raise ModelError(f"no architecture {architecture!r}; known: {', '.join(ARCHITECTURES)}")
    can = ARCHITECTURES[architecture]
    if settings.activation not in can.activations:
        raise ModelError(
            f"{architecture} has no activation {settings.activation!r}; it has"
            f" {', '.join(can.activations)}"
        )
    if size is not None and size % can.multiple:
        raise ModelError(
            f"an input of {size} px does not fit {architecture}; its side must be a multiple of"
            f" {can.multiple} px"
        )
